"""Requests and scenes as plain arrays, compact enough to transfer between processes.

A ZeroGPU call runs in a worker process: its arguments and results are pickled through a pipe. Requests are sent unchanged
(an image and some cameras); scenes are pruned of invisible Gaussians and packed into 82 bytes per Gaussian of degree 2
instead of 152 in float32. The pipe is slow for that size, and the GPU waits: after `use_shared_memory` a pickled result
holds a handle of its arrays in shared memory, and the arrays themselves only if shared memory is exhausted.

Numerics: centres stay float32; rotations, log scales, opacity logits and SH become float16. Opacities move by less than
1/2000, sizes by less than 0.4 %, colours by less than 1/1000 of full scale: below SPZ's resolution, and below a grey level.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import torch

from flashworld.cameras import normalize
from flashworld.errors import TransferError
from flashworld.gaussians import Gaussians
from flashworld.inputs import GenerationRequest
from flashworld.result import SceneResult
from flashworld.serving import shared_arrays
from flashworld.serving.light import LightScene, light_scene

logger = logging.getLogger(__name__)

OPACITY_MARGIN = 1e-4
"""Smallest distance of opacities from 0 and 1, so that their logits are finite in float16."""
SMALLEST_SCALE = 1e-7


@dataclass(frozen=True, eq=False)
class PackedScene:
    """A scene as arrays.

    Attributes:
        means: float32 (N, 3)
        rotations: Unit quaternions wxyz, float16 (N, 4)
        log_scales: float16 (N, 3)
        opacity_logits: float16 (N,)
        sh: float16 (N, K, 3)
    """

    means: np.ndarray
    rotations: np.ndarray
    log_scales: np.ndarray
    opacity_logits: np.ndarray
    sh: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes to transfer."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def arrays(self) -> list[np.ndarray]:
        """All arrays, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True, eq=False)
class PackedResult:
    """A `SceneResult` without what the receiver already has, plus the images rendered from it on the GPU.

    Attributes:
        scene: The visible part of the scene, in scene units.
        frames: The video, uint8 (F, H, W, 3); None if the request disables it.
        model: Name of the model.
        timings: Seconds by stage.
        light: The light scene, if there is one.
        light_psnr_db: Its PSNR against the full scene along the path, on views it was not optimised for, dB.
        picture: The view of the request's picture, uint8 (H, W, 3); None if it has not been rendered.
        lost: Why the arrays did not arrive, or None; then there are no arrays.
    """

    scene: PackedScene | None
    frames: np.ndarray | None
    model: str
    timings: dict[str, float]
    light: PackedScene | None = None
    light_psnr_db: float = math.inf
    picture: np.ndarray | None = None
    lost: str | None = None
    shared_memory: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Callable, tuple]:
        """Pickle with the arrays, or with their handle."""
        if self.shared_memory and self.scene is not None:
            light = self.light.arrays if self.light else []
            images = [image for image in (self.picture, self.frames) if image is not None]
            try:
                handle = shared_arrays.share([*self.scene.arrays, *light, *images])
                without = replace(self, scene=None, frames=None, light=None, picture=None)
                return _received, (handle, without, bool(light), self.picture is not None)
            except OSError as error:
                logger.warning("no shared memory for a result, sending it through the pipe: %s", error)
        return PackedResult, tuple(getattr(self, field.name) for field in fields(self))

    def unpack(self, request: GenerationRequest) -> SceneResult:
        """Restore the result of `request`, on the CPU.

        Raises:
            TransferError: the arrays did not arrive.
        """
        if self.scene is None:
            raise TransferError(self.lost or "the result did not arrive")
        normalized, normalization = normalize(request.cameras)
        return SceneResult(
            scene=unpack(self.scene),
            cameras=normalization.to_scene_units(normalized),
            request=request,
            normalization=normalization,
            model=self.model,
            timings=self.timings,
        )

    def unpack_light(self) -> LightScene | None:
        """Restore the light scene, on the CPU."""
        return LightScene(unpack(self.light), self.light_psnr_db) if self.light else None


def use_shared_memory(on: bool) -> None:
    """Whether results pickled from now on, in this process and its forks, pass their arrays through shared memory.

    A receiver must unpickle one within `shared_arrays.HOLD_S` and before the next, on the same machine. If the arrays
    are gone by then, `PackedResult.unpack` raises: an error while unpickling would be lost in the thread that reads the
    pipe.
    """
    PackedResult.shared_memory = on


def _received(handle: shared_arrays.Handle, without: PackedResult, has_light: bool, has_picture: bool) -> PackedResult:
    """The result `without` arrays, with those of the handle."""
    try:
        arrays = shared_arrays.receive(handle)
    except TransferError as error:
        return replace(without, lost=str(error))
    count = len(fields(PackedScene))
    scene, rest = PackedScene(*arrays[:count]), arrays[count:]
    light, rest = (PackedScene(*rest[:count]), rest[count:]) if has_light else (None, rest)
    picture, rest = (rest[0], rest[1:]) if has_picture else (None, rest)
    return replace(without, scene=scene, light=light, picture=picture, frames=rest[0] if rest else None)


def pack_result(result: SceneResult) -> PackedResult:
    """Render the video and the picture and merge the light scene on the scene's device, then pack everything."""
    frames = np.stack(list(result.iter_video())) if result.request.video.enabled else None
    light = light_scene(result)
    return PackedResult(
        pack(result.visible()), frames, result.model, result.timings,
        light=pack(light.scene) if light else None, light_psnr_db=light.psnr_db if light else math.inf,
        picture=result.picture(),
    )  # fmt: skip


def pack(scene: Gaussians) -> PackedScene:
    """Pack a scene on its own device, then copy it to the CPU."""
    opacities = scene.opacities.clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    half = {
        "rotations": torch.nn.functional.normalize(scene.quats_wxyz, dim=1),
        "log_scales": scene.scales.clamp(min=SMALLEST_SCALE).log(),
        "opacity_logits": torch.logit(opacities),
        "sh": scene.sh,
    }
    return PackedScene(
        means=scene.means.float().contiguous().cpu().numpy(),
        **{name: value.half().contiguous().cpu().numpy() for name, value in half.items()},
    )


def unpack(packed: PackedScene) -> Gaussians:
    """Restore the scene, float32 on the CPU."""
    return Gaussians(
        means=torch.from_numpy(packed.means),
        quats_wxyz=torch.from_numpy(packed.rotations).float(),
        scales=torch.from_numpy(packed.log_scales).float().exp(),
        opacities=torch.from_numpy(packed.opacity_logits).float().sigmoid(),
        sh=torch.from_numpy(packed.sh).float(),
    )
