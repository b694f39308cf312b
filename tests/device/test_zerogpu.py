"""The real ZeroGPU path on a real GPU: nothing of `spaces` is replaced, only the platform's device API is a stand-in."""

from __future__ import annotations

import json
import os

import pytest
import torch

from aot.artifacts import ArtifactStore
from tests.zerogpu.harness import ZeroGpuApp

pytestmark = pytest.mark.requires_cuda


@pytest.fixture(scope="module")
def gpu() -> tuple[str, ...]:
    return (f"GPU-{torch.cuda.get_device_properties(0).uuid}",)


def test_calls_run_in_a_worker_on_the_gpu_that_stays_warm(gpu):
    with ZeroGpuApp("tests.zerogpu.small_app:demo", gpus=gpu, cpu=False) as app:
        cold, warm = app.visit("/generate", "ok", 3), app.visit("/generate", "ok", 3)
        assert (cold.error, warm.error) == (None, None)
        first, second = json.loads(cold.outputs[0]), json.loads(warm.outputs[0])
        assert first["pid"] == second["pid"] != os.getpid()
        assert first["visible"] == gpu[0]
        assert [json.loads(text)["value"] for text in cold.outputs[:3]] == [2.0, 4.0, 8.0]
        assert app.visit("/generate", "overrun", 1).error == "GPU task aborted"
        assert app.visit("/generate", "crash", 3).error == "GPU task aborted"
        assert app.visit("/generate", "ok", 1).error is None


@pytest.mark.slow
def test_network_is_compiled_in_one_worker_and_used_in_another(gpu, tmp_path):
    environment = {"FLASHWORLD_AOT_DIR": str(tmp_path)}
    for start in ("compiles", "finds the graph"):
        with ZeroGpuApp("tests.zerogpu.compiled_app:demo", gpus=gpu, cpu=False, env=environment) as app:
            assert len([c for c in app.calls_at_start if c["path"] == "/schedule"]) == (start == "compiles")
            visits = [json.loads(app.visit("/generate", 3).outputs[0]) for _ in range(3)]
            assert len({visit["pid"] for visit in visits}) == 1
            assert [visit["libraries"] for visit in visits] == [1, 1, 1]
            assert all("eager" not in visit["counts"] for visit in visits)
            assert max(visit["error"] for visit in visits) < 1e-2  # float32 with TF32 convolutions
    (artifact,) = ArtifactStore(tmp_path).entries()
    assert artifact.key["arch"].startswith("sm_")
