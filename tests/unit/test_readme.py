"""The README is true: its commands run, its code runs, its JSON loads, its names, numbers and links exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import flashworld
from docs import make_command_line, make_licences
from flashworld import limits
from flashworld.checkpoints.hub import CHECKPOINT_FILE, TEXT_CONFIG_FILE, TEXT_INDEX_FILE, TOKENIZER_FILE, VAE_FILE
from flashworld.cli import build_parser, main
from flashworld.config import FLASHWORLD_REPOSITORY, FULL, WAN_REPOSITORY
from flashworld.io.request_json import load_request_file, request_from_json
from flashworld.nano.sizes import NANO
from flashworld.trajectories import PRESETS
from flashworld.trajectories.json_forms import parse_trajectory

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FRONT, BODY = re.fullmatch(r"---\n(.*?)\n---\n(.*)", README, re.DOTALL).groups()
SPACE = yaml.safe_load(FRONT)
FENCES = re.findall(r"^```([a-z ]*)\n(.*?)^```", BODY, re.DOTALL | re.MULTILINE)
SMALL = {"frames": 3, "height": 64, "width": 96, "video": {"fps": 2, "seconds": 1}}
"""What makes the README's examples fast: nothing else of them is changed."""
SMALL_OPTIONS = ("--frames", "3", "--size", "64x96", "--video-fps", "2", "--video-seconds", "1")
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def blocks(kind: str) -> list[str]:
    return [text for name, text in FENCES if name == kind]


def commands(kind: str) -> list[list[str]]:
    return [shlex.split(line.removeprefix("$ ")) for text in blocks(kind) for line in text.splitlines()]


def library_commands(kind: str) -> list[list[str]]:
    return [words[3:] for words in commands(kind) if words[:3] == ["python", "-m", "flashworld"]]


@pytest.fixture
def sandbox(tmp_path, monkeypatch) -> Path:
    """A working folder with small editions of the examples."""
    for name in ("coffee", "cat"):
        shutil.copytree(ROOT / "examples" / name, tmp_path / "examples" / name)
        file = tmp_path / "examples" / name / "request.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | SMALL))
    shutil.copy(ROOT / "examples" / "simple_trajectory.json", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_front_matter_is_what_a_space_takes():
    assert {"title", "emoji", "tags", "models"} <= SPACE.keys()
    assert {SPACE["colorFrom"], SPACE["colorTo"]} <= COLOURS
    assert len(SPACE["short_description"]) <= 60
    assert (SPACE["sdk"], SPACE["license"], SPACE["python_version"]) == ("gradio", "apache-2.0", "3.12")
    assert (ROOT / SPACE["app_file"]).name == "app.py"
    assert f"gradio=={SPACE['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert re.fullmatch(r"\d+[hm]", SPACE["startup_duration_timeout"])


def test_the_space_preloads_exactly_the_pinned_files_that_are_read():
    entries = {entry.split()[0]: entry.split()[1:] for entry in SPACE["preload_from_hub"]}
    assert list(entries) == [WAN_REPOSITORY.repo_id, FLASHWORLD_REPOSITORY.repo_id]
    assert SPACE["models"] == [FLASHWORLD_REPOSITORY.repo_id, WAN_REPOSITORY.repo_id]
    wan, revision = entries[WAN_REPOSITORY.repo_id]
    shards = [name for name in wan.split(",") if re.fullmatch(r"text_encoder/model-\d{5}-of-\d{5}\.safetensors", name)]
    assert len(shards) == int(shards[0][-17:-12])
    assert {*wan.split(",")} == {TOKENIZER_FILE, TEXT_CONFIG_FILE, TEXT_INDEX_FILE, VAE_FILE, *shards}
    assert revision == WAN_REPOSITORY.revision
    assert entries[FLASHWORLD_REPOSITORY.repo_id] == [CHECKPOINT_FILE, FLASHWORLD_REPOSITORY.revision]


def test_packages_are_one_name_a_line():
    lines = (ROOT / "packages.txt").read_text().splitlines()
    assert lines and all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line) for line in lines)


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/limits.md", "docs/licences.md"])
def test_links_lead_somewhere(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        target = "".join(target)
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("http"):
            assert ((ROOT / file).parent / target.partition("#")[0]).exists(), target


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    told = README + (ROOT / "CONTRIBUTING.md").read_text()
    for name in re.findall(r"(?:`|\$ )make ([a-z-]+)", told):
        assert re.search(rf"^{name}:", makefile, re.M), name


@pytest.mark.slow
def test_commands_run(sandbox, capsys):
    for words in library_commands("console"):
        if words[0] == "generate":
            from_files = "--image" not in words
            words = [*words, "--model", "nano", "--quiet", *(() if from_files else SMALL_OPTIONS)]
        if words[0] == "render":
            words = [*words, "--size", "64x96", "--fps", "4", "--quiet"]
        assert main(words) == 0, (words, capsys.readouterr().err)
    made = {str(p.relative_to(sandbox / "out")) for p in (sandbox / "out").rglob("*.*")}
    assert {"coffee/scene.ply", "coffee/scene.splat", "cat/request.json", "spiral.mp4", "path.webp"} <= made
    named = set(re.findall(r"`(\w+\.\w+)`", re.search(r"`generate` writes.*?;", BODY).group()))
    assert named == {p.name for p in (sandbox / "out" / "cat").iterdir()}
    again = {p.name for p in (sandbox / "again" / "cat").iterdir()}
    assert again == named - {"video.mp4"} and (sandbox / "again" / "coffee").is_dir()
    assert (sandbox / "transforms.json").is_file()


def test_commands_for_a_gpu_parse():
    from aot.cli import build_parser as aot_parser

    parsers = {"flashworld": build_parser(), "aot": aot_parser()}
    for python, option, program, *words in commands("bash"):
        assert (python, option) == ("python", "-m")
        parsers[program].parse_args(words)


@pytest.mark.slow
def test_python_example_runs(sandbox, monkeypatch, capsys):
    small = flashworld.FlashWorldPipeline.from_nano()
    sizes = {name: SMALL[name] for name in ("frames", "height", "width")}
    small.networks = replace(small.networks, config=replace(small.networks.config, **sizes))
    monkeypatch.setattr(flashworld.FlashWorldPipeline, "from_pretrained", lambda source: small)
    (code,) = blocks("python")
    shared: dict = {}
    exec(compile(code, "README.md", "exec"), shared)
    said = capsys.readouterr().out
    assert "Denoising the views: step 4 of 4" in said and "Gaussians by nano" in said
    assert all(path.is_file() for path in shared["files"].values())


def test_client_example_names_what_the_api_has():
    (code,) = blocks("python client")
    compile(code, "README.md", "exec")
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
    table = BODY.partition("## Requests")[2].partition("**Axes and units.**")[0]
    for text in (
        f"up to {limits.MAX_PROMPT_CHARS} characters", f"{limits.MIN_FRAMES} to {limits.MAX_FRAMES} |",
        f"{limits.MIN_SIDE_PX} to {limits.MAX_SIDE_PX}, multiples of {limits.SIZE_MULTIPLE}",
        f"0 to {limits.MAX_SEED} ", f"{limits.MIN_FOV_DEG:g} to {limits.MAX_FOV_DEG:g}, for paths",
        f"{FULL.frames} (nano {NANO.frames})", f"{FULL.height} x {FULL.width}", f"{NANO.height} x {NANO.width}",
    ):  # fmt: skip
        assert text in table, text
    least = request_from_json({"format": "flashworld-request", "version": 1, "text": "a"})
    assert (least.image_index, least.path.name, least.video.fps, least.video.quality) == (0, "orbit_right", 24, "high")
    assert least.video.seconds == 6


def test_every_environment_variable_of_the_code_is_in_the_settings():
    sources = [p for part in ("flashworld", "aot", "ui") for p in (ROOT / part).rglob("*.py")]
    code = "\n".join(p.read_text() for p in [*sources, *ROOT.glob("app.py")])
    read = {name for name in re.findall(r"""["'](FLASHWORLD_[A-Z_]+)["']""", code)}
    told = set(re.findall(r"`(FLASHWORLD_[A-Z_]+)`", BODY.partition("## Settings")[2].partition("## Command")[0]))
    assert told == read


def test_options_of_the_app_are_in_the_settings():
    from flashworld.cli.models import add_model_options

    parser = make_command_line.argparse.ArgumentParser()
    add_model_options(parser)
    told = set(re.findall(r"`(--\w+)`", BODY.partition("`python app.py` takes")[2].partition("## Command")[0]))
    assert told == {name for name in parser._option_string_actions if name not in ("-h", "--help")} | {
        "--host",
        "--port",
    }


def test_generated_pages_are_up_to_date():
    assert make_command_line.TARGET.read_text() == make_command_line.generate(), "python -m docs.make_command_line"
    licences = make_licences.TARGET.read_text()
    for name, version in make_licences.pinned().items():
        assert f"| {name} | {version} |" in licences, "python -m docs.make_licences"


def test_counts_and_programs_named_are_real():
    assert f"{len(PRESETS)} presets with their knobs" in BODY
    examples = len(list((ROOT / "examples").glob("*/request.json")))
    assert {10: "ten"}[examples] + " requests with credited pictures" in BODY
    for module in re.findall(r"`python -m ([\w.]+)`", BODY):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_layout_names_what_is_there():
    layout = BODY.partition("## Layout of the code")[2].partition("```\n\n")[0]
    for name in re.findall(r"^(\S+?)/? {2,}", layout, re.M):
        assert (ROOT / name).exists(), name
    inside = re.findall(r"^  ([a-z_/, ]+?)(?: {2,}|$)", layout, re.M)
    for name in (part.strip(" /") for line in inside for part in line.split(",")):
        path = ROOT / "flashworld" / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name


def test_citation_and_changelog_carry_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert all({"family-names", "given-names"} <= a.keys() or "name" in a for a in citation["authors"])
    assert citation["version"] == flashworld.__version__
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2510.13678"
    assert f"## [{flashworld.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
