"""One full-size scene on a GPU with random weights: time, memory, and bfloat16 against float32.

    python -m benchmarks.full_scene --out DIR [--skip-float32]

Prints a table and writes `full_scene.json`, the scene as PLY and the video's frames to DIR. Random weights say nothing
about pictures; shapes, speed, memory and rounding are those of the real model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from flashworld.cameras import normalize
from flashworld.config import FULL, SPATIAL_FACTOR
from flashworld.inputs import GenerationRequest, VideoSettings, build_request
from flashworld.io.scenes.ply import write_ply
from flashworld.models.networks import Networks, random_networks
from flashworld.models.transformer import velocity_and_features
from flashworld.pipeline import FlashWorldPipeline, render_white, to_image
from flashworld.result import SceneResult
from flashworld.sampling import SeededNoise, StepResult, sample

GIB = 2**30
WARM_RUNS = 3


def photo_like(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture, RGB uint8."""
    coarse = torch.rand((1, 3, 8, 12), generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (fine[0].permute(1, 2, 0) * 255).byte().numpy()


def a_request() -> GenerationRequest:
    """24 views of 480 x 704, a picture and a sentence, a 4 s video."""
    return build_request(
        image=photo_like(FULL.height, FULL.width), text="a wooden dock on a calm lake at dawn",
        trajectory="orbit_right", seed=1, video=VideoSettings(fps=24, seconds=4.0),
    )  # fmt: skip


def timed_scene(networks: Networks, request: GenerationRequest) -> tuple[SceneResult, dict[str, float]]:
    """First and warm times of one scene, seconds, and peak memory."""
    pipeline = FlashWorldPipeline(networks)
    torch.cuda.reset_peak_memory_stats()
    times, result = [], None
    for _ in range(1 + WARM_RUNS):
        networks.text.forget()
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = pipeline(request)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    assert result is not None
    return result, {
        "scene_first_s": times[0],
        "scene_warm_s": float(np.median(times[1:])),
        "scene_peak_gib": torch.cuda.max_memory_allocated() / GIB,
    }


def steps_of(networks: Networks, request: GenerationRequest) -> list[StepResult]:
    """All four steps, kept."""
    with torch.inference_mode():
        cameras, _ = normalize(request.cameras)
        return list(
            sample(
                networks, cameras, networks.text(request.text),
                SeededNoise(torch.Generator().manual_seed(request.seed)), render_white,
                height=request.height, width=request.width, image=to_image(request.picture), frames_per_chunk=8,
            )
        )  # fmt: skip


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """||a - b|| / ||b||."""
    return float((a.float() - b.float()).norm() / b.float().norm())


@torch.inference_mode()
def single_calls(networks: Networks) -> dict[str, torch.Tensor]:
    """One call of each network on inputs that do not depend on the precision, so that only its own rounding shows."""
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


def compare(low: list[StepResult], high: list[StepResult]) -> dict[str, float]:
    """Errors of the low-precision run, step by step.

    From step 2 on each run lives on its own pictures, and a random text encoder is chaotic: its unscaled attention turns
    rounding into other prompts. What the networks' own rounding amounts to is measured by `single_calls`.
    """
    figures = {}
    for a, b in zip(low, high, strict=True):
        figures[f"step{a.step + 1}_velocity_rel"] = relative(a.velocity, b.velocity)
        figures[f"step{a.step + 1}_features_rel"] = relative(a.features, b.features)
        if a.images is not None and b.images is not None:
            mse = float(((a.images - b.images) / 2).square().mean())
            figures[f"step{a.step + 1}_images_psnr_db"] = -10 * float(np.log10(mse + 1e-20))
    return figures


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/full_scene"))
    parser.add_argument("--skip-float32", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    request = a_request()

    start = time.perf_counter()
    networks = random_networks(FULL, seed=0, device="cuda", dtype=torch.bfloat16)
    figures = {"build_s": time.perf_counter() - start, "weights_gib": torch.cuda.memory_allocated() / GIB}
    result, times = timed_scene(networks, request)
    figures |= times
    print(json.dumps(figures, indent=1), flush=True)

    start = time.perf_counter()
    frames = np.stack(list(result.iter_video()))
    figures |= {"video_frames": len(frames), "video_render_s": time.perf_counter() - start}
    start = time.perf_counter()
    write_ply(result.scene, args.out / "scene.ply")
    figures["ply_from_gpu_s"] = time.perf_counter() - start
    figures["ply_mb"] = (args.out / "scene.ply").stat().st_size / 1e6
    figures["gaussians"] = len(result.scene)
    np.savez_compressed(args.out / "frames.npz", frames=frames[::8, ::2, ::2])
    print(json.dumps(figures, indent=1), flush=True)

    if not args.skip_float32:
        low, low_calls = steps_of(networks, request), single_calls(networks)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        del result
        high_networks = random_networks(FULL, seed=0, device="cuda", dtype=torch.float32)
        figures |= compare(low, steps_of(high_networks, request))
        for name, value in single_calls(high_networks).items():
            figures[f"{name}_rel"] = relative(low_calls[name], value)
    (args.out / "full_scene.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
