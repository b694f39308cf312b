"""Light scenes: the requested count, and an almost unchanged picture."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks.scenes import room_cameras, room_scene
from flashworld.cameras import quat_to_matrix
from flashworld.gaussians import Gaussians, prune_to_count
from flashworld.io.scenes import read_scene
from flashworld.lighten import lighten, merged, psnr_along
from flashworld.trajectories.json_forms import parse_trajectory

VIEWS = room_cameras(3, 48, 64)


def doubled(scene: Gaussians) -> Gaussians:
    """Every Gaussian twice, slightly apart, each with half the opacity."""
    near = Gaussians(scene.means + 1e-4, scene.quats_wxyz, scene.scales, scene.opacities / 2, scene.sh)
    half = Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities / 2, scene.sh)
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh")
    return Gaussians(*(torch.cat([getattr(half, name), getattr(near, name)]) for name in fields))


@pytest.mark.parametrize("count", [3000, 1500, 700, 1])
def test_scene_has_the_stated_count_and_only_valid_numbers(count):
    scene = room_scene(3000)
    light = lighten(scene, count, VIEWS)
    assert len(light) <= count and len(light) >= min(count, 0.9 * count)
    for name in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert bool(torch.isfinite(getattr(light, name)).all()), name
    assert bool((light.scales > 0).all()) and 0 <= float(light.opacities.min()) <= float(light.opacities.max()) <= 1
    torch.testing.assert_close(light.quats_wxyz.norm(dim=1), light.quats_wxyz.norm(dim=1).clamp(min=0.5))


def test_a_small_scene_stays_as_it_is():
    scene = room_scene(100)
    assert lighten(scene, 100, VIEWS) is scene


def test_merging_beats_pruning():
    scene = doubled(room_scene(2000))
    light = psnr_along(scene, lighten(scene, 2000, VIEWS), VIEWS, 48, 64)
    assert light > 2 + psnr_along(scene, prune_to_count(scene, 2000, VIEWS), VIEWS, 48, 64)


def test_a_quarter_of_a_real_scene_looks_like_it():
    folder = Path(__file__).parents[2] / "examples" / "coffee" / "result"
    scene = read_scene(folder / "scene.spz")
    path = parse_trajectory((folder / "path.json").read_text(), height=96, width=144, fov_y_deg=60.0).cameras[::3]
    light = lighten(scene, len(scene) // 4, path)
    assert psnr_along(scene, light, path, 96, 144) > 30
    assert psnr_along(scene, prune_to_count(scene, len(light), path), path, 96, 144) < 20


def test_merging_keeps_the_first_two_moments(make_scene):
    a, b = make_scene(count=50, seed=1), make_scene(count=50, seed=2)
    one = merged(a, b)

    def moments(scene):
        axes = quat_to_matrix(torch.nn.functional.normalize(scene.quats_wxyz, dim=1)) * scene.scales[:, None]
        return scene.means, axes @ axes.mT + scene.means[:, :, None] * scene.means[:, None]

    paint = [part.opacities * part.scales.topk(2, dim=1).values.prod(dim=1) for part in (a, b)]
    share = (paint[0] / (paint[0] + paint[1])).double()
    for found, first, second in zip(moments(one), moments(a), moments(b), strict=True):
        weight = share.view(-1, *[1] * (first.ndim - 1)).float()
        torch.testing.assert_close(found, weight * first + (1 - weight) * second, rtol=1e-3, atol=1e-3)


def test_merging_equal_gaussians_gives_them_back(make_scene):
    scene = make_scene(count=20)
    one = merged(scene, scene)
    torch.testing.assert_close(one.means, scene.means)
    torch.testing.assert_close(one.scales.sort(dim=1).values, scene.scales.sort(dim=1).values, rtol=1e-3, atol=1e-6)
    assert bool((one.opacities >= scene.opacities - 1e-6).all())


def test_psnr_of_equal_scenes_is_infinite():
    scene = room_scene(300)
    assert psnr_along(scene, scene, VIEWS, 48, 64) == math.inf
    assert 5 < psnr_along(scene, room_scene(300, seed=1), VIEWS, 48, 64) < 40
