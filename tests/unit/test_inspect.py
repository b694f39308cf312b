"""`flashworld inspect` and the report behind it: statistics of a scene, and its anomalies."""

from __future__ import annotations

import json

import pytest
import torch

from flashworld.cli import main
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import SCENE_SUFFIXES, write_scene
from flashworld.scene_report import inspect_scene


@pytest.fixture
def scene(make_scene) -> Gaussians:
    """A scene in front of a camera at the origin."""
    made = make_scene(count=500)
    made.means[:, 2] -= 12
    return made


def test_counts_bounds_and_histograms_are_those_of_the_scene(scene):
    report = inspect_scene(scene)
    assert report.count == 500 and report.sh_degree == 2
    assert report.lowest == pytest.approx(scene.means.amin(0).tolist())
    assert report.highest == pytest.approx(scene.means.amax(0).tolist())
    assert report.middle_lowest > report.lowest
    for histogram, values in (
        (report.opacity_histogram, scene.opacities),
        (report.scale_histogram, scene.scales.amax(1)),
    ):
        assert sum(count for _, _, count in histogram) == 500
        for low, high, count in histogram:
            assert count == int(((values >= low) & ((values < high) | (values == 1))).sum())
    assert report.odd == [] and report.axes.up == "+y"


def changed(scene: Gaussians, **fields: torch.Tensor) -> Gaussians:
    return Gaussians(**{name: fields.get(name, getattr(scene, name)) for name in vars(scene)})


def test_anomalies_are_named(scene):
    scales = scene.scales.clone()
    scales[:100, 0] *= 1e5
    assert any("needles" in sentence for sentence in inspect_scene(changed(scene, scales=scales)).odd)
    faint = inspect_scene(changed(scene, opacities=torch.full((500,), 1e-3))).odd
    assert (
        "100% of the Gaussians are too faint to be drawn (opacity below 1/255)" in faint
        and "all opacities are 0.001" in faint
    )
    means = scene.means.clone()
    means[7] = 1e5
    assert (
        "1 Gaussians lie more than 20 times the scene's extent away" in inspect_scene(changed(scene, means=means)).odd
    )
    assert "all Gaussians lie in one place" in inspect_scene(changed(scene, means=torch.zeros(500, 3))).odd


def test_command_says_which_way_is_up(scene, tmp_path, capsys):
    file = tmp_path / "a.spz"
    for signs, up, words in (([1.0, 1, 1], "+y", "axes guess: y up"), ([1.0, -1, -1], "-y", "axes guess: y down")):
        write_scene(changed(scene, means=scene.means * torch.tensor(signs)), file)
        assert main(["inspect", str(file)]) == 0
        assert words in capsys.readouterr().out
        assert main(["inspect", str(file), "--json"]) == 0
        axes = json.loads(capsys.readouterr().out)["axes"]
        assert set(axes) == {"up", "confidence", "evidence", "advice"} and axes["up"] == up


@pytest.mark.parametrize("suffix", SCENE_SUFFIXES)
def test_command_reads_every_format(suffix, scene, tmp_path, capsys):
    file = tmp_path / f"a{suffix}"
    write_scene(scene, file)
    assert main(["inspect", str(file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["count"] == 500 and data["format"] == suffix and data["bytes"] == file.stat().st_size
    assert main(["inspect", str(file)]) == 0
    assert "500 Gaussians" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", SCENE_SUFFIXES)
def test_convert_takes_every_format_in_and_out(suffix, scene, tmp_path):
    write_scene(scene, tmp_path / "a.ply")
    target, back = tmp_path / f"b{suffix}", tmp_path / "c.ply"
    assert main(["convert", str(tmp_path / "a.ply"), str(target), "--quiet"]) == 0
    assert main(["convert", str(target), str(back), "--quiet"]) == 0
    assert back.stat().st_size > 500 * 68
