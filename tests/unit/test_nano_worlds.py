"""Procedural worlds: deterministic in their seed, rendered the same alone or in a batch, with depth that agrees with their geometry."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras, concatenate, intrinsics_from_fov
from flashworld.cameras.raymaps import ray_directions
from flashworld.nano.language import understood
from flashworld.nano.training import photos
from flashworld.nano.training.batches import SEEDS_TRAINING
from flashworld.nano.training.builder import build_worlds
from flashworld.nano.training.layouts import FREE, LANDSCAPE, PORTRAIT
from flashworld.nano.training.raycast import cast, hit_solids, nearest_hit, solid_tables
from flashworld.nano.training.specs import WorldSpec, sample_spec
from flashworld.nano.training.unseen import (
    PATHS,
    SEEDS,
    build_world,
    first_camera,
    hit_present,
    look,
    make_trial,
    nearest,
    surfaces,
    unseen_atlas,
)
from flashworld.nano.training.worlds import BOXES, ELLIPSOIDS, PLANES, SKY_DISTANCE, WorldBatch

SIZES = [(48, 80), (80, 48)]
SMALLEST_SIDE_PX = 150
"""Three quarters of the 192 rows the model sees: the photographed handwriting has 172."""


@pytest.fixture(scope="module")
def atlas():
    return unseen_atlas({})


def camera_of(world: WorldBatch, height: int, width: int) -> Cameras:
    return first_camera(world, intrinsics_from_fov(60.0, height, width))


def fields_of(worlds: WorldBatch) -> list[torch.Tensor]:
    return [getattr(worlds, field.name) for field in dataclasses.fields(worlds)]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_a_seed_determines_the_world(seed):
    assert sample_spec(seed) == sample_spec(seed)
    first, again, other = (fields_of(build_world(sample_spec(s))) for s in (seed, seed, seed + 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("layout", [LANDSCAPE, PORTRAIT])
def test_under_an_exact_layout_the_text_determines_the_world(layout):
    for seed in range(20):
        spec = sample_spec(seed, 0.0)
        first, again = (build_world(dataclasses.replace(spec, seed=s), layout) for s in (seed, seed + 1))
        assert all(torch.equal(a, b) for a, b in zip(fields_of(first), fields_of(again), strict=True))


def test_every_object_is_built_and_marked_as_owner_of_its_solids():
    for seed in range(200):
        spec = sample_spec(seed, 0.0)
        owners = build_world(spec, LANDSCAPE).owner[0]
        assert set(owners.tolist()) - {-1} == set(range(len(spec.things)))


@pytest.mark.parametrize(("height", "width", "layout"), [(96, 144, LANDSCAPE), (144, 96, PORTRAIT)])
def test_exact_places_do_not_overlap_and_lie_in_their_thirds(height, width, layout):
    scene = understood("six medium balls on grass").scene
    world = build_world(WorldSpec(**vars(scene), seed=0), layout)
    surface = surfaces(world, camera_of(world, height, width), height, width)[1]
    columns = (torch.arange(width) + 0.5) / width
    for number, thing in enumerate(scene.things):
        slot = int((world.owner[0] == number).nonzero()[0, 0]) + PLANES
        mask = surface == slot
        assert int(mask.sum()) > 25, thing
        if layout is LANDSCAPE:
            middle = float((mask.sum(0) * columns).sum() / mask.sum())
            assert {"left": 0, "centre": 1, "right": 2}[thing.column] == int(middle * 3), thing
            assert int(mask.sum()) > 0.7 * 3.1 * (0.175 / layout.rows[thing.row] * 0.866 * height) ** 2, "hardly hidden"


def test_benchmark_seeds_are_not_training_seeds():
    assert SEEDS.stop <= SEEDS_TRAINING


def test_worlds_in_a_batch_render_as_they_do_alone(atlas):
    specs = [sample_spec(seed) for seed in range(6)]
    together = build_worlds(specs, atlas.first_picture, 16, FREE)
    cameras = concatenate([camera_of(build_world(spec), 24, 36) for spec in specs])
    rgb, distance, things = cast(together, cameras, atlas, 24, 36, samples=2)
    for i, spec in enumerate(specs):
        alone = build_worlds([spec], atlas.first_picture, 16, FREE)
        for one, all_of_them in zip(fields_of(alone), fields_of(together), strict=True):
            assert torch.equal(one[0], all_of_them[i])
        single, single_distance, single_things = cast(alone, cameras[i], atlas, 24, 36, samples=2)
        torch.testing.assert_close(single[0], rgb[i], rtol=0, atol=1e-5)
        torch.testing.assert_close(single_distance[0], distance[i], rtol=1e-5, atol=1e-5)
        assert float((single_things[0] ^ things[i]).float().mean()) < 0.002
        assert bool(things[i].any()) <= bool(spec.things)
        torch.testing.assert_close(look(alone, cameras[i], atlas, 24, 36).movedim(-1, 0), rgb[i], rtol=0, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 9999))
def test_skipping_absent_solids_changes_no_hit(seed):
    world = build_world(sample_spec(seed))
    rays = ray_directions(camera_of(world, 16, 24), 16, 24).flatten(1, 2)
    tables, origin = solid_tables(world), torch.zeros(1, 1, 3)
    assert torch.equal(hit_present(*tables, origin, rays), hit_solids(*tables, origin, rays))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_hits_lie_on_their_surfaces(height, width):
    on_planes = on_balls = 0
    for seed in range(12):
        world = build_world(sample_spec(seed))
        camera = camera_of(world, height, width)
        rays = ray_directions(camera, height, width).flatten(1, 2)
        distance, surface, normal, _ = nearest_hit(world, camera.positions[:, None], rays, hit_solids)
        seen = distance[0] < SKY_DISTANCE
        point, number = (camera.positions + distance[0, :, None] * rays[0])[seen], surface[0, seen]

        flat = number < PLANES
        planes = number[flat]
        height_above = (world.plane_normal[0, planes] * point[flat]).sum(-1) - world.plane_offset[0, planes]
        torch.testing.assert_close(height_above, torch.zeros_like(height_above), rtol=0, atol=2e-5)

        slot = number[~flat] - PLANES
        round_ones = (slot >= BOXES) & (slot < BOXES + ELLIPSOIDS)
        c, s = world.turn[0, slot[round_ones]].unbind(-1)
        x, y, z = (point[~flat][round_ones] - world.center[0, slot[round_ones]]).unbind(-1)
        local = torch.stack([c * x - s * z, y, s * x + c * z], -1) / world.half[0, slot[round_ones]]
        torch.testing.assert_close(local.norm(dim=-1), torch.ones(len(local)), rtol=0, atol=2e-3)
        on_planes, on_balls = on_planes + int(flat.sum()), on_balls + len(local)
        away = (normal[0, seen] * rays[0, seen]).sum(-1) > 1e-3
        assert float(away.float().mean()) < 1e-3, "normals face the camera, but for the rims of cylinders and cones"
    assert on_planes > 1000 and on_balls > 100


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_depth_is_along_the_optical_axis(height, width):
    spec = dataclasses.replace(sample_spec(3, 0.0), things=(), extras=())
    world = build_world(spec)
    camera = camera_of(world, height, width)
    depth, surface = surfaces(world, camera, height, width)
    ray_distance, _ = nearest(world, camera, height, width)
    assert bool((depth[surface >= 0] <= ray_distance[surface >= 0] + 1e-6).all())
    # unprojected by an independent pinhole model
    fx, fy, cx, cy = camera.intrinsics[0] * torch.tensor([width, height, width, height])
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    local = torch.stack([(u - cx) / fx * depth, -(v - cy) / fy * depth, -depth], -1)
    point = local @ camera.c2w[0, :3, :3].T
    flat = (surface >= 0) & (surface < PLANES)
    number = surface[flat]
    above = (world.plane_normal[0, number] * point[flat]).sum(-1) - world.plane_offset[0, number]
    torch.testing.assert_close(above, torch.zeros_like(above), rtol=0, atol=5e-5)


def test_a_wider_picture_shows_the_same_middle(atlas):
    world = build_world(sample_spec(1))
    tall, wide = (look(world, camera_of(world, 48, width), atlas, 48, width) for width in (32, 80))
    torch.testing.assert_close(wide[:, 24:56], tall, rtol=0, atol=2e-4)
    for picture in (tall, wide):
        assert bool(picture.isfinite().all()) and 0 <= float(picture.min()) and float(picture.max()) <= 1
        assert float(picture.std()) > 0.02


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_trial_is_deterministic_and_keeps_its_distance_from_surfaces(atlas, height, width):
    first, again = (make_trial(5, atlas, frames=4, height=height, width=width) for _ in range(2))
    assert torch.equal(first.rgb, again.rgb) and first.path in dict(PATHS)
    assert first.rgb.shape == (7, height, width, 3) and first.depth.shape == (7, height, width)
    np.testing.assert_allclose(first.all_cameras.positions[::2], first.cameras.positions, atol=1e-6)
    assert float(first.all_cameras.positions.norm(dim=-1).max()) <= 0.53
    assert not bool((first.depth < 0.1).any())


def test_photographs_are_held_out_and_their_licences_known():
    assert len(photos.HELD_OUT) == 8 and not set(photos.HELD_OUT) & set(photos.TRAINING)
    every = [*photos.HELD_OUT.values(), *photos.TRAINING.values()]
    assert len({(photo.package, photo.path) for photo in every}) == len(every)
    for photo in every:
        assert photo.licence.startswith(("CC0", "CC BY", "public domain", "no known copyright restrictions"))
        assert min(photos.read_photo(photo).size) >= SMALLEST_SIDE_PX
