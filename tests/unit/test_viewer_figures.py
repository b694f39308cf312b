"""Reports on other viewers: how a picture is classified, and that the documentation holds the latest report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.formats import read_by
from benchmarks.viewers.compare import TURNS, orientation, psnr_db
from benchmarks.viewers.programs import BPY, PACKAGES, versions
from docs import make_viewers
from docs.make_viewers import TABLES, filled

REPORT = json.loads(make_viewers.FIGURES.read_text())


@pytest.fixture
def photograph() -> np.ndarray:
    """A picture without symmetry. (H, W, 3)"""
    rng = np.random.default_rng(1)
    return np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def test_a_slightly_different_picture_is_still_upright(photograph):
    noisy = np.clip(photograph + np.random.default_rng(2).normal(0, 8, photograph.shape), 0, 255).astype(np.uint8)
    assert orientation(photograph, photograph) == orientation(noisy, photograph) == "upright"
    assert 25 < psnr_db(noisy, photograph) < 35


@pytest.mark.parametrize("way", TURNS)
def test_a_transformed_picture_is_classified_by_its_transform(way, photograph):
    assert orientation(TURNS[way](photograph), photograph) == way


def test_another_picture_is_classified_as_unlike(photograph):
    other = np.random.default_rng(5).integers(0, 256, photograph.shape).astype(np.uint8)
    assert orientation(other, photograph) == "unlike"
    assert orientation(np.full_like(photograph, 255), photograph) == "unlike"


@pytest.mark.parametrize("target", make_viewers.TARGETS, ids=lambda path: path.name)
def test_documents_hold_the_latest_report(target):
    text = target.read_text()
    assert make_viewers.MARKED.search(text)
    assert text == filled(text, REPORT), "python -m docs.make_viewers"


def test_every_table_is_shown_and_every_picture_is_small():
    texts = "".join(target.read_text() for target in make_viewers.TARGETS)
    assert all(f"<!-- viewers: {name} -->" in texts for name in TABLES)
    for name in make_viewers.PICTURE_NAMES:
        assert 0 < (make_viewers.PICTURES / f"{name}.webp").stat().st_size <= make_viewers.MAX_PICTURE_BYTES


def test_report_is_of_the_pinned_versions():
    assert REPORT["versions"] == {**versions(), "bpy": BPY}
    lock = json.loads((PACKAGES / "package-lock.json").read_text())["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in versions()} == versions()
    assert all("integrity" in entry for place, entry in lock.items() if place)


def test_only_programs_that_passed_are_named_as_readers():
    assert {"splat-transform", "spark"} <= set(read_by(".sog"))
    failed = json.loads(json.dumps(REPORT))
    for row in failed["viewers"]:
        row["passed"] = row["viewer"] != "spark"
    assert "Spark" in "".join(TABLES["sizes"](REPORT)) and "Spark" not in "".join(TABLES["sizes"](failed))
    assert "(fails)" in "".join(TABLES["viewers"](failed))


def test_report_of_some_viewers_replaces_only_their_rows():
    new = {"viewers": [{"viewer": "spark", "format": ".ply", "passed": False}], "gaussians": 7}
    both = make_viewers.merged(REPORT, new)
    assert [row for row in both["viewers"] if row["viewer"] == "spark"] == new["viewers"]
    kept = [row for row in REPORT["viewers"] if row["viewer"] != "spark"]
    assert [row for row in both["viewers"] if row["viewer"] != "spark"] == kept
    assert both["gaussians"] == 7 and both["sizes"] == REPORT["sizes"]
