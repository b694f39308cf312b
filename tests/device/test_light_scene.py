"""A light scene computed on the GPU, from as many Gaussians as the full model gives."""

from __future__ import annotations

import pytest
import torch

from benchmarks.scenes import room_cameras, room_scene
from flashworld.lighten import LIGHT_GAUSSIANS, lighten, psnr_along

pytestmark = pytest.mark.requires_cuda
FULL_GAUSSIANS = 4_055_040


def test_four_million_become_half_a_million():
    cameras = room_cameras(6, 240, 352)
    scene = room_scene(FULL_GAUSSIANS).to("cuda")
    light = lighten(scene, LIGHT_GAUSSIANS, cameras.to(torch.device("cuda")))
    assert 0.9 * LIGHT_GAUSSIANS < len(light) <= LIGHT_GAUSSIANS
    assert psnr_along(scene, light, cameras.to(torch.device("cuda")), 192, 282) > 25


def test_light_scene_equals_that_of_the_cpu():
    cameras = room_cameras(6, 96, 144)
    scene = room_scene(20_000)
    on_cpu = lighten(scene, 5_000, cameras)
    on_gpu = lighten(scene.to("cuda"), 5_000, cameras.to(torch.device("cuda"))).to("cpu")
    assert len(on_gpu) == len(on_cpu)
    assert psnr_along(on_cpu, on_gpu, cameras, 96, 144) > 35
