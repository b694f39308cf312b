"""The model of an app: its selection, device, loading and compilation.

Modules that only a GPU needs are imported if there is one: the page of the small model opens sooner without them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from flashworld.checkpoints.loading import model_config
from flashworld.config import ModelConfig
from flashworld.device import cuda_fault
from flashworld.errors import CheckpointError
from flashworld.models.networks import weight_bytes
from flashworld.models.offload import offload_that_fits
from flashworld.pipeline import FlashWorldPipeline
from flashworld.serving.file_progress import FileProgress
from flashworld.serving.freed_memory import exclude_from_collection
from flashworld.serving.options import ModelOptions

logger = logging.getLogger("flashworld.app")

GpuDecorator = Callable[..., Any]


class Model:
    """The pipeline. Loaded by the constructor, except for nano on a CPU, which is loaded in the background after the page opens.

    Args:
        options: Model and device.
        gpu: `spaces.GPU`: graphs are compiled where a GPU is available.
        text_int8: Eight-bit text weights in compiled graphs.

    Attributes:
        note: A summary of model, device and graphs, for the page.
        room: The part of the note about networks that do not fit on the GPU.

    Raises:
        FlashWorldError: options or weights cannot be used.
    """

    def __init__(self, options: ModelOptions, gpu: GpuDecorator, *, text_int8: bool) -> None:
        self.source = options.source
        self.config: ModelConfig = model_config(self.source)
        self.on_gpu = options.torch_device.type == "cuda"
        self.compiled = False
        fault = cuda_fault()
        if fault:
            logger.warning("%s", fault)
        beside = f": {fault}" if fault else ""
        self.note = ""
        self.room = ""
        self._options = options
        self._gpu = gpu
        self._text_int8 = text_int8
        self._pipeline: FlashWorldPipeline | None = None
        self._error: CheckpointError | None = None
        self._thread = threading.Thread(target=self._load_behind_the_page, name="load-model", daemon=True)
        self._starting = threading.Lock()
        if self.on_gpu:
            self._have_kernels()
            self._fit()
            self._load()
            self._compile()
        elif self.source == "nano":
            self.note = f"the small built-in model{beside}"
        else:
            self._load()
            self.note = f"running on the CPU{beside}"

    @property
    def device_name(self) -> str:
        """What the seconds of calls are kept under."""
        return torch.cuda.get_device_name() if self.on_gpu else f"cpu {self.config.name}"

    @property
    def pipeline(self) -> FlashWorldPipeline:
        """The loaded model.

        Raises:
            CheckpointError: its weights cannot be used.
        """
        if self._pipeline is None and self.source == "nano" and not self.on_gpu:
            self.load_behind_the_page()
            self._thread.join()
        if self._error is not None:
            raise self._error
        if self._pipeline is None:
            raise CheckpointError("the model could not be loaded; see the log")
        return self._pipeline

    def load_behind_the_page(self) -> None:
        """Start loading in a background thread, if not yet loaded; the first call also loads it."""
        with self._starting:
            if self._pipeline is None and self._thread.ident is None:
                self._thread.start()

    def _load_behind_the_page(self) -> None:
        try:
            self._load()
        except CheckpointError as error:
            self._error = error
            logger.exception("the model cannot be loaded")

    def _fit(self) -> None:
        """Keep networks in CPU memory that do not fit on the GPU, unless `--offload` was given."""
        from aot.keys import device_is_emulated

        if self._options.offload or self._options.gpus_per_scene > 1 or device_is_emulated("cuda"):
            return
        free, _ = torch.cuda.mem_get_info()
        offload = offload_that_fits(weight_bytes(self.config, torch.bfloat16), free)
        if offload:
            self.room = f"; {free / 2**30:.0f} GiB of free GPU memory are not enough for everything, --offload {','.join(offload)}"
            logger.warning("%s", self.room.strip("; "))
            self._options = replace(self._options, offload=offload)

    def _load(self) -> None:
        start = time.perf_counter()
        with FileProgress() as progress:
            pipeline = self._options.load(progress)
        logger.info("model %s loaded in %.1f s", pipeline.name, time.perf_counter() - start)
        exclude_from_collection()
        self._pipeline = pipeline

    def _have_kernels(self) -> None:
        """Compile the renderer's kernels now rather than in a visitor's call; find, download or build gsplat's if that fails."""
        from flashworld.kernels.program import prepare

        reason = prepare("cuda")
        if reason is None:
            return
        logger.warning("rendering with gsplat, which is slower: %s", reason)
        from aot.artifacts import ArtifactStore
        from aot.gsplat.startup import ensure_gsplat
        from aot.hub import open_place
        from aot.startup import GraphSettings

        settings = GraphSettings.from_environment()
        place = open_place(settings.place, settings.revision) if settings.place else None
        logger.info("%s", ensure_gsplat(ArtifactStore(settings.root), place))

    def _compile(self) -> None:
        """Install compiled graphs, compiling missing ones; without them everything still runs, more slowly."""
        if self._options.gpus_per_scene > 1:  # collectives stand between the products; graphs hold one GPU's alone
            self.note = f"running eagerly, {self._options.gpus_per_scene} GPUs a scene"
            return
        if self.source == "nano":  # float32, as on the CPU, for the same pictures
            self.note = "the small built-in model, without compiled graphs"
            return
        if os.environ.get("FLASHWORLD_AOT") == "off" or self._options.offload:
            self.note = f"running eagerly{self.room}"
            return
        from aot.install import summary
        from aot.startup import STARTUP_SECONDS, GraphSettings, prepare
        from aot.variants import PROBE_SECONDS, Variant, probe_precision

        # Before compiling, and only if compiling is enabled: in graphs FP8 is faster than bfloat16.
        # A network whose graph can be neither found nor compiled runs in FP8 eagerly, which is slower.
        variant = Variant(fp8=probe_precision(self._gpu(duration=PROBE_SECONDS)), text_int8=self._text_int8)
        try:
            self.pipeline.networks = variant.apply(self.pipeline.networks)
        except torch.OutOfMemoryError:
            logger.exception("the networks could not be optimised")
            self.note = "running eagerly: too little GPU memory to prepare the networks for compiled graphs"
            return
        settings = replace(GraphSettings.from_environment(), variant=variant)
        reports = prepare(self.pipeline.networks, settings, on_gpu=self._gpu(duration=STARTUP_SECONDS))
        self.compiled = all(report.active for report in reports)
        self.note = summary(reports)


def load_served(options: ModelOptions) -> FlashWorldPipeline:
    """The pipeline as the app serves it from a GPU of its own: with compiled graphs, or with a warning that says why not.

    Raises:
        FlashWorldError: options or weights cannot be used.
    """
    import spaces

    model = Model(options, spaces.GPU, text_int8=False)
    pipeline = model.pipeline
    if not model.compiled:
        logger.warning("some or all networks run without compiled graphs: %s", model.note)
    return pipeline
