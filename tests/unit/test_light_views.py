"""The views of a path that a light scene is optimised for, and the others on which it is compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.scenes import room_cameras
from flashworld import lighten as lightening
from flashworld.cameras import Cameras
from flashworld.cli import main
from flashworld.io.scenes import read_scene, write_scene
from flashworld.light_views import split_views
from flashworld.lighten import lighten, psnr_along
from flashworld.serving.light import COMPARED_VIEWS, LIGHT_VIEWS
from flashworld.trajectories import resample
from flashworld.trajectories.json_forms import parse_trajectory

COFFEE = Path(__file__).parents[2] / "examples" / "coffee" / "result"
SIZE = (96, 144)


def straight(count: int) -> Cameras:
    """Cameras one unit apart along x: the position is the place on the path."""
    positions = torch.zeros(count, 3)
    positions[:, 0] = torch.arange(count)
    return Cameras(torch.tensor([[1.0, 0, 0, 0]]).expand(count, 4), positions, torch.ones(count, 4))


def places(cameras: Cameras) -> list[float]:
    return cameras.positions[:, 0].tolist()


@pytest.mark.parametrize("compared", [1, 3, 6])
@pytest.mark.parametrize("count", [*range(2, 31), 97, 1000])
def test_compared_views_are_new_and_spread_over_the_whole_path(count, compared):
    views = split_views(straight(count), 6, compared)
    used, shown = places(views.optimised), places(views.compared)
    assert not set(used) & set(shown)
    assert min(count - 1, compared) == len(shown) == len(set(shown))
    assert shown == sorted(shown) and 0 < shown[0] and shown[-1] < count - 1 + 1e-6
    share = (count - 1) / len(shown)
    for part, place in enumerate(shown):
        assert abs(place - (part + 0.5) * share) <= 1.5 * max(1.0, share / 2), "one view for each part of the path"
    assert abs(sum(shown) / len(shown) - (count - 1) / 2) <= 1


def test_long_path_is_compared_on_its_own_views():
    views = split_views(straight(24), 6, 3)
    assert places(views.optimised) == [0, 4, 8, 12, 16, 20]
    assert places(views.compared) == [3, 11, 19]


def test_short_path_is_compared_halfway_between_its_views():
    views = split_views(straight(8), 6, 3)
    assert places(views.optimised) == list(range(8))
    assert places(views.compared) == pytest.approx([1.5, 3.5, 5.5])
    assert places(split_views(straight(2), 6, 3).compared) == [0.5]


def test_a_single_view_is_compared_with_itself():
    views = split_views(straight(1), 6, 3)
    assert places(views.optimised) == places(views.compared) == [0]


def test_halfway_views_turn_with_the_path():
    path = room_cameras(5, *SIZE)
    halfway = split_views(path, 6, 4).compared
    torch.testing.assert_close(halfway.c2w, resample(path, 9)[1::2].c2w)


@pytest.mark.parametrize("part", [2, 8])
@pytest.mark.parametrize("count", [8, 24])
def test_figure_is_that_of_the_whole_path(part, count):
    """The detail of this scene lies where its path ends, so that views near the start flatter: by 1.7 dB at half the size."""
    scene = read_scene(COFFEE / "scene.spz")
    path = parse_trajectory((COFFEE / "path.json").read_text(), height=SIZE[0], width=SIZE[1], fov_y_deg=60.0).cameras
    views = split_views(resample(path, count), LIGHT_VIEWS, COMPARED_VIEWS)
    light = lighten(scene, len(scene) // part, views.optimised)
    whole = psnr_along(scene, light, resample(path, 24), *SIZE)
    assert abs(psnr_along(scene, light, views.compared, *SIZE) - whole) < 0.5


def test_convert_compares_on_views_it_was_not_optimised_for(make_scene, tmp_path, capsys, monkeypatch):
    used = []
    for name in ("lighten", "psnr_along"):
        function = getattr(lightening, name)
        monkeypatch.setattr(lightening, name, lambda *given, f=function: used.append(given) or f(*given))
    scene = make_scene(count=300)
    scene.means[:, 2] -= 6
    write_scene(scene, tmp_path / "a.ply")
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.ply"), "--count", "100", "--json"]) == 0
    assert 5 < json.loads(capsys.readouterr().out)["psnr_db"] < 60
    optimised, compared = used[0][2], used[1][2]
    assert len(optimised) == len(compared) == 6
    assert float((compared.c2w[:, None] - optimised.c2w[None]).flatten(2).norm(dim=2).min()) > 1e-3
