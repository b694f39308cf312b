"""Case d: cameras, normalisation, rays, raymaps and resampling against the original's numbers (commit 424db44).

Errors are the largest absolute difference divided by the largest expected magnitude, as the limits of the data's
description are. Measured on the CPU in float32: rays 3e-7, everything else below 2e-7.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flashworld.cameras import Cameras, normalize
from flashworld.cameras.raymaps import ray_directions, raymap
from flashworld.trajectories import resample, video_path

LIMIT = 5e-6
EXAMPLES = ("ex1", "ex2", "ex3", "ex4")


@pytest.fixture(scope="module")
def data(golden_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(golden_dir / "d_cameras.safetensors")


def assert_near(actual: torch.Tensor, expected: torch.Tensor) -> None:
    assert actual.shape == expected.shape
    assert float((actual - expected).abs().max()) <= LIMIT * float(expected.abs().max())


def path(data: dict[str, torch.Tensor], name: str) -> Cameras:
    return Cameras.from_vectors(data[name])


@pytest.mark.parametrize("example", EXAMPLES)
def test_pixel_intrinsics_become_camera_vectors(data: dict[str, torch.Tensor], example: str) -> None:
    _, height, width = data[f"{example}.in.n_h_w"].tolist()
    size = torch.tensor([width, height, width, height])
    relative = data[f"{example}.in.fx_fy_cx_cy_px"] / size
    cameras = Cameras(data[f"{example}.in.quaternion_wxyz"], data[f"{example}.in.position"], relative).to(torch.float32)
    assert_near(cameras.to_vectors(), data[f"{example}.out.cameras11"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_normalisation(data: dict[str, torch.Tensor], example: str) -> None:
    cameras, norm = normalize(path(data, f"{example}.out.cameras11"))
    assert_near(cameras.to_vectors(), data[f"{example}.out.normalized"])
    assert_near(norm.reference_w2c, data[f"{example}.out.ref_w2c"])
    assert_near(torch.tensor([norm.divisor - 0.01]), data[f"{example}.out.T_norm"])
    assert norm.scene_scale == norm.divisor


@pytest.mark.parametrize("example", EXAMPLES)
def test_rays_and_raymaps(data: dict[str, torch.Tensor], example: str) -> None:
    cameras = path(data, f"{example}.out.normalized")[data[f"{example}.out.ray_frames"].tolist()]
    rays = data[f"{example}.out.rays_d"]
    height, width = rays.shape[1:3]
    assert_near(ray_directions(cameras, height, width), rays)
    assert_near(raymap(cameras, height, width).movedim(1, -1), data[f"{example}.out.raymap_hwc"])
    assert_near(cameras.positions[:, None, None], data[f"{example}.out.rays_o"])
    shifted = ray_directions(cameras, height, width, data[f"{example}.in.uv_offset"])
    assert_near(shifted, data[f"{example}.out.rays_d_uv_offset"])


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize(
    ("source", "count", "expected"),
    [
        ("out.cameras11", 16, "out.resampled_16"),
        ("out.cameras11", 7, "out.resampled_7"),
        ("in.sparse", 24, "out.sparse_resampled_24"),  # one quaternion has the other sign
        ("in.static", 9, "out.static_resampled_9"),  # a pose that repeats
    ],
)
def test_resampling(data: dict[str, torch.Tensor], example: str, source: str, count: int, expected: str) -> None:
    cameras = resample(path(data, f"{example}.{source}"), count)
    assert_near(cameras.to_vectors(), data[f"{example}.{expected}"])


def test_video_path_takes_one_second_between_cameras(data: dict[str, torch.Tensor]) -> None:
    cameras = path(data, "ex1.out.cameras11")
    video = video_path(cameras, fps=15)
    assert len(video) == 346
    assert_near(video.to_vectors(), data["ex1.out.video_path_fps15"])
    _, norm = normalize(cameras)
    assert_near(norm.apply(video).to_vectors(), data["ex1.out.video_path_fps15_normalized"])


@pytest.mark.parametrize("edge", ["rotation_only", "tiny_move"])
def test_edge_cases(data: dict[str, torch.Tensor], edge: str) -> None:
    cameras = path(data, f"edge.{edge}.in.cameras11")
    normalized, norm = normalize(cameras)
    expected = data[f"edge.{edge}.out.normalized"]
    assert_near(norm.reference_w2c, data[f"edge.{edge}.out.ref_w2c"])
    assert_near(normalized.quats_wxyz, expected[:, :4])
    assert_near(normalized.intrinsics, expected[:, 7:])
    # The translations of the rotation-only path are rounding noise of about 1e-7, divided by 0.01.
    assert float((normalized.positions - expected[:, 4:7]).abs().max()) < (5e-5 if edge == "rotation_only" else LIMIT)
    assert norm.divisor - 0.01 == pytest.approx(float(data[f"edge.{edge}.out.T_norm"]), rel=LIMIT, abs=1e-6)
    assert_near(resample(cameras, 8).to_vectors(), data[f"edge.{edge}.out.resampled_8"])


def test_only_paths_that_move_scale_their_scene(data: dict[str, torch.Tensor]) -> None:
    _, still = normalize(path(data, "edge.rotation_only.in.cameras11"))
    _, moving = normalize(path(data, "edge.tiny_move.in.cameras11"))
    assert still.scene_scale == 1
    assert moving.scene_scale == moving.divisor > 0.05
