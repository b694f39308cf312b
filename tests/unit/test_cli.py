"""The command line as a user types it: real processes, real files, the model inside the package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flashworld.cli import build_parser, main
from flashworld.io.scenes import read_scene, write_scene

ROOT = Path(__file__).parents[2]
SMALL = ("--frames", "4", "--size", "64x96", "--video-fps", "4", "--video-seconds", "1")


def flashworld(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "flashworld", *words], cwd=cwd, env=None, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("scene")
    image = out.parent / "photo.jpg"
    Image.effect_mandelbrot((300, 200), (-2.5, -1.2, 1.2, 1.2), 40).convert("RGB").save(image)
    done = flashworld(
        "generate", "--model", "nano", "--image", str(image), "--text", "a red sphere", "--trajectory", "orbit_left",
        "--param", "angle_deg=10", "--seed", "3", "--out", str(out), "--json", "--quiet", *SMALL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_generate_writes_the_five_files(generated):
    out, said = generated
    assert sorted(p.name for p in out.iterdir()) == [
        "preview.jpg", "request.json", "scene.ply", "scene.spz", "video.mp4"
    ]  # fmt: skip
    assert said["scenes"][0]["seed"] == 3
    assert len(read_scene(out / "scene.ply")) == said["scenes"][0]["gaussians"] > 1000


def test_saved_request_reproduces_the_scene(generated, tmp_path):
    out, _ = generated
    words = ["generate", str(out / "request.json"), "--model", "nano", "--ply", "--out", str(tmp_path), "--quiet"]
    assert main(words) == 0
    assert not (tmp_path / "video.mp4").exists()
    pictures = [np.asarray(Image.open(folder / "preview.jpg")).astype(int) for folder in (out, tmp_path)]
    difference = int(np.abs(pictures[0] - pictures[1]).max())
    assert difference <= 4  # another thread count rounds differently; JPEG turns one grey level into a few


def test_folder_of_original_project_requests(tmp_path):
    camera = {"quaternion": [1, 0, 0, 0], "position": [0, 0, 0], "fx": 80, "fy": 80, "cx": 48, "cy": 32}
    for name in ("1", "2"):
        moved = camera | {"position": [0, 0, -0.5]}
        request = {
            "image_prompt": None, "text_prompt": f"a blue room {name}", "image_index": 0, "resolution": [3, 64, 96],
            "cameras": [camera, moved],
        }  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(request))
    words = ["generate", "--input_dir", str(tmp_path), "--output_dir", str(tmp_path / "o"), "--spz", "--video",
             "--video_fps", "3", "--model", "nano", "--quiet"]  # fmt: skip
    assert main(words) == 0
    for name in ("1", "2"):
        assert (tmp_path / "o" / name / "scene.spz").exists()
        assert (tmp_path / "o" / name / "video.mp4").exists()
        assert not (tmp_path / "o" / name / "scene.ply").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generate"], "picture or a text"),
        (["generate", "--text", "x", "--trajectory", "orbit_lift"], "orbit_left"),
        (["generate", "--text", "x", "--size", "64"], "--size"),
        (["generate", "--text", "x", "--size", "65x96"], "multiple of 32"),
        (["generate", "--text", "x", "--param", "angle"], "NAME=VALUE"),
        (["generate", "--text", "x", "--offload", "all"], "--offload"),
        (["generate", "nowhere.json"], "nowhere.json"),
        (["generate", "--image", "nowhere.png"], "nowhere.png"),
        (["render", "nowhere.ply"], "nowhere.ply"),
        (["convert", "nowhere.ply", "x.spz"], "nowhere.ply"),
        (["trajectory", "preview"], "preset"),
        (["weights", "convert"], "--out"),
    ],
)
def test_invalid_input_gives_one_sentence_and_exit_code_2(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = ["--model", "nano"] if words[0] == "generate" else []
    assert main([*words, *model]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_missing_weights_give_one_sentence_and_exit_code_1(capsys, tmp_path):
    assert main(["weights", "check", "--model", str(tmp_path)]) == 1
    assert "flashworld:" in capsys.readouterr().err


def test_errors_are_json_too(capsys):
    assert main(["generate", "--json", "--model", "nano"]) == 2
    assert json.loads(capsys.readouterr().out)["kind"] == "PromptError"


def test_trajectory_list_preview_and_convert(capsys, tmp_path):
    assert main(["trajectory", "list", "--json"]) == 0
    assert "orbit_left" in json.loads(capsys.readouterr().out)["presets"]
    assert main(["trajectory", "preview", "spiral", "--out", str(tmp_path / "p.png")]) == 0
    assert main(["trajectory", "convert", "spiral", "--out", str(tmp_path / "p.json"), "--to", "transforms"]) == 0
    assert main(["trajectory", "convert", str(tmp_path / "p.json"), "--out", str(tmp_path / "q.json")]) == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "q.json").read_text())["format"] == "flashworld-trajectory"


def test_render_and_convert(tmp_path, make_scene, capsys):
    write_scene(make_scene(200), tmp_path / "a.ply")
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.spz")]) == 0
    assert main(["convert", str(tmp_path / "b.spz"), str(tmp_path / "c.splat")]) == 0
    words = ["render", str(tmp_path / "b.spz"), "--out", str(tmp_path / "v.mp4"), "--size", "64x96", "--fps", "5",
             "--seconds", "1", "--quiet", "--device", "cpu"]  # fmt: skip
    assert main(words) == 0
    assert b"ftyp" in (tmp_path / "v.mp4").read_bytes()[:16]


def test_info_names_versions_and_the_default_model(capsys):
    assert main(["info", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["packages"]["torch"] == torch.__version__.split("+")[0]
    assert data["nano"] in ("trained", "untrained")


def test_every_command_has_help():
    parser = build_parser()
    assert "generate" in parser.format_help()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trajectory", "convert", "forward", "--size", "480x0"], "--size in pixels must be a whole number from 1 to 8192"),
        (["trajectory", "convert", "forward", "--size", "9" * 5000 + "x1"], "--size must look like 480x704"),
        (["render", "a.ply", "--size", "99999x99999"], "--size in pixels"),
        (["trajectory", "convert", "forward", "--param", "amplitude=" + "[" * 100_000], "amplitude must be a number"),
        (["trajectory", "convert", "/dev/zero.json"], "zero.json: expected a camera path"),
        (["trajectory", "convert", "forward", "--frames", "3", "--out", "none/a.json"], "cannot be written"),
        (["trajectory", "preview", "forward", "--frames", "3", "--out", "none/a.png"], "cannot be written"),
        (["trajectory", "preview", "forward", "--frames", "3", "--out", "none/a.gif"], "cannot be written"),
        (["generate", "a\x1b[31m\nb.json"], "a?[31m?b.json"),
        (["generate", "x" * 300], "found nothing there"),
        (["generate", "/dev/null"], "null: expected a request file or a folder"),
        (["trajectory", "convert", "x" * 300 + ".json"], "cannot be read: File name too long"),
    ],
)  # fmt: skip
def test_hostile_arguments_give_one_printable_sentence(words, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) in (1, 2)
    error = capsys.readouterr().err
    assert sentence in error
    assert error.removesuffix("\n").isprintable() and len(error) < 400
    assert not list(tmp_path.iterdir())


def test_a_path_file_is_read_as_strictly_as_a_request(capsys, tmp_path):
    (tmp_path / "p.json").write_text('{"cameras": [], "cameras": []}')
    assert main(["trajectory", "convert", str(tmp_path / "p.json")]) == 2
    assert "p.json: not JSON: key 'cameras' comes twice" in capsys.readouterr().err
    (tmp_path / "p.json").write_text("[" * 100_000)
    assert main(["trajectory", "convert", str(tmp_path / "p.json")]) == 2
    assert "nested too deeply" in capsys.readouterr().err


def test_non_utf8_file_names_are_written_and_printed(tmp_path, make_scene):
    write_scene(make_scene(20), tmp_path / "a.ply")
    target = os.fsencode(tmp_path) + b"/\xff.spz"
    command = [sys.executable, "-m", "flashworld", "convert", str(tmp_path / "a.ply"), target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\udcff.spz: 20 Gaussians" in done.stdout
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".ply", ".spz"]


def test_unknown_arguments_cannot_inject_terminal_codes(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["info", "\x1b[31m" + "x" * 5000 + "\n"])
    assert stopped.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.isprintable() and len(line) < 400
