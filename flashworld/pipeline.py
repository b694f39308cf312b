"""From a checked request to a scene, in named stages that report progress and can be cancelled.

Numerics: networks in bfloat16 on CUDA and float32 on the CPU, everything between them in float32 (see `sampling.loop`).
One generator on the CPU, seeded by the request, produces all noise, so that a seed gives one scene on every device up
to the networks' rounding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import torch

from flashworld.cameras import Cameras, normalize
from flashworld.config import SPATIAL_FACTOR
from flashworld.device import free_gpu_bytes
from flashworld.errors import Cancelled, InputError
from flashworld.gaussians import Gaussians
from flashworld.inputs import GenerationRequest
from flashworld.models.networks import Networks
from flashworld.models.offload import CPU_FRAMES_PER_CHUNK, Offload, frames_that_fit, keep_on_cpu
from flashworld.progress import Progress
from flashworld.result import SceneResult
from flashworld.sampling import (
    STEPS,
    Conditioning,
    NoiseAhead,
    NoiseSource,
    Renderer,
    SeededNoise,
    StepResult,
    noise_shapes,
    sample,
)
from flashworld.types import Frame, Images

TEXT_FRACTION = 0.06
"""Share of the whole generation that is done when the text is encoded."""
DENOISED_FRACTION = 0.8
"""Share that is done when the scene is complete; the rest is rendering the video."""
PREVIEW_HEIGHT = 240
"""Rows of the preview shown while the model runs."""


class FlashWorldPipeline:
    """A loaded model, ready to generate scenes.

    Args:
        networks: The four networks, on their device.
        name: Name for display; says "untrained" if the weights are random.
        frames_per_chunk: Frames per batch of VAE and Gaussian decoder; None: what the device has memory for.
        render: Renders the views that are fed back; None: `render_white`.

    Attributes:
        broken: No further call can succeed; only a pipeline shared by several processes can break.
    """

    def __init__(
        self,
        networks: Networks,
        *,
        name: str | None = None,
        frames_per_chunk: int | None = None,
        render: Renderer | None = None,
    ) -> None:
        self.networks = networks
        self._render = render or render_white
        self.name = name or networks.config.name
        self.broken = False
        self.frames_per_chunk = frames_per_chunk

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "full",
        *,
        wan: str | Path | None = None,
        device: str | torch.device | None = None,
        offload: Iterable[Offload] = (),
        on_progress: Callable[[str, int, int], None] | None = None,
    ) -> FlashWorldPipeline:
        """Load a model, downloading its pinned files if necessary.

        Args:
            source: "full", "nano", a `model.ckpt`, or a folder written by `flashworld weights convert`.
            wan: Folder with the Wan parts, for a `model.ckpt`, if they are not in the Hub's cache.
            device: "cuda" or "cpu"; None for CUDA if available, except for nano.
            offload: Networks kept in CPU memory and moved to the GPU as they run; "text" runs on the CPU.
            on_progress: Called with (what, bytes done, total bytes) while downloading and reading.

        Raises:
            CheckpointError: weights are missing, damaged or of another shape.
            InputError: an unknown name in `offload`.
        """
        from flashworld.checkpoints.loading import load_networks
        from flashworld.device import choose_device, network_dtype

        wanted: set[str] = set(offload)
        if wanted - set(get_args(Offload)):
            raise InputError(f"offload must be among {', '.join(get_args(Offload))}, got {sorted(wanted)}")
        device = choose_device(device, source)
        dtype = network_dtype(device, source)
        loaded = load_networks(
            source, device="cpu" if wanted else device, dtype=dtype, wan=wan, on_progress=on_progress
        )
        networks = loaded.networks
        if wanted:
            networks = place(networks, device, wanted)
        name = networks.config.name if loaded.trained else f"{networks.config.name}, untrained"
        return cls(networks, name=name)

    @classmethod
    def from_nano(cls, device: str | torch.device = "cpu") -> FlashWorldPipeline:
        """The small model that ships with the package."""
        return cls.from_pretrained("nano", device=device)

    def __call__(
        self,
        request: GenerationRequest,
        on_stage: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> SceneResult:
        """Generate one scene.

        Args:
            request: From `flashworld.inputs`.
            on_stage: Called at the start of every stage and step.
            should_stop: Called at the same points, after `on_stage`.

        Raises:
            Cancelled: `should_stop` returned True.
            NumericalError: a stage produced NaN or infinity.
        """
        for stage in self.stages(request):
            if isinstance(stage, SceneResult):
                return stage
            if on_stage:
                on_stage(stage)
            if should_stop and should_stop():
                raise Cancelled(f"stopped before {stage.message}")
        raise AssertionError("the loop always ends in a result")

    def stages(self, request: GenerationRequest) -> Iterator[Progress | SceneResult]:
        """Yield `Progress` as each stage and step begins, and the `SceneResult` last; stop iterating to cancel."""
        clock, noise = StageClock(self.networks.device), self._noise(request)
        normalized, normalization = normalize(request.cameras)
        yield Progress("text", 0.0)
        with torch.inference_mode(), clock.stage("text"):
            embeds = self.networks.embed(request.text)
        yield Progress("denoise", TEXT_FRACTION, 1, STEPS)
        for step in self._steps(request, normalized, embeds, noise, clock):
            if not step.is_last:
                done = step.step + 1
                shown = small_picture(step.images, request.image_index)
                yield Progress("denoise", DENOISED_FRACTION * done / STEPS, done + 1, STEPS, shown)
                continue
            yield SceneResult(
                scene=step.scene.scaled(normalization.scene_scale),
                cameras=normalization.to_scene_units(normalized),
                request=request,
                normalization=normalization,
                model=self.name,
                timings=clock.seconds,
            )

    def _chunk(self, request: GenerationRequest) -> int:
        """Frames per batch of VAE and Gaussian decoder."""
        device = self.networks.device
        if device.type == "cpu":
            return CPU_FRAMES_PER_CHUNK
        return frames_that_fit(len(request.cameras), request.height * request.width, free_gpu_bytes(device))

    def _noise(self, request: GenerationRequest) -> NoiseSource:
        """The numbers of a request's seed; for a GPU generated ahead."""
        generator = torch.Generator().manual_seed(request.seed)
        if self.networks.device.type == "cpu":
            return SeededNoise(generator)
        rows, columns = request.height // SPATIAL_FACTOR, request.width // SPATIAL_FACTOR
        latents = (1, self.networks.config.vae.z_dim, len(request.cameras), rows, columns)
        return NoiseAhead(generator, noise_shapes(latents, has_image=request.picture is not None), pinned=True)

    def _steps(
        self,
        request: GenerationRequest,
        cameras: Cameras,
        embeds: torch.Tensor,
        noise: NoiseSource,
        clock: StageClock,
    ) -> Iterator[StepResult]:
        """`sample`, with inference mode on only while it runs: a generator may be closed in another thread."""
        steps = sample(
            self.networks,
            Conditioning(
                cameras,
                embeds,
                request.height,
                request.width,
                to_image(request.picture, self.networks.device),
                request.image_index,
            ),
            noise,
            self._render,
            frames_per_chunk=self.frames_per_chunk or self._chunk(request),
            during=clock.stage,
        )
        while True:
            with torch.inference_mode():
                step = next(steps, None)
            if step is None:
                return
            yield step


def place(networks: Networks, device: torch.device, offload: set[str]) -> Networks:
    """Move networks from the CPU to `device`, except those in `offload`.

    "text" runs on the CPU; "vae" (encoder and Gaussian decoder) and "transformer" are moved to `device` as they run.
    """
    from dataclasses import replace

    visiting = {"transformer"} & offload | ({"vae_encoder", "gaussian_decoder"} if "vae" in offload else set())
    for name, module in networks.modules.items():
        if name in visiting:
            keep_on_cpu(module, device)
        elif not (name == "text_encoder" and "text" in offload):
            module.to(device)
    return replace(networks, device=device)


def render_white(scene: Gaussians, cameras: Cameras, height: int, width: int) -> Images:
    """The renderer of the sampling loop: white background, images in [-1, 1]."""
    from flashworld.rendering import render, to_signed

    return to_signed(render(scene, cameras, height, width).rgb)


def to_image(picture: Frame | None, device: torch.device) -> Images | None:
    """An RGB uint8 image (H, W, 3) in the networks' format: [-1, 1], (3, H, W), converted on `device`."""
    if picture is None:
        return None
    return torch.from_numpy(picture.copy()).to(device).permute(2, 0, 1).float() / 255 * 2 - 1


def small_picture(images: Images | None, index: int) -> Frame | None:
    """One of the loop's images, shrunk to at most `PREVIEW_HEIGHT` rows."""
    if images is None:
        return None
    every = max(1, round(images.shape[-2] / PREVIEW_HEIGHT))
    signed = torch.nn.functional.avg_pool2d(images[index : index + 1], every)[0]
    return ((signed + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


class StageClock:
    """Seconds by stage name.

    Args:
        device: The device whose work is timed.
        wait: Synchronise at the end of every stage, for exact times of asynchronous work.
    """

    def __init__(self, device: torch.device, *, wait: bool = False) -> None:
        self.device = device
        self.wait = wait
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the code inside the context."""
        start = time.perf_counter()
        yield
        if self.wait and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
