"""Requests and scenes as plain arrays, small enough to hand from one process to another.

A ZeroGPU call runs in a worker process: what it takes and returns is pickled through a pipe. Requests go as they are
(a picture and some cameras); scenes are pruned of what no pixel shows and packed, 82 bytes a Gaussian of degree 2
against 152 in float32. The pipe is slow for that much, and the GPU waits: after `use_shared_memory` a pickled result
holds the place of its arrays in shared memory, and the arrays themselves only where there is no such memory left.

Numerics: centres stay float32; rotations, log scales, opacity logits and SH become float16. Opacities move by less than
1/2000, sizes by less than 0.4 %, colours by less than 1/1000 of full scale: below what SPZ keeps, and below a grey level.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
import torch

from flashworld.cameras import normalize
from flashworld.errors import TransferError
from flashworld.gaussians import Gaussians
from flashworld.inputs import GenerationRequest
from flashworld.result import SceneResult
from flashworld.serving import shared_arrays

logger = logging.getLogger(__name__)

OPACITY_MARGIN = 1e-4
"""Opacities are kept this far from 0 and 1, so that their logits are finite in float16."""
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
        """Bytes that cross the border."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def arrays(self) -> list[np.ndarray]:
        """All of them, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True, eq=False)
class PackedResult:
    """A `SceneResult` without what the other side knows already, plus the video's pictures.

    Attributes:
        scene: What a pixel may show of the scene, in scene units.
        frames: The video, uint8 (F, H, W, 3); None when the request wants none.
        model: Name of the model.
        timings: Seconds by stage.
        lost: Why the arrays did not arrive, or None; then `scene` and `frames` are None.
    """

    scene: PackedScene | None
    frames: np.ndarray | None
    model: str
    timings: dict[str, float]
    lost: str | None = None
    shared_memory: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Callable, tuple]:
        """How it is pickled: with the arrays, or with their place."""
        if self.shared_memory and self.scene is not None:
            arrays = self.scene.arrays if self.frames is None else [*self.scene.arrays, self.frames]
            try:
                return _received, (shared_arrays.share(arrays), self.model, self.timings)
            except OSError as error:
                logger.warning("no shared memory for a result, it goes through the pipe: %s", error)
        return PackedResult, (self.scene, self.frames, self.model, self.timings, self.lost)

    def unpack(self, request: GenerationRequest) -> SceneResult:
        """The result of `request` again, on the CPU.

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


def use_shared_memory(on: bool) -> None:
    """Whether results that are pickled from now on, here and in processes forked from here, leave their arrays behind.

    Whoever unpickles one must do so within `shared_arrays.HOLD_S` and before the next, on the same machine. Where the
    arrays are gone by then, `PackedResult.unpack` raises: an error while unpickling would be lost in the thread that
    reads the pipe.
    """
    PackedResult.shared_memory = on


def _received(handle: shared_arrays.Handle, model: str, timings: dict[str, float]) -> PackedResult:
    try:
        arrays = shared_arrays.receive(handle)
    except TransferError as error:
        return PackedResult(None, None, model, timings, lost=str(error))
    count = len(fields(PackedScene))
    frames = arrays[count] if len(arrays) > count else None
    return PackedResult(PackedScene(*arrays[:count]), frames, model, timings)


def pack_result(result: SceneResult) -> PackedResult:
    """Film the video where the scene is, then pack both."""
    frames = np.stack(list(result.iter_video())) if result.request.video.enabled else None
    return PackedResult(pack(result.visible()), frames, result.model, result.timings)


def pack(scene: Gaussians) -> PackedScene:
    """Pack a scene on its own device, then bring it to the CPU."""
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
    """The scene again, float32 on the CPU."""
    return Gaussians(
        means=torch.from_numpy(packed.means),
        quats_wxyz=torch.from_numpy(packed.rotations).float(),
        scales=torch.from_numpy(packed.log_scales).float().exp(),
        opacities=torch.from_numpy(packed.opacity_logits).float().sigmoid(),
        sh=torch.from_numpy(packed.sh).float(),
    )
