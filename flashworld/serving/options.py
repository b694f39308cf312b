"""The choice of model and device, shared by the app, the command line and batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from flashworld.device import choose_device, choose_source
from flashworld.errors import CheckpointError
from flashworld.models.offload import Offload
from flashworld.pipeline import FlashWorldPipeline


@dataclass(frozen=True)
class ModelOptions:
    """Which model to run, and where.

    Attributes:
        model: "auto" (full with a CUDA device, else nano), "full", "nano", or the path of a `model.ckpt` or of
            a converted folder.
        wan: Folder with the Wan parts, if they are not in the Hub's cache.
        device: "cuda" or "cpu"; None for CUDA if available, except for nano.
        offload: Networks kept in CPU memory.
        gpus_per_scene: GPUs that share each scene; see `flashworld.parallel`.
    """

    model: str = "auto"
    wan: str | Path | None = None
    device: str | None = None
    offload: tuple[Offload, ...] = ()
    gpus_per_scene: int = 1

    @property
    def source(self) -> str:
        """Name or path of the model: "full", "nano" or a path."""
        return choose_source(self.model)

    @property
    def torch_device(self) -> torch.device:
        """The device of the networks."""
        return choose_device(self.device, self.source)

    def load(self, on_progress: Callable[[str, int, int], None] | None = None) -> FlashWorldPipeline:
        """Load the model; arguments and errors are those of `FlashWorldPipeline.from_pretrained`.

        Raises:
            CheckpointError: also if the GPU has too little free memory.
        """
        try:
            if self.gpus_per_scene > 1:
                from flashworld.parallel.launch import load_split

                return load_split(self, on_progress)
            return FlashWorldPipeline.from_pretrained(
                self.source, wan=self.wan, device=self.torch_device, offload=self.offload, on_progress=on_progress
            )
        except torch.OutOfMemoryError as error:
            raise CheckpointError(
                f"the GPU has too little free memory for {self.source}: free some, or try --offload text,vae,transformer"
            ) from error
