"""Correct pictures on a GPU: the small trained model makes the same scene there as on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flashworld.inputs import VideoSettings, build_request
from flashworld.pipeline import FlashWorldPipeline
from tests.reference_raster import psnr_db

pytestmark = pytest.mark.requires_cuda
ENOUGH_DB = 45.0
"""bfloat16 networks alone, all on a CPU, leave 50 dB."""
ROOT = Path(__file__).parents[2]
REQUESTS = {
    "words": {"text": "a room with a red sphere"},
    "picture": {"image": ROOT / "examples/coffee/coffee.jpg", "text": "a red cup of espresso on a wooden table"},
}


@pytest.mark.parametrize("given", REQUESTS.values(), ids=REQUESTS)
def test_gpu_and_cpu_render_the_same_video(given):
    films = []
    for device in ("cpu", "cuda"):
        pipeline = FlashWorldPipeline.from_nano(device)
        request = build_request(
            **given, trajectory="orbit_right", seed=1, video=VideoSettings(fps=8, seconds=1.0),
            defaults=pipeline.networks.config,
        )  # fmt: skip
        result = pipeline(request)
        assert result.scene.means.device.type == device
        films.append(np.stack(list(result.iter_video())).astype(np.float64) / 255)
    cpu, gpu = films
    assert cpu.shape == gpu.shape
    assert cpu.std() > 0.05  # something is in the picture
    assert min(psnr_db(a, b) for a, b in zip(gpu, cpu, strict=True)) >= ENOUGH_DB
