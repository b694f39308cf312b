"""Device selection: faults of an installed GPU, and what is offloaded when its memory is too small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aot.served_model import Model
from flashworld.config import FULL
from flashworld.device import choose_device, cuda_fault
from flashworld.errors import CheckpointError, DependencyError
from flashworld.models.networks import weight_bytes
from flashworld.models.offload import (
    CHUNK_BYTES_PER_PIXEL,
    FRAMES_PER_CHUNK,
    SCENE_BYTES_PER_PIXEL,
    frames_that_fit,
    offload_that_fits,
)
from flashworld.serving.options import ModelOptions
from tests.old_driver import old_driver

GIB = 2**30
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


@pytest.fixture(scope="module")
def full_bytes() -> dict[str, int]:
    return weight_bytes(FULL, torch.bfloat16)


@pytest.mark.parametrize(
    ("gib", "offload"), [(80, ()), (32, ()), (24, ("text",)), (16, ("text", "vae", "transformer")), (10, ("text", "vae", "transformer"))]
)  # fmt: skip
def test_gpus_keep_what_fits_in_their_memory(full_bytes, gib, offload):
    assert offload_that_fits(full_bytes, int(0.97 * gib * GIB)) == offload


@pytest.mark.parametrize("frames", [2, 24, 32])
@pytest.mark.parametrize("pixels", [64 * 64, 480 * 704, 1024 * 1024])
def test_chunks_of_frames_fit_in_free_memory(frames, pixels):
    chosen = [frames_that_fit(frames, pixels, gib * GIB) for gib in range(65)]
    assert chosen == sorted(chosen)
    assert chosen[0] == 1
    assert chosen[-1] == FRAMES_PER_CHUNK
    for gib, chunk in enumerate(chosen):
        needed = (CHUNK_BYTES_PER_PIXEL * chunk + SCENE_BYTES_PER_PIXEL * frames) * pixels
        assert chunk == 1 or needed <= gib * GIB


def test_weights_are_counted_once(full_bytes, tiny_config, tiny_networks):
    small = weight_bytes(tiny_config, torch.float32)
    for name, module in tiny_networks.modules.items():
        count = sum(parameter.numel() for parameter in module.parameters())
        assert 4 * count <= small[name] <= 4 * count + 2**20  # and tables
    assert 20e9 < sum(full_bytes.values()) < 23e9


@without_gpu
def test_missing_gpu_is_an_error_only_if_cuda_is_requested():
    assert cuda_fault() is None
    assert choose_device(None).type == "cpu"
    with pytest.raises(DependencyError, match="no NVIDIA GPU"):
        choose_device("cuda")


@without_gpu
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_outdated_driver_is_named(tmp_path):
    """torch's own message, from a stand-in driver library that reports CUDA 11.4."""
    script = (
        "from flashworld.device import *\nprint(cuda_fault())\nprint(choose_source(), choose_device().type)\n"
        "try: choose_device('cuda')\nexcept DependencyError as error: print(error)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(old_driver(tmp_path)), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    fault, chosen, refusal = done.stdout.splitlines()
    assert "driver is too old (it serves CUDA 11.4, torch" in fault and fault.endswith("update the driver")
    assert chosen == "nano cpu"
    assert refusal == f"device cuda: {fault}"


def test_gpu_without_free_memory_gives_one_sentence(monkeypatch):
    def full(*_args, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("flashworld.pipeline.FlashWorldPipeline.from_pretrained", full)
    with pytest.raises(CheckpointError, match=r"too little free memory for full: .*--offload"):
        ModelOptions("full", device="cpu").load()


def test_small_gpu_gets_only_what_fits(monkeypatch, tiny_config):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (5 * GIB, 16 * GIB))
    monkeypatch.setattr("aot.keys.device_is_emulated", lambda _device: False)
    model = object.__new__(Model)
    model.source, model.config, model.room, model._options = "full", tiny_config, "", ModelOptions("full")
    model._fit()
    assert model._options.offload == ("text", "vae", "transformer")
    model._compile()
    assert model.note.startswith("running eagerly; 5 GiB of free GPU memory")
    assert "--offload text,vae,transformer" in model.note
    chosen = ModelOptions("full", offload=("vae",))
    model._options = chosen
    model._fit()
    assert model._options is chosen
