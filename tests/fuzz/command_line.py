"""Targets: `python -m flashworld` in this process, given hostile arguments and files.

Exit code 0 with complete files, or 2 (or 1 if output cannot be written) with one sentence and no file; never a traceback.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from flashworld.cli import main
from flashworld.cli.running import EXIT_FAILED, EXIT_INPUT
from flashworld.config import NANO_DIR
from flashworld.errors import InputError
from flashworld.io.scenes import read_scene
from flashworld.io.scenes.splat import ROW
from tests.fuzz import pictures, requests_and_paths
from tests.fuzz.hostile import STRINGS, damaged, damaged_bytes, json_bytes
from tests.fuzz.law import Case, check_sentence, leaves
from tests.fuzz.targets import Target

WORDS = (
    "", "0", "-1", "1", "2", "3.5", "nan", "inf", "-inf", "1e308", "1e999", "9" * 30, "9" * 5000, "0x10", "\u0663", "true", "high",
    "a b", "\x1b[31m", "\u202e", "\udcff", "a\nb", "x" * 3000, "<b>", "--", "-", "[" * 3000, "64x", "x64", "0x0", "64x0", "1x1",
    "99999x99999", "64x96x3", "a=1", "=", "amplitude=", "amplitude=[[[[" + "[" * 3000, "amplitude=NaN", "loop=true", "cpu",
)  # fmt: skip


class Refused(InputError):
    """The input was invalid; holds the sentence from standard error."""


class Failed(Refused):
    """Another failure, reported by exit code 1."""


def run(words: list[str], folder: Path, made: set[str]) -> set[str]:
    """Run a command; names of the new files.

    Raises:
        Refused: it ended in 1 or 2, with one sentence and without new files.
    """
    before = leaves(folder)
    code, lines = execute(words)
    new = leaves(folder) - before
    if code == 0:
        assert not any(".part" in name for name in new), new
        return new
    assert new <= made, f"left behind {new}"
    raise refusal(code, lines)


def execute(words: list[str]) -> tuple[int, list[str]]:
    """Run a command: its exit code, and the lines on standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as exit_:
            code = exit_.code
    assert code in (0, EXIT_FAILED, EXIT_INPUT), code
    assert "Traceback" not in err.getvalue()
    return code, err.getvalue().splitlines()


def refusal(code: int, lines: list[str]) -> Refused:
    """The one sentence of a command that failed."""
    sentence = lines[-1]
    assert sentence.startswith("flashworld"), lines
    assert len([line for line in lines if line.startswith("flashworld")]) == 1, lines
    return (Failed if code == EXIT_FAILED else Refused)(sentence.partition("rror: ")[2] or sentence.partition(": ")[2])


def _case(words: list[str], folder: Path, check: Any, made: set[str] | None = None) -> Case:
    return Case(lambda: run(words, folder, made or set()), check)


def maybe(rng: random.Random, options: dict[str, list[str]], most: int = 2) -> list[str]:
    """A few options, each with a valid or a hostile value."""
    words = []
    for name in rng.sample(list(options), rng.randint(0, most)):
        words += [name] if not options[name] else [name, rng.choice([*options[name], rng.choice(WORDS)])]
    return words


def scene_file(rng: random.Random, folder: Path) -> str:
    rows = random.Random(1).randbytes(ROW.itemsize * 20)
    table = bytearray(rows)
    for row in range(20):  # finite positions and sizes: the exponent's top bit is cleared
        for number in range(6):
            table[row * 32 + number * 4 + 3] &= 0x3F
        table[row * 32 + 28 : row * 32 + 32] = bytes([128, 255, 128, 128])  # unit length, as from every writer
    file = folder / rng.choice(["scene.splat"] * 12 + ["scene.ply", "scene.txt"])
    file.write_bytes(damaged_bytes(rng, bytes(table)) if rng.random() < 0.3 else bytes(table))
    return str(file if rng.random() < 0.9 else folder / rng.choice(["none.ply", "a\udcff.splat", "."]))


def target_name(rng: random.Random, folder: Path, suffixes: list[str]) -> str:
    name = rng.choice(["out", "out", "o\udcfft", "a\nb", "\u202ex", "no/folder", "scene"]) + rng.choice(
        [*suffixes * 4, ".txt"]
    )
    return rng.choice([str(folder / name)] * 16 + ["", "/", str(folder), "/dev/null/x.ply"])


def _convert(rng: random.Random, folder: Path) -> Case:
    source = scene_file(rng, folder)
    target = target_name(rng, folder, [".ply", ".spz", ".splat", ".sog", ".compressed.ply"])

    def check(new: set[str]) -> None:
        assert len(read_scene(target)) >= 1

    return _case(
        ["convert", source, target, *maybe(rng, {"--min-opacity": ["0.1", "1", "2"], "--json": []})], folder, check
    )


def _inspect(rng: random.Random, folder: Path) -> Case:
    def check(new: set[str]) -> None:
        assert not new

    return _case(["inspect", scene_file(rng, folder), *maybe(rng, {"--json": []}, most=1)], folder, check)


def _render(rng: random.Random, folder: Path) -> Case:
    target = target_name(rng, folder, [".gif", ".webp", ".mp4"] if rng.random() < 0.3 else [".gif"])
    words = ["render", scene_file(rng, folder), "--out", target, "--quiet"]
    given = maybe(rng, {
        "--trajectory": ["forward", "zoom_in", path_file(rng, folder)], "--param": ["amplitude=0.2", "factor=2"],
        "--fov": ["50"], "--frames": ["3"], "--quality": ["low"], "--depth": [], "--json": [], "--device": ["cpu"],
    })  # fmt: skip
    size = ["--size", rng.choice(["32x48"] * 20 + ["0x32", "1x1", "31x33", *WORDS[-20:-8]])]
    length = [
        "--fps",
        rng.choice(["2"] * 20 + ["0", "61", *WORDS[:6]]),
        "--seconds",
        rng.choice(["1"] * 30 + ["0", "61", "nan"]),
    ]
    return _case([*words, *size, *length, *given], folder, lambda new: check_pictures(Path(target)))


def check_pictures(target: Path) -> None:
    assert target.stat().st_size > 20  # an all-white picture is small
    if target.suffix in (".gif", ".webp", ".png"):
        with Image.open(target) as image:
            image.load()


def path_file(rng: random.Random, folder: Path) -> str:
    form = rng.choice([requests_and_paths.own_path, requests_and_paths.original_path, requests_and_paths.nerf_path])
    data = form(rng) if rng.random() < 0.4 else damaged(rng, form(rng))
    file = folder / rng.choice(["path.json", "p\udcff.json", "a\x1b[1m.json"])
    file.write_bytes(json.dumps(data).encode() if rng.random() < 0.5 else json_bytes(rng, data))
    return str(file if rng.random() < 0.95 else rng.choice([folder / "none.json", "/dev/zero.json", folder / ".json"]))


def _trajectory(rng: random.Random, folder: Path) -> Case:
    action = rng.choice(["convert"] * 6 + ["preview", "list", rng.choice(WORDS)])
    source = rng.choice(
        [path_file(rng, folder), path_file(rng, folder), "forward", "shake", rng.choice([*WORDS, *STRINGS[5:12]])]
    )
    suffixes = [".png", ".png", ".png", ".gif"] if action == "preview" else [".json"]
    target = target_name(rng, folder, suffixes) or str(folder)  # an empty name means standard output
    words = ["trajectory", action, source, "--out", target]
    words += maybe(rng, {
        "--to": ["transforms", "flashworld"], "--param": ["amplitude=0.2"], "--frames": ["5"], "--size": ["64x96", "96x64"],
        "--fov": ["70"], "--json": [],
    })  # fmt: skip

    def check(new: set[str]) -> None:
        if action == "convert":
            assert "cameras" in json.loads(Path(target).read_text()) or "frames" in json.loads(Path(target).read_text())
        elif action == "preview":
            check_pictures(Path(target))

    return _case(words, folder, check)


def model_without_weights(folder: Path) -> Path:
    model = folder / "model"
    model.mkdir()
    shutil.copy(NANO_DIR / "config.json", model)
    return model


def _generate(rng: random.Random, folder: Path) -> Case:
    """Requests are checked before a model is opened: a model without weights ends those that are not refused."""
    model = model_without_weights(folder)
    request = folder / rng.choice(["request.json", "a.json", "a\udcff.json"])
    form = rng.choice([requests_and_paths.own_request, requests_and_paths.original_request])
    data = damaged(rng, form(rng)) if rng.random() < 0.7 else form(rng)
    request.write_bytes(json_bytes(rng, data))
    picture = folder / rng.choice(["a.png", "a.svg"])
    picture.write_bytes(damaged_bytes(rng, pictures.picture_file(rng.randrange(20), 0)))
    if rng.random() < 0.5:
        words = [str(request), *maybe(rng, {"--seed": ["3"], "--video-fps": ["5"], "--no-video": []})]
    else:
        words = maybe(rng, {
            "--image": [str(picture), str(folder)], "--text": ["a room", *STRINGS[5:14]], "--trajectory": ["forward", path_file(rng, folder)],
            "--frames": ["3"], "--size": ["64x96"], "--fov": ["60"], "--image-index": ["1"], "--param": ["amplitude=1"],
            "--offload": ["text", "vae"], "--input_dir": [str(folder)],
        }, most=4)  # fmt: skip
    words = ["generate", *words, "--model", str(model), "--out", str(folder / "results"), "--quiet"]

    def call() -> None:
        try:
            run(words, folder, set())
        except Failed as error:
            if "weights" not in str(error):
                raise
            check_sentence(str(error))

    return Case(call, lambda _: None)


TARGETS = (
    Target("command, convert", 8, _convert),
    Target("command, inspect", 6, _inspect),
    Target("command, render", 4, _render),
    Target("command, trajectory", 8, _trajectory),
    Target("command, generate", 8, _generate),
)
