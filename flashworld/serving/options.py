"""Which model to serve or run and where: the choice that the app, the command line and a batch share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from flashworld.device import choose_device, choose_source
from flashworld.models.offload import Offload
from flashworld.pipeline import FlashWorldPipeline


@dataclass(frozen=True)
class ModelOptions:
    """A choice of model.

    Attributes:
        model: "auto" (full where there is a CUDA device, else nano), "full", "nano", or the path of a `model.ckpt` or of
            a converted folder.
        wan: Folder with the Wan parts, if they are not in the Hub's cache.
        device: "cuda" or "cpu"; None takes CUDA where there is one, except for nano.
        offload: Networks kept in the CPU's memory.
        gpus_per_scene: Cards that share each scene; see `flashworld.parallel`.
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
        """Where the networks run."""
        return choose_device(self.device, self.source)

    def load(self, on_progress: Callable[[str, int, int], None] | None = None) -> FlashWorldPipeline:
        """Load the model; arguments and errors are those of `FlashWorldPipeline.from_pretrained`."""
        if self.gpus_per_scene > 1:
            from flashworld.parallel.launch import load_split

            return load_split(self, on_progress)
        return FlashWorldPipeline.from_pretrained(
            self.source, wan=self.wan, device=self.torch_device, offload=self.offload, on_progress=on_progress
        )
