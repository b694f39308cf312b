"""The documentation is correct: its commands run, its code runs, its JSON loads, its links resolve, its site builds."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import flashworld
from docs import make_command_line, make_licences, make_moving_picture
from flashworld import limits
from flashworld.cli import build_parser, main
from flashworld.config import FULL
from flashworld.io.request_json import load_request_file, request_from_json
from flashworld.nano.sizes import NANO
from flashworld.serving import sentences
from flashworld.trajectories import PRESETS
from flashworld.trajectories.json_forms import parse_trajectory
from tests.documents import (
    FENCE,
    PAGES,
    README,
    ROOT,
    blocks,
    commands,
    headings,
    inline_commands,
    links,
    page_id,
    section,
    text_of,
)

SMALL = {"frames": 3, "height": 64, "width": 96, "video": {"fps": 2, "seconds": 1}}
"""What makes the documentation's examples fast: nothing else of them is changed."""
SMALL_OPTIONS = ("--frames", "3", "--size", "64x96", "--video-fps", "2", "--video-seconds", "1")
TESTED_KINDS = {"console", "bash", "python", "python client", "json", "jsonl"}
PROSE_KINDS = {"text", "bibtex"}


@pytest.fixture
def sandbox(tmp_path, monkeypatch) -> Path:
    """A working folder with small versions of the examples."""
    for name in ("coffee", "cat"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name)
        file = tmp_path / "examples" / name / "request.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | SMALL))
    shutil.copy(ROOT / "examples" / "simple_trajectory.json", tmp_path / "examples")
    rows = [json.loads(line) | SMALL for text in blocks("jsonl") for line in text.splitlines()]
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def library_commands() -> list[list[str]]:
    return [words[3:] for words in commands("console") if words[:3] == ["python", "-m", "flashworld"]]


def test_every_code_block_is_of_a_kind_that_is_tested():
    kinds = {kind for page in PAGES for kind, _ in FENCE.findall(text_of(page))}
    assert kinds - PROSE_KINDS == TESTED_KINDS


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_resolve(page: Path):
    for link in links(page):
        path, _, anchor = link.partition("#")
        if not link.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in headings(target), link


def test_site_builds_without_a_warning(tmp_path):
    site = tmp_path / "site"
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)],
        check=False, cwd=ROOT, capture_output=True, text=True, env={"PATH": "", "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert build.returncode == 0, build.stderr
    index = (site / "index.html").read_text()
    assert "sdk_version" not in index, "the Space's header is no part of the page"
    for target in re.findall(r'(?:src|href)="(?!http|#)([^"#]+)', index):
        assert (site / target).is_file(), target
    assert not list(site.rglob("*.pyc")) and not (site / "make_limits.py").exists()


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for name in re.findall(r"(?:`|\$ )make ([a-z-]+)", text_of(page)):
            assert re.search(rf"^{name}:", makefile, re.M), name


@pytest.mark.slow
def test_commands_run(sandbox, capsys):
    for words in library_commands():
        if words[0] == "batch":
            continue  # run by test_many_scenes_doc, which has their manifest
        if words[0] == "generate":
            from_files = "--image" not in words
            words = [*words, "--model", "nano", "--quiet", *(() if from_files else SMALL_OPTIONS)]
        if words[0] == "render":
            words = [*words, "--size", "64x96", "--fps", "4", "--quiet"]
        assert main(words) == 0, (words, capsys.readouterr().err)
    made = {str(p.relative_to(sandbox / "out")) for p in (sandbox / "out").rglob("*.*")}
    assert {"coffee/scene.ply", "coffee/scene.splat", "cat/request.json", "spiral.mp4", "path.webp"} <= made
    named = set(re.findall(r"`(\w+\.\w+)`", re.search(r"`generate` writes.*?;", README, re.DOTALL).group()))
    assert named == {p.name for p in (sandbox / "out" / "cat").iterdir()}
    again = {p.name for p in (sandbox / "again" / "cat").iterdir()}
    assert again == named - {"video.mp4"} and (sandbox / "again" / "coffee").is_dir()
    assert (sandbox / "transforms.json").is_file()


def test_commands_name_real_programs_and_options():
    from aot.cli import build_parser as aot_parser

    parsers = {"flashworld": build_parser(), "aot": aot_parser()}
    for python, option, program, *words in [*commands("bash"), *inline_commands()]:
        if (python, option, program) == ("pip", "install", "-r"):
            assert (ROOT / words[0]).is_file(), words
            continue
        if (python, option) == ("python", "app.py"):
            source = (ROOT / "app.py").read_text() + (ROOT / "flashworld/cli/models.py").read_text()
            for name in (word for word in (program, *words) if word.startswith("--")):
                assert f'"{name}"' in source, name
            continue
        assert (python, option) == ("python", "-m")
        if program in parsers and words and "COMMAND" not in words:
            parsers[program].parse_args(words)
            continue
        origin = importlib.util.find_spec(program)
        assert origin and origin.origin, program
        source = "".join(path.read_text() for path in Path(origin.origin).parent.rglob("*.py"))
        for name in (word for word in words if word.startswith("--")):
            assert f'"{name}"' in source, (program, name)


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"), ids=["start", "progress"])
def test_python_examples_run(sandbox, monkeypatch, capsys, code):
    small = flashworld.FlashWorldPipeline.from_nano()
    sizes = {name: SMALL[name] for name in ("frames", "height", "width")}
    small.networks = replace(small.networks, config=replace(small.networks.config, **sizes))
    monkeypatch.setattr(flashworld.FlashWorldPipeline, "from_pretrained", lambda source: small)
    shared: dict = {}
    exec(compile(code, "documentation", "exec"), shared)
    said = capsys.readouterr().out
    if "print" in code:
        assert "Denoising the views: step 4 of 4" in said and "Gaussians by nano" in said
    assert all(path.is_file() for path in shared["files"].values())


def test_client_example_matches_the_api():
    (code,) = blocks("python client")
    compile(code, "docs/python.md", "exec")
    api = (ROOT / "ui" / "api.py").read_text()
    (call,) = re.findall(r"predict\((.*?), api_name", code, re.DOTALL)
    for name in re.findall(r"(\w+)=", call):
        assert f"        {name}:" in api, name
    endpoints = set(re.findall(r'api_name="/(\w+)"', code)) | {"generate", "generate_from_text"}
    assert all(f"def {name}(" in api for name in endpoints)


def test_json_examples_load(sandbox):
    requests = [text for text in blocks("json") if '"flashworld-request"' in text]
    paths = [text for text in blocks("json") if text not in requests]
    assert len(requests) == 1 and len(paths) == 2
    for text in requests:
        file = sandbox / "examples" / "coffee" / "request.json"
        file.write_text(text)
        request = load_request_file(file)
        assert (request.seed, request.path.name, request.frames) == (11, "orbit_right", 24)
    formats = [parse_trajectory(t, height=480, width=704, fov_y_deg=60.0).source_format for t in paths]
    assert formats == ["flashworld-trajectory", "original-trajectory"]


def test_request_table_gives_the_real_limits_and_defaults():
    table = section("docs/requests.md", "## Request\n")
    for text in (
        f"up to {limits.MAX_PROMPT_CHARS} characters", f"{limits.MIN_FRAMES} to {limits.MAX_FRAMES} |",
        f"{limits.MIN_SIDE_PX} to {limits.MAX_SIDE_PX}, multiples of {limits.SIZE_MULTIPLE}",
        f"0 to {limits.MAX_SEED} ", f"{limits.MIN_FOV_DEG:g} to {limits.MAX_FOV_DEG:g}, for paths",
        f"{FULL.frames} (nano {NANO.frames})", f"{FULL.height} x {FULL.width}", f"{NANO.height} x {NANO.width}",
    ):  # fmt: skip
        assert text in table, text
    least = request_from_json({"format": "flashworld-request", "version": 1, "text": "a"})
    assert (least.image_index, least.path.name) == (0, "orbit_right")
    told = dict(re.findall(r"^\| `video\.(\w+)` \| [^|]+ \| (.+?) \|$", table, re.M))
    true = {"fps": "24", "seconds": "6", "quality": "`high`", "depth": "false", "enabled": "true"}
    assert told == true
    video = least.video
    assert (video.fps, video.seconds, video.quality, video.depth, video.enabled) == (24, 6, "high", False, True)


def test_every_environment_variable_of_the_code_is_in_the_settings():
    sources = [p for part in ("flashworld", "aot", "ui") for p in (ROOT / part).rglob("*.py")]
    code = "\n".join(p.read_text() for p in [*sources, *ROOT.glob("app.py")])
    read = {name for name in re.findall(r"""["'](FLASHWORLD_[A-Z_]+)["']""", code)}
    assert set(re.findall(r"`(FLASHWORLD_[A-Z_]+)`", section("docs/serving.md", "## Settings"))) == read


def test_options_of_the_app_are_in_the_settings():
    from flashworld.cli.models import add_model_options

    parser = make_command_line.argparse.ArgumentParser()
    add_model_options(parser)
    told = set(re.findall(r"`(--[\w-]+)`", section("docs/serving.md", "| Option of `python app.py`", "\n\n")))
    options = {name for name in parser._option_string_actions if name not in ("-h", "--help")}
    assert told == options | {"--gpus", "--host", "--port"}


def test_generated_pages_are_up_to_date():
    assert make_command_line.TARGET.read_text() == make_command_line.generate(), "python -m docs.make_command_line"
    licences = make_licences.TARGET.read_text()
    for name, version in make_licences.pinned().items():
        assert f"| {name} | {version} |" in licences, "python -m docs.make_licences"


def test_animation_is_small_loops_and_shows_the_shipped_results():
    picture = Image.open(make_moving_picture.TARGET)
    assert picture.n_frames > 20 and picture.info["loop"] == 0
    assert make_moving_picture.TARGET.stat().st_size <= make_moving_picture.MAX_BYTES
    expected = Image.fromarray(next(make_moving_picture.frames()))
    assert picture.size == expected.size
    shown, wanted = (image.convert("L").resize((60, 27)).tobytes() for image in (picture, expected))
    error = sum(abs(a - b) for a, b in zip(shown, wanted, strict=True)) / len(wanted)
    assert error < 4, "examples changed: python -m docs.make_moving_picture"


def test_faults_quote_the_messages_of_the_app():
    page = text_of(ROOT / "docs/faults.md")
    for message in (sentences.BROKEN, sentences.OUT_OF_MEMORY, sentences.NOT_FINITE, sentences.NOT_LOADED):
        assert f"`{message}`" in page, message


def test_counts_in_the_text_are_correct():
    assert f"{len(PRESETS)} presets with their parameters" in text_of(ROOT / "docs/requests.md")
    examples = len(list((ROOT / "examples").glob("*/request.json")))
    assert {10: "ten"}[examples] + " requests with credited images" in text_of(ROOT / "CONTRIBUTING.md")


def test_layout_section_matches_the_repository():
    layout = section("CONTRIBUTING.md", "## Layout of the code")
    for name in re.findall(r"^(\S+?)/? {2,}", layout, re.M):
        assert (ROOT / name).exists(), name
    inside = re.findall(r"^  ([a-z_/, ]+?)(?: {2,}|$)", layout, re.M)
    for name in (part.strip(" /") for line in inside for part in line.split(",")):
        path = ROOT / "flashworld" / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
