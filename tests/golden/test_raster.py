"""Golden case k: 700 Gaussians, 3 cameras, a float64 reference of gsplat's "classic" rasterization."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.rendering import Rendering, render, to_signed
from tests.reference_raster import render_reference

NEARLY_ALL, TIGHT, LOOSE = 0.995, 2e-4, 2e-2
"""Of the largest expected magnitude; a value on a threshold may fall to the other side."""


@pytest.fixture(scope="module")
def case(golden_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(golden_dir / "k_raster.safetensors")


@pytest.fixture(scope="module")
def rendering(case) -> Rendering:
    scene, cameras = Gaussians.from_vectors(case["in.gaussians"]), Cameras.from_vectors(case["in.cameras11"])
    return render(scene, cameras, *case["in.h_w"].tolist(), want_depth=True)


def assert_close(value: torch.Tensor, expected: torch.Tensor) -> None:
    assert value.shape == expected.shape
    error = (value - expected).abs() / expected.abs().max()
    assert (error <= TIGHT).float().mean() >= NEARLY_ALL
    assert error.max() <= LOOSE


def test_colours_over_white(case, rendering):
    assert_close(rendering.rgb, case["out.rgb_white"])


def test_alpha(case, rendering):
    assert_close(rendering.alpha, case["out.alpha"])


def test_accumulated_depth(case, rendering):
    assert_close(rendering.depth, case["out.depth_accumulated"])


def test_signed_image_for_the_networks(case, rendering):
    assert_close(to_signed(rendering.rgb), case["out.image_minus1_1"])


def test_reference_renderer_of_these_tests_agrees(case):
    scene, cameras = Gaussians.from_vectors(case["in.gaussians"]), Cameras.from_vectors(case["in.cameras11"])
    rgb, alpha, depth = render_reference(scene, cameras, *case["in.h_w"].tolist())
    for value, name in ((rgb, "rgb_white"), (alpha, "alpha"), (depth, "depth_accumulated")):
        expected = case[f"out.{name}"].double()
        assert (torch.from_numpy(value) - expected).abs().max() <= 1e-5 * expected.abs().max()
