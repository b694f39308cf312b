"""Parts about correctness: rounding of each precision against float32, and the tests that need a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from benchmarks.gpu.run import Run
from flashworld.config import SPATIAL_FACTOR
from flashworld.models.fp8 import Fp8Mode
from flashworld.models.fused import fuse_networks
from flashworld.models.int8 import shrink_text_encoder
from flashworld.models.networks import Networks, random_networks
from flashworld.models.transformer import velocity_and_features

FP8_MODES: tuple[Fp8Mode, ...] = ("per_row", "per_tensor")
NOTHING_TO_RUN = 5
"""pytest's exit code if every test was deselected."""


def rounding(run: Run) -> dict[str, object]:
    """One call of each network on the same inputs: lower precisions against float32."""
    with without_tf32():
        exact = single_calls(random_networks(run.config, device=run.device, dtype=torch.float32))
        run.drop()
        rows: dict[str, object] = {}
        for name, change in precisions(run.fp8).items():
            calls = single_calls(change(random_networks(run.config, device=run.device, dtype=torch.bfloat16)))
            rows[name] = {key: relative(value, exact[key]) for key, value in calls.items()}
            run.keep(rows=rows)
            del calls
            run.drop()
    return {"rows": rows}


@contextmanager
def without_tf32() -> Iterator[None]:
    """Float32, which is the reference, without TF32 inside the context."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    allowed = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, before in zip(backends, allowed, strict=True):
            backend.allow_tf32 = before


def precisions(best: Fp8Mode | None) -> dict[str, Callable[[Networks], Networks]]:
    """Lower precisions by name; FP8 modes that the device lacks are emulated, and labelled so.

    Args:
        best: The device's FP8 mode, see `probe_fp8`; "per_row" implies "per_tensor".
    """
    found: dict[str, Callable[[Networks], Networks]] = {"bfloat16": lambda networks: networks}
    for mode in FP8_MODES:
        native = best is not None and best in ("per_row", mode)
        name = f"fp8 {mode}" if native else f"fp8 {mode}, emulated"
        found[name] = partial(fuse_networks, fp8=mode, native=native)
    found["int8 text"] = shrink_text_encoder
    return found


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """||a - b|| / ||b||."""
    return float((a.float() - b.float()).norm() / b.float().norm())


@torch.inference_mode()
def single_calls(networks: Networks) -> dict[str, torch.Tensor]:
    """One call of each network on inputs that do not depend on the precision, so that only its own rounding is measured."""
    config, dtype = networks.config, networks.dtype
    rows, columns = config.height // SPATIAL_FACTOR, config.width // SPATIAL_FACTOR
    device = networks.device
    generator = torch.Generator(device).manual_seed(3)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    hidden, text = (
        noise(1, config.in_channels, config.frames, rows, columns),
        noise(1, config.text.max_tokens, config.transformer.text_dim),
    )
    features, latents = noise(4, config.feature_dim, rows, columns), noise(4, config.vae.z_dim, rows, columns)
    pictures = noise(4, 3, config.height, config.width).clamp(-1, 1)
    time_now = torch.full((1,), 900.0, device=device)
    velocity, out_features = velocity_and_features(
        networks.transformer,
        hidden.to(dtype),
        time_now,
        networks.text_context(text.to(dtype)),
        latent_channels=config.vae.z_dim,
    )
    found = {
        "text": networks.text("a wooden dock on a calm lake"),
        "velocity": velocity,
        "features": out_features,
        "head_maps": networks.gaussian_decoder(features, latents),
        "vae_mean": networks.vae_encoder(pictures.to(dtype))[0],
    }
    return {name: value.float().cpu() for name, value in found.items()}


def device_tests(run: Run) -> dict[str, object]:
    """The tests that need a GPU, except the slow ones."""
    xml = run.result.parent / "device_tests.xml"
    command = [sys.executable, "-m", "pytest", "tests/device", "-m", "not slow", "-q", f"--junitxml={xml}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
    found: dict[str, object] = {"exit": done.returncode, "counts": counts, "tail": done.stdout[-1500:]}
    nothing_to_run = done.returncode == NOTHING_TO_RUN and run.device.type == "cpu"
    return found if done.returncode == 0 or nothing_to_run else found | {"error": "tests failed"}
