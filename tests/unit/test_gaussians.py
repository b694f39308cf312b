"""Scenes in memory: laws of pruning and measuring."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras
from flashworld.errors import SceneError
from flashworld.gaussians import (
    Gaussians,
    bounding_box,
    focus_point,
    picture_importance,
    prune_by_opacity,
    prune_to_count,
    require_finite,
)

FIELDS = ("means", "quats_wxyz", "scales", "opacities", "sh")


def camera(*positions: tuple[float, float, float]) -> Cameras:
    """Cameras that look along -z, 90 degrees wide, in a square picture."""
    n = len(positions)
    quats = torch.tensor([[1.0, 0, 0, 0]]).expand(n, 4)
    return Cameras(
        quats, torch.tensor(positions, dtype=torch.float32), torch.tensor([[0.5, 0.5, 0.5, 0.5]]).expand(n, 4)
    )


def dots(means, scales=0.1, opacities=0.5) -> Gaussians:
    means = torch.tensor(means, dtype=torch.float32)
    n = len(means)
    return Gaussians(
        means,
        torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        torch.as_tensor(scales, dtype=torch.float32).reshape(-1, 1).expand(n, 3).clone(),
        torch.as_tensor(opacities, dtype=torch.float32).expand(n).clone(),
        torch.zeros(n, 1, 3),
    )


def same(a: Gaussians, b: Gaussians) -> bool:
    return all(torch.equal(getattr(a, field), getattr(b, field)) for field in FIELDS)


def test_vectors_and_back_is_the_identity(make_scene):
    scene = make_scene()
    vectors = scene.to_vectors()
    assert vectors.shape == (200, 38)
    assert same(Gaussians.from_vectors(vectors), scene)
    assert torch.equal(Gaussians.from_vectors(vectors).to_vectors(), vectors)
    assert Gaussians.from_vectors(vectors).means.data_ptr() == vectors.data_ptr()  # a view, no copy


def test_vector_columns_are_the_documented_ones():
    scene = Gaussians.from_vectors(torch.arange(38.0)[None])
    assert scene.means.tolist() == [[0, 1, 2]]
    assert scene.opacities.tolist() == [3]
    assert scene.scales.tolist() == [[4, 5, 6]]
    assert scene.quats_wxyz.tolist() == [[7, 8, 9, 10]]
    assert scene.sh[0, 0].tolist() == [11, 12, 13]
    assert scene.sh[0, 8].tolist() == [35, 36, 37]
    assert (len(scene), scene.sh_degree) == (1, 2)


@pytest.mark.parametrize("coefficients", [2, 3, 5, 8])
def test_sh_must_be_whole_bands(coefficients, make_scene):
    scene = make_scene()
    with pytest.raises(SceneError, match="1, 4, 9 or 16 coefficients"):
        Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities, torch.zeros(200, coefficients, 3))


def test_shapes_must_agree(make_scene):
    scene = make_scene()
    with pytest.raises(SceneError, match=r"opacities must have shape \(200,\), got \(200, 1\)"):
        Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities[:, None], scene.sh)
    with pytest.raises(SceneError, match="quats_wxyz"):
        Gaussians(scene.means, scene.quats_wxyz[:-1], scene.scales, scene.opacities, scene.sh)


@pytest.mark.parametrize("field", FIELDS)
def test_require_finite_names_the_field(field, make_scene):
    scene = make_scene()
    require_finite(scene, "here")
    getattr(scene, field).view(-1)[-1] = math.inf
    with pytest.raises(SceneError, match=f"here: {field} of the scene must be finite"):
        require_finite(scene, "here")
    with pytest.raises(SceneError, match="holds no Gaussians"):
        require_finite(scene[:0], "here")


def test_scaling_multiplies_positions_and_sizes_alike(make_scene):
    scene = make_scene()
    back = scene.scaled(4.0).scaled(0.25)
    assert same(back, scene)
    assert torch.equal(scene.scaled(4.0).scales, scene.scales * 4)


@settings(max_examples=25, deadline=None)
@given(threshold=st.floats(-1, 1.1))
def test_prune_by_opacity_keeps_exactly_those_at_or_above(threshold, make_scene):
    scene = make_scene()
    kept = prune_by_opacity(scene, threshold)
    expected = int((scene.opacities.double() >= threshold).sum())
    assert abs(len(kept) - expected) <= 1  # the threshold may lie between a float32 and a float64
    assert (kept.opacities >= min(threshold, 1e9) - 1e-6).all()
    assert same(prune_by_opacity(kept, threshold), kept)


def test_prune_by_opacity_at_its_edges(make_scene):
    scene = make_scene()
    assert prune_by_opacity(scene, 0) is scene
    assert len(prune_by_opacity(scene, 1.1)) == 0
    scene.opacities[:3] = torch.tensor([0.25, 0.25 - 1e-6, 0.0])
    assert torch.equal(prune_by_opacity(scene[:3], 0.25).opacities, scene.opacities[:1])


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 250))
def test_prune_to_count_keeps_the_most_important_in_order(count, make_scene):
    scene = make_scene()
    cameras = camera((0, 0, 6), (1, 0, 6))
    kept = prune_to_count(scene, count, cameras)
    assert len(kept) == min(count, len(scene))
    importance = picture_importance(scene, cameras)
    if 0 < count < len(scene):
        threshold = picture_importance(kept, cameras).min()
        assert int((importance > threshold).sum()) <= count
        positions = [int((scene.means == mean).all(dim=1).nonzero()[0]) for mean in kept.means]
        assert positions == sorted(positions)


def test_near_large_and_opaque_gaussians_are_more_important():
    #           near        far         hidden behind  beside the view  large far
    scene = dots([[0, 0, -1], [0, 0, -10], [0, 0, 5], [30, 0, -1], [0, 0, -10]], scales=[0.1, 0.1, 9, 9, 2])
    importance = picture_importance(scene, camera((0, 0, 0)))
    assert importance[2] == importance[3] == 0
    assert importance[0] > importance[1]
    assert importance[4] > importance[0]
    torch.testing.assert_close(importance[0] / importance[1], torch.tensor(100.0))
    faint = dots([[0, 0, -1], [0, 0, -1]], opacities=[0.1, 0.9])
    kept = prune_to_count(faint, 1, camera((0, 0, 0)))
    assert kept.opacities.tolist() == pytest.approx([0.9])


def test_importance_takes_every_camera_into_account():
    scene = dots([[0, 0, -1], [0, 0, 5]])
    kept = prune_to_count(scene, 1, camera((0, 0, 5.5)))  # looks at both; the second is near
    assert kept.means.tolist() == [[0, 0, 5]]
    both = picture_importance(scene, camera((0, 0, 0), (0, 0, 6)))
    assert (both > 0).all()


def test_pruned_picture_keeps_its_painted_area(make_scene):
    """Keeping a tenth keeps far more than a tenth of what is painted, and more than the first tenth does."""
    scene = make_scene(count=5000)
    scene = Gaussians(scene.means, scene.quats_wxyz, scene.scales**2 * 20, scene.opacities, scene.sh)
    view = camera((0, 0, 8))
    total = picture_importance(scene, view).sum()
    kept = picture_importance(prune_to_count(scene, 500, view), view).sum()
    first = picture_importance(scene[:500], view).sum()
    assert kept > 0.5 * total
    assert kept > 3 * first


def test_bounding_box_excludes_outliers():
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(1000, 3, generator=generator)
    means[0] = 1e6
    means[1] = -1e6
    low, high = bounding_box(dots(means.tolist()))
    assert (low >= 0).all() and (low < 0.05).all()
    assert (high <= 1).all() and (high > 0.95).all()
    low, high = bounding_box(dots(means.tolist()), quantile=0)
    assert low.tolist() == [-1e6] * 3
    assert high.tolist() == [1e6] * 3
    low, high = bounding_box(dots([[1.0, 2.0, 3.0]]))
    assert low.tolist() == high.tolist() == [1, 2, 3]


def test_focus_point_is_straight_ahead_at_a_near_depth():
    scene = dots([[0.0, 0.1, -2.0 - i] for i in range(11)] + [[0, 0, 7.0]] * 30)  # the last are behind
    view = camera((0, 0, 0))
    torch.testing.assert_close(focus_point(scene, view, quantile=0.0), torch.tensor([0.0, 0.0, -2.0]))
    torch.testing.assert_close(focus_point(scene, view, quantile=0.5), torch.tensor([0.0, 0.0, -7.0]))


def test_focus_point_of_a_scene_out_of_sight_is_one_unit_ahead():
    scene = dots([[0.0, 0.0, 9.0]])
    turned = Cameras(
        torch.tensor([[math.sqrt(0.5), 0, math.sqrt(0.5), 0]]),  # a quarter turn to the left: looks along -x
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.tensor([[0.5, 0.5, 0.5, 0.5]]),
    )
    torch.testing.assert_close(focus_point(scene, turned), torch.tensor([0.0, 2.0, 3.0]))


def test_callers_scene_is_never_modified(make_scene):
    scene = make_scene()
    copy = Gaussians(*(getattr(scene, field).clone() for field in FIELDS))
    view = camera((0, 0, 6))
    prune_by_opacity(scene, 0.5)
    prune_to_count(scene, 10, view)
    scene.scaled(2.0)
    bounding_box(scene)
    focus_point(scene, view)
    assert same(scene, copy)
