"""From a row to a finished scene: the work of each batch worker, whether a local loop or a Ray actor.

The device generates one scene at a time and renders its video; while its files are compressed and written, the next
scene is generated: writing a full scene takes longer than generating it. On a GPU several threads therefore call
`SceneMaker.make`.
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
"""Scenes in flight on a GPU: one is generated, the others are written. Each takes about 1 GB of memory at full size."""
Loader = Callable[[ModelOptions], FlashWorldPipeline]
SCENE_ERRORS = (FlashWorldError, MemoryError, torch.OutOfMemoryError, RuntimeError)
"""Exceptions that fail one scene without stopping the batch."""


@dataclass(frozen=True)
class BatchSettings:
    """Settings of a batch, the same for every worker.

    Attributes:
        model: Model and device.
        place: Output location; see `Place`.
        outputs: Output files of a scene.
        requests: Settings for reading rows.
        load: Loads the model; a module-level function, which Ray workers import.
    """

    model: ModelOptions
    place: str
    outputs: tuple[OutputKind, ...]
    requests: RequestSettings
    load: Loader = ModelOptions.load

    def digest_of(self, row: Row) -> str:
        """The settings that a scene's digest covers."""
        return row.digest(f"{self.model.source} {' '.join(self.outputs)} {sorted(self.requests.video.items())}")

    @property
    def threads(self) -> int:
        """Scenes in flight per worker."""
        device = self.model.device or self.model.torch_device.type  # by name, for workers on other machines
        return GPU_THREADS if device == "cuda" else 1


def check_row(row: Row, settings: BatchSettings) -> tuple[Outcome | None, GenerationRequest | None]:
    """A row's validated request, or the failed outcome of an invalid row."""
    try:
        return None, request_of(row, settings.requests)
    except (InputError, MemoryError) as error:
        return Outcome(row.id, "failed", _sentence(error), digest=settings.digest_of(row)), None


class SceneMaker:
    """A loaded model that makes scenes and writes their files. `make` is thread-safe.

    Args:
        settings: Settings of the batch.
        load: Loads the pipeline; by default from the settings.

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
            Its outcome; "failed" for an error of the scene itself.

        Raises:
            PlaceError: an error of the output location, which would affect every scene.
        """
        start = time.perf_counter()
        known = Outcome(
            row.id, "failed", seed=request.seed, worker=worker_name(), digest=self._settings.digest_of(row),
            model=self._pipeline.name, notes=request.path.notes,
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
        # Outside the handler: the exception's traceback keeps references to the tensors that filled the memory.
        if self._pipeline.networks.device.type == "cuda":
            torch.cuda.empty_cache()
        return failed

    def _on_device(
        self, request: GenerationRequest, folder: Path
    ) -> tuple[SceneResult, list[Frame] | None, dict[OutputKind, Path]]:
        """The part that needs the device: the scene, its video, and other rendered files."""
        with self._device:
            result = self._pipeline(request)
            rendered: list[OutputKind] = [kind for kind in self._settings.outputs if kind in ("preview", "depth")]
            files = dict(result.save(folder, rendered))
            filmed = "video" in self._settings.outputs and request.video.enabled
            frames = [np.array(frame) for frame in result.iter_video()] if filmed else None
            return replace(result, scene=result.visible().to("cpu")), frames, files


def worker_name() -> str:
    """Host name and process id."""
    return f"{socket.gethostname()}/{os.getpid()}"


def _sentence(error: Exception) -> str:
    """Error message for the table. Its reader owns the machine, so this project's errors keep their messages."""
    return str(error) if isinstance(error, FlashWorldError) else sentence_for(error)
