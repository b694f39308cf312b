"""From a row to a finished scene in its place: what each worker of a batch does, whether a loop or a Ray actor.

The device makes one scene at a time and films it; while its files are compressed and written, the next scene is made:
writing a full scene takes longer than making it. So on a GPU several threads call `SceneMaker.make`.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from flashworld.batch.places import Place
from flashworld.batch.requests import RequestSettings, request_of
from flashworld.batch.results import Outcome
from flashworld.batch.rows import Row
from flashworld.errors import FlashWorldError, InputError, PlaceError, WorkerError
from flashworld.inputs import GenerationRequest
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import FILE_NAMES, OutputKind, SceneResult
from flashworld.serving.options import ModelOptions
from flashworld.serving.sentences import sentence_for
from flashworld.types import Frame

logger = logging.getLogger(__name__)

GPU_THREADS = 4
"""Scenes in flight at once on a GPU: one is made, the others are written. Each holds about 1 GB of memory at full size."""
Loader = Callable[[ModelOptions], FlashWorldPipeline]
SCENE_ERRORS = (FlashWorldError, MemoryError, torch.OutOfMemoryError, RuntimeError)
"""What ends a scene and leaves the batch running."""


@dataclass(frozen=True)
class BatchSettings:
    """Settings of a batch, the same for every worker.

    Attributes:
        model: Which model, and where.
        place: Where scenes go; see `Place`.
        outputs: Files of a scene.
        requests: How rows are read.
        load: Loads the model; a function of a module, which workers on Ray import.
    """

    model: ModelOptions
    place: str
    outputs: tuple[OutputKind, ...]
    requests: RequestSettings
    load: Loader = ModelOptions.load

    def digest_of(self, row: Row) -> str:
        """What marks a scene as made from this row in this way."""
        return row.digest(f"{self.model.source} {' '.join(self.outputs)} {sorted(self.requests.video.items())}")

    @property
    def threads(self) -> int:
        """Scenes that one worker has in flight at once."""
        device = self.model.device or self.model.torch_device.type  # named for workers of other machines
        return GPU_THREADS if device == "cuda" else 1


def check_row(row: Row, settings: BatchSettings) -> tuple[Outcome | None, GenerationRequest | None]:
    """A row's request, or the outcome of a row that is not a valid one."""
    try:
        return None, request_of(row, settings.requests)
    except (InputError, MemoryError) as error:
        return Outcome(row.id, "failed", _sentence(error), digest=settings.digest_of(row)), None


class SceneMaker:
    """A loaded model that makes scenes and writes them to the place. `make` may be called by several threads.

    Args:
        settings: Of the batch.
        load: Makes the pipeline; by default from the settings.

    Raises:
        FlashWorldError: the model cannot be loaded.
    """

    def __init__(self, settings: BatchSettings, load: Callable[[], FlashWorldPipeline] | None = None) -> None:
        self._settings = settings
        self._place = Place(settings.place)
        self._pipeline = load() if load else settings.load(settings.model)
        self._device = threading.Lock()

    def make(self, row: Row, request: GenerationRequest) -> Outcome:
        """Make one scene.

        Returns:
            Its outcome; "failed" if the scene is at fault.

        Raises:
            PlaceError: the place is at fault: every other scene would fail as well.
        """
        start = time.perf_counter()
        known = Outcome(
            row.id, "failed", seed=request.seed, worker=worker_name(), digest=self._settings.digest_of(row),
            model=self._pipeline.name,
        )  # fmt: skip
        try:
            with self._place.scene_folder(row.id) as folder:
                result, frames, files = self._on_device(request, folder)
                written: list[OutputKind] = [kind for kind in self._settings.outputs if kind not in files]
                files |= result.save(folder, written, frames=frames)
            names = tuple(f"{row.id}/{FILE_NAMES[kind]}" for kind in self._settings.outputs if kind in files)
            done = replace(
                known,
                state="done",
                seconds=round(time.perf_counter() - start, 3),
                gaussians=len(result.scene),
                files=names,
            )
            self._place.finish(done)
            return done
        except (PlaceError, WorkerError):  # every other scene would fail as well
            raise
        except SCENE_ERRORS as error:
            logger.warning("scene %s failed", row.id, exc_info=not isinstance(error, InputError))
            failed = replace(known, error=_sentence(error))
        # Outside the handler: the error's traceback holds on to the tensors that filled the memory.
        if self._pipeline.networks.device.type == "cuda":
            torch.cuda.empty_cache()
        return failed

    def _on_device(
        self, request: GenerationRequest, folder: Path
    ) -> tuple[SceneResult, list[Frame] | None, dict[OutputKind, Path]]:
        """What needs the device: the scene, its film, and the files that are rendered."""
        with self._device:
            result = self._pipeline(request)
            rendered: list[OutputKind] = [kind for kind in self._settings.outputs if kind in ("preview", "depth")]
            files = dict(result.save(folder, rendered))
            filmed = "video" in self._settings.outputs and request.video.enabled
            frames = [np.array(frame) for frame in result.iter_video()] if filmed else None
            return replace(result, scene=result.visible().to("cpu")), frames, files


def worker_name() -> str:
    """This machine and process."""
    return f"{socket.gethostname()}/{os.getpid()}"


def _sentence(error: Exception) -> str:
    """For the table. The reader owns the machine, so an error of this project keeps its own message."""
    return str(error) if isinstance(error, FlashWorldError) else sentence_for(error)
