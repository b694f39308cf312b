"""Every shipped example is a complete request that loads, for the full model and for a small one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from flashworld.config import FULL
from flashworld.inputs import build_request
from flashworld.io.request_json import load_request_file

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/request.json"))
SMALL = replace(FULL, name="small", frames=8, height=192, width=288)
MAX_PICTURE_BYTES = 120_000


def test_examples_cover_several_kinds_of_input():
    requests = [load_request_file(EXAMPLES / name, defaults=SMALL) for name in NAMES]
    assert len(requests) >= 8
    assert len({r.path.name for r in requests}) >= 8
    assert sum(r.picture is None for r in requests) >= 2
    assert {r.height > r.width for r in requests} == {True, False}
    assert any(r.image_index for r in requests)


@pytest.mark.parametrize("config", [FULL, SMALL], ids=lambda c: c.name)
@pytest.mark.parametrize("name", NAMES)
def test_an_example_loads(name, config):
    request = load_request_file(EXAMPLES / name, defaults=config)
    assert request.text and request.frames == config.frames == len(request.cameras)
    assert {request.height, request.width} == {config.height, config.width}
    assert request.seed == json.loads((EXAMPLES / name / "request.json").read_text())["seed"]


@pytest.mark.parametrize("name", NAMES)
def test_an_examples_picture_is_small_ready_and_credited(name):
    image = json.loads((EXAMPLES / name / "request.json").read_text())["image"]
    about = json.loads((EXAMPLES / name / "about.json").read_text())
    assert about["title"] and about["caption"]
    if image is None:
        return
    path = EXAMPLES / name / image
    assert path.stat().st_size <= MAX_PICTURE_BYTES
    with Image.open(path) as picture:
        assert picture.size in ((704, 480), (480, 704)) and picture.mode == "RGB"
    assert about["credit"] and about["licence"] and f"`{name}`" in (EXAMPLES / "LICENSES.md").read_text()


def test_the_simple_trajectory_moves_forward():
    trajectory = json.loads((EXAMPLES / "simple_trajectory.json").read_text())
    assert len(trajectory["cameras"]) == 5
    positions = build_request(text="x", trajectory=trajectory, frames=5, defaults=SMALL).cameras.positions
    assert positions[:, 2].tolist() == [0, -0.5, -1, -1.5, -2] and not positions[:, :2].any()
