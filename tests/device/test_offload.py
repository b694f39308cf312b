"""Networks in CPU memory: the same scene, and nothing of them on the GPU between calls."""

from __future__ import annotations

import pytest
import torch

from flashworld.inputs import VideoSettings, build_request
from flashworld.pipeline import FlashWorldPipeline

pytestmark = pytest.mark.requires_cuda


def test_offloaded_networks_give_the_same_scene():
    scenes, offload = [], ("text", "vae", "transformer")
    for kept in ((), offload[1:], offload):
        pipeline = FlashWorldPipeline.from_pretrained("nano", device="cuda", offload=kept)
        request = build_request(
            text="a room with a red sphere", trajectory="orbit_right", seed=1, video=VideoSettings(enabled=False),
            defaults=pipeline.networks.config,
        )  # fmt: skip
        scenes += [pipeline(request).scene for _ in range(2)]  # the first call learns the order of the blocks
    resident, *offloaded = (scene.means for scene in scenes[:4])
    for means in offloaded:
        torch.testing.assert_close(means, resident, rtol=1e-3, atol=1e-4)
    everything = pipeline.networks.modules
    on_gpu = {name for name, module in everything.items() if any(p.is_cuda for p in module.parameters())}
    assert not on_gpu
