"""The app: a model, the page, and the one function that runs on the GPU.

    python app.py [--model full|nano|PATH] [--ckpt FILE] [--offload text,vae,transformer] [--gpus all|0,1] [--host H] [--port P]

On ZeroGPU the networks are moved to "cuda" here, when the module loads; each generation runs in a forked worker, which
receives a checked request and sends back progress, a packed scene and the video's frames. Requests are checked before the
call and files are written after it, both in this process. Without a GPU the small model loads while the page is open.
With --gpus or --gpus-per-scene worker processes keep the model, and this one has none.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from html import escape
from pathlib import Path
from typing import cast

# Read when numpy is imported. With huge pages, 4 kB in use keep 2 MB of freed arrays resident.
os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")

import torch

from flashworld.serving.private_folder import private_folder

os.environ.setdefault("GRADIO_TEMP_DIR", str(private_folder() / "uploads"))  # read when gradio is imported

if os.environ.get("SPACES_ZERO_GPU"):
    import torch._dynamo.device_interface  # noqa: F401 - before spaces replaces parts of torch
import spaces  # isort: skip
import gradio as gr

from aot.pooled_model import PooledModel
from aot.served_model import Model
from aot.spaces_compat import on_zero_gpu, platform_factor
from flashworld.checkpoints.loading import reads_own_words, trained_weights
from flashworld.cli.models import add_model_options, model_options
from flashworld.errors import FlashWorldError, TransferError
from flashworld.inputs import GenerationRequest, VideoSettings
from flashworld.limits import MAX_SIDE_PX, MIN_SIDE_PX, SIZE_MULTIPLE
from flashworld.nano.language import understood
from flashworld.progress import Progress
from flashworld.serving import shared_arrays
from flashworld.serving.costs import CPU_COSTS, H200_COSTS, Work
from flashworld.serving.delivery import NAMES, deliver, focus_distance
from flashworld.serving.durations import DurationModel
from flashworld.serving.freed_memory import exclude_from_collection, return_ends_of_heaps, return_freed_memory
from flashworld.serving.generation import generation
from flashworld.serving.gpus import gpus_of_one_scene
from flashworld.serving.messages import Failed, Finished, WorkerMessage, WorkerStarted
from flashworld.serving.shutdown import leave, leave_on_signals
from flashworld.serving.transfer import PackedResult, use_shared_memory
from flashworld.serving.workers import WorkerWatch, startup_seconds
from ui import build_page, launch_options
from ui.contract import Defaults, Result

logger = logging.getLogger("flashworld.app")

GPU_SHARE = 0.85
"""Share of the progress bar for the GPU call."""
NOT_STARTED = "flashworld: port {port} of {host} cannot be used, is another app running there? Choose one with --port"
NO_CAP = 86400.0
"""Longest call in seconds on the user's own GPU."""
PAGE_FIRST_S = 2.0
"""Seconds for browsers to load the page before a model is loaded in the background: both compete for the CPU."""
TOTAL = "total"
WORKER_START = "worker start"
ABORTED = "aborted"
"""Part of the title of ZeroGPU's error when a call was cut short or its worker died."""
ZERO_GPU = on_zero_gpu()


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of `python app.py`."""
    parser = argparse.ArgumentParser(description="Open the FlashWorld app.")
    add_model_options(parser)
    parser.add_argument(
        "--gpus",
        default=None,
        metavar="all|0,1",
        help="a worker process on each of these GPUs; default: one GPU, in this process",
    )
    parser.add_argument("--host", default=None, help="default: this machine only; 0.0.0.0 for all interfaces")
    parser.add_argument("--port", type=int, default=None, help="default: 7860")
    return parser.parse_args(argv)


def load_model(options: argparse.Namespace) -> Model | PooledModel:
    """Load the model, or exit with a one-sentence error."""
    try:
        model = model_options(options)
        if options.gpus is not None:
            return PooledModel(options.gpus, model, zero_gpu=ZERO_GPU)
        if model.gpus_per_scene > 1:  # in a worker, which is replaced when a process of its group ends
            gpus = gpus_of_one_scene(model.torch_device.type, model.gpus_per_scene)
            return PooledModel(gpus, dataclasses.replace(model, device=None), zero_gpu=ZERO_GPU)
        # Eight-bit text weights keep what a cold worker moves below 13 GB.
        return Model(model, spaces.GPU, text_int8=ZERO_GPU)
    except FlashWorldError as error:
        shutil.rmtree(private_folder(), ignore_errors=True)
        raise SystemExit(f"flashworld: {error}") from None


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
OPTIONS = parse_options() if __name__ == "__main__" else parse_options([])
MODEL = load_model(OPTIONS)
if ZERO_GPU or isinstance(MODEL, PooledModel):
    use_shared_memory(shared_arrays.works())
    logger.info("results of GPU workers come through %s", "shared memory" if PackedResult.shared_memory else "a pipe")
DURATIONS = DurationModel(
    MODEL.device_name,
    folder=os.environ.get("FLASHWORLD_DATA_DIR") or None,
    factor=platform_factor(),
    cap_s=NO_CAP if not ZERO_GPU else float(os.environ.get("FLASHWORLD_MAX_GPU_SECONDS", "120")),
    costs=H200_COSTS if MODEL.on_gpu else CPU_COSTS,
)
WORKERS = WorkerWatch()


def work_of(
    frames: int, height: int, width: int, video: VideoSettings, *, picture: bool = False, cold: bool | None = None
) -> Work:
    """The GPU work of a request; if `cold` is None, it is predicted from the idle workers."""
    pictures = video.frame_count(frames) if video.enabled else 0
    cold = ZERO_GPU and WORKERS.expect_cold() if cold is None else cold
    return Work(frames, height, width, pictures, compiled=MODEL.compiled, picture=picture, cold=cold)


def work_of_request(request: GenerationRequest) -> Work:
    """The same for a complete request."""
    has_picture = request.picture is not None
    return work_of(request.frames, request.height, request.width, request.video, picture=has_picture)


def gpu_seconds(request: GenerationRequest, *_args: object, **_kwargs: object) -> int:
    """GPU seconds to reserve for a request; the page shows the same number."""
    return DURATIONS.estimate_seconds(work_of_request(request))


@spaces.GPU(duration=gpu_seconds, size=os.environ.get("FLASHWORLD_GPU_SIZE") or "large")  # type: ignore[call-overload]
def generate_on_gpu(request: GenerationRequest, shared_memory: bool = False) -> Iterator[WorkerMessage]:
    """Run the model; the only code that touches the GPU.

    Args:
        request: The request.
        shared_memory: Pass the result's arrays in shared memory, if this runs in a worker.

    Yields:
        `WorkerStarted`, then `Progress`, and last `Finished`.

    Raises:
        gr.Error: the only class of error whose text a ZeroGPU worker passes on.
    """
    startup_s = startup_seconds()
    use_shared_memory(shared_memory)
    yield WorkerStarted(os.getpid(), startup_s)
    for message in generation(lambda: cast(Model, MODEL).pipeline, request, startup_s):
        if isinstance(message, Failed):
            raise failure(message)
        yield message


def failure(message: Failed) -> gr.Error:
    """The error that Gradio shows."""
    return gr.Error(escape(message.sentence, quote=False), print_exception=False)


generate_messages = MODEL.pool.messages if isinstance(MODEL, PooledModel) else generate_on_gpu
"""Where scenes are generated: workers of several GPUs, or this process and its ZeroGPU forks."""


class Service:
    """The service behind the page; see `ui.contract.Service`."""

    queue_size = 60
    """Queue size: at 8 GPU seconds per scene the last one waits eight minutes; further requests are refused."""
    concurrency = len(MODEL.pool) if isinstance(MODEL, PooledModel) else 1
    uses_gpu_quota = ZERO_GPU

    def __init__(self, model: Model | PooledModel) -> None:
        height, width = model.config.height, model.config.width
        name = "FlashWorld" if model.config.name == "full" else f"FlashWorld {model.config.name}"
        self.model_name = name if trained_weights(model.source) else f"{name}, untrained"
        self.model_note = model.note
        self.understood = understood if reads_own_words(model.source) else None
        self.defaults = Defaults(
            frames=model.config.frames,
            height=height,
            width=width,
            sizes=((height, width), (width, height), square_like(height, width)),
        )

    def estimate_seconds(self, frames: int, height: int, width: int, video: VideoSettings, *, picture: bool) -> float:
        """Seconds for a request with these properties: those passed as `duration=` on ZeroGPU, otherwise the expected ones."""
        estimate = DURATIONS.estimate(work_of(frames, height, width, video, picture=picture))
        return float(estimate.request_s) if ZERO_GPU else estimate.expected_s

    def generate(self, request: GenerationRequest, *, session_dir: Path) -> Generator[Progress | Result, None, None]:
        """Make a scene, then return the memory that it needed to the system."""
        try:
            yield from self._scene(request, session_dir)
        finally:
            return_freed_memory()

    def _scene(self, request: GenerationRequest, session_dir: Path) -> Generator[Progress | Result, None, None]:
        """Follow the GPU call, then write the files."""
        started, finished = None, None
        with WORKERS.call() as call:
            asked = work_of_request(request)
            try:
                for message in generate_messages(request, PackedResult.shared_memory):
                    if isinstance(message, WorkerStarted):
                        started = message
                        call.ran_in(message.pid)
                    elif isinstance(message, Finished):
                        finished = message
                    elif isinstance(message, Failed):
                        raise failure(message)
                    else:
                        yield dataclasses.replace(message, fraction=message.fraction * GPU_SHARE)
            except gr.Error as error:
                if ABORTED in f"{error.title} {error.message}".lower():
                    DURATIONS.record_aborted(asked)
                raise
        if started is None or finished is None:
            raise TransferError("the GPU gave nothing back")
        DURATIONS.record(dataclasses.replace(asked, cold=started.startup_s > 0), finished.gpu_s)
        try:
            result = finished.result.unpack(request)
        except TransferError:
            use_shared_memory(False)  # this result is lost; send the next ones through the pipe
            raise
        light = finished.result.unpack_light()
        scene = Result(
            files={},
            seed=request.seed,
            gaussians=result.count_visible(),
            cameras=result.cameras,
            height=request.height,
            width=request.width,
            image_index=request.image_index,
            focus_distance=focus_distance(result.scene, result.cameras[request.image_index]),
            timings={**result.timings, WORKER_START: started.startup_s, TOTAL: finished.gpu_s},
            light_gaussians=len(light.scene) if light else 0,
            light_psnr_db=light.psnr_db if light else math.inf,
            complete=False,
        )
        picture, frames = finished.result.picture, finished.result.frames
        for name, path in deliver(result, session_dir, light=light, picture=picture, frames=frames):
            scene.files[name] = path
            if name in ("viewer", "video") and {"viewer", "poster"} <= scene.files.keys():
                yield dataclasses.replace(scene, files=dict(scene.files))
            share = len(scene.files) / (len(NAMES) + 1)
            yield Progress("files", GPU_SHARE + (1 - GPU_SHARE) * share, len(scene.files), len(NAMES))
        yield dataclasses.replace(scene, complete=True)


def square_like(height: int, width: int) -> tuple[int, int]:
    """A square of about the same area, with allowed sides."""
    side = round((height * width) ** 0.5 / SIZE_MULTIPLE) * SIZE_MULTIPLE
    side = min(max(side, MIN_SIDE_PX), MAX_SIDE_PX)
    return side, side


SERVICE = Service(MODEL)


def serve() -> None:
    """Open the page and keep it open until a signal ends the process."""
    page = build_page(SERVICE)
    exclude_from_collection()
    return_ends_of_heaps()
    try:
        page.launch(
            server_name=OPTIONS.host,
            server_port=OPTIONS.port,
            mcp_server=True,
            prevent_thread_lock=True,
            **launch_options(),
        )
    except OSError as error:
        place = {"port": OPTIONS.port or "7860 and those above it", "host": OPTIONS.host or "this machine"}
        logger.info("%s", error)
        sys.stderr.write(NOT_STARTED.format(**place) + "\n")
        leave(1)
    leave_on_signals()
    time.sleep(PAGE_FIRST_S)
    MODEL.load_behind_the_page()
    while True:
        signal.pause()


if __name__ == "__main__":
    serve()
