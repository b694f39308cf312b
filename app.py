"""The app: a model, the page in front of it, and the one function that runs on the GPU.

    python app.py [--model full|nano|PATH] [--ckpt FILE] [--offload text,vae,transformer] [--host H] [--port P]

On ZeroGPU the networks are put on "cuda" here, when the module loads; each generation runs in a forked worker, which
gets a checked request and gives back a packed scene and the video's pictures. Checking happens before it, files are
written after it, both in this process. Without a GPU the small model is loaded while the page is already open.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Generator, Iterator
from html import escape
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

from flashworld.serving.private_folder import private_folder

os.environ.setdefault("GRADIO_TEMP_DIR", str(private_folder() / "uploads"))  # read when gradio is imported

if os.environ.get("SPACES_ZERO_GPU"):
    import torch._dynamo.device_interface
import spaces  # isort: skip
from spaces import config as spaces_config  # isort: skip
import gradio as gr

from aot.served_model import Model
from aot.spaces_compat import platform_factor
from flashworld.cli.models import add_model_options
from flashworld.errors import CheckpointError, ExportError, FlashWorldError, InputError, NumericalError
from flashworld.inputs import GenerationRequest, VideoSettings
from flashworld.limits import MAX_SIDE_PX, MIN_SIDE_PX, SIZE_MULTIPLE
from flashworld.pipeline import Stage
from flashworld.result import SceneResult
from flashworld.sampling import STEPS
from flashworld.serving import shared_arrays
from flashworld.serving.costs import H200_COSTS, Work
from flashworld.serving.delivery import NAMES, deliver, focus_distance
from flashworld.serving.durations import DurationModel
from flashworld.serving.transfer import PackedResult, pack_result, use_shared_memory
from flashworld.serving.workers import WorkerWatch, startup_seconds
from ui import build_page, launch_options
from ui.contract import Defaults, Progress, Result
from ui.events.job import BROKEN

logger = logging.getLogger("flashworld.app")

GPU_SHARE = 0.85
"""Share of the progress bar that stands for the GPU's part."""
CPU_SLOWNESS = 60.0
"""How many times the H200's seconds two CPU cores need, until calls have been seen."""
OUT_OF_MEMORY = "There was not enough memory. Take fewer views or a smaller picture and try again."
NOT_FINITE = "The model gave no usable numbers for this request. Try another seed, or change the words or the picture."
NOT_LOADED = "The model is not ready and will not be: the owner of this app finds the reason in its log."
NOT_STARTED = "flashworld: port {port} of {host} cannot be used, is another app running there? Choose one with --port"
NO_CAP = 86400.0
"""Seconds; whoever owns the GPU may use it."""
PAGE_FIRST_S = 2.0
"""Seconds that visitors' browsers have to fetch the page before a model is loaded beside it: both want the processor."""
TOTAL = "total"
WORKER_START = "worker start"
ABORTED = "aborted"
"""In the title of the error that ZeroGPU shows when a call was cut short or its worker died."""
OWNER_PID = os.getpid()
"""ZeroGPU's workers are forks of this process and must not clean up after it."""
ZERO_GPU = bool(spaces_config.Config.zero_gpu)


def parse_options(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of `python app.py`."""
    parser = argparse.ArgumentParser(description="Open the FlashWorld app.")
    add_model_options(parser)
    parser.add_argument("--host", default=None, help="default: this machine only; 0.0.0.0 for everybody")
    parser.add_argument("--port", type=int, default=None, help="default: 7860")
    return parser.parse_args(argv)


def load_model(options: argparse.Namespace) -> Model:
    """The model, or the end of the process in one sentence."""
    try:
        # Eight-bit text weights keep what a cold worker moves below 13 GB.
        return Model(options, spaces.GPU, text_int8=ZERO_GPU)
    except FlashWorldError as error:
        shutil.rmtree(private_folder(), ignore_errors=True)
        raise SystemExit(f"flashworld: {error}") from None


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
OPTIONS = parse_options() if __name__ == "__main__" else parse_options([])
MODEL = load_model(OPTIONS)
if ZERO_GPU:
    use_shared_memory(shared_arrays.works())
    logger.info("results of GPU workers come through %s", "shared memory" if PackedResult.shared_memory else "a pipe")
DURATIONS = DurationModel(
    torch.cuda.get_device_name() if MODEL.on_gpu else f"cpu {MODEL.config.name}",
    folder=os.environ.get("FLASHWORLD_DATA_DIR") or None,
    factor=platform_factor(),
    cap_s=NO_CAP if not ZERO_GPU else float(os.environ.get("FLASHWORLD_MAX_GPU_SECONDS", "120")),
    costs=H200_COSTS
    if MODEL.on_gpu
    else dataclasses.replace(
        H200_COSTS, **{f.name: getattr(H200_COSTS, f.name) * CPU_SLOWNESS for f in dataclasses.fields(H200_COSTS)
                       if f.name.startswith("per_") and f.name not in ("per_result_byte", "per_gaussian_view")}
    ),
)  # fmt: skip


WORKERS = WorkerWatch()


def work_of(frames: int, height: int, width: int, video: VideoSettings, *, cold: bool | None = None) -> Work:
    """What a request makes the GPU do; `cold` None: whether it will have to start a worker, as far as can be known."""
    pictures = video.frame_count(frames) if video.enabled else 0
    cold = ZERO_GPU and WORKERS.expect_cold() if cold is None else cold
    return Work(frames, height, width, pictures, compiled=MODEL.compiled, cold=cold)


def gpu_seconds(request: GenerationRequest, *_args: object, **_kwargs: object) -> int:
    """What to reserve for a request; the page shows the same number."""
    return DURATIONS.estimate_seconds(work_of(request.frames, request.height, request.width, request.video))


@spaces.GPU(duration=gpu_seconds, size=os.environ.get("FLASHWORLD_GPU_SIZE") or "large")  # type: ignore[call-overload]
def generate_on_gpu(request: GenerationRequest, shared_memory: bool = False) -> Iterator[int | Stage | PackedResult]:
    """Run the model; the only code that touches the GPU. Yields its process, then stages, and last the packed result.

    Args:
        request: What to make.
        shared_memory: Hand the result's arrays over in shared memory, if this runs in a worker.

    Raises:
        gr.Error: the only kind of error whose text leaves a ZeroGPU worker.
    """
    born = startup_seconds()
    use_shared_memory(shared_memory)
    try:
        yield os.getpid()
        pipeline, start = MODEL.pipeline, time.perf_counter()  # waiting for a model that is still loading is no work
        for stage in pipeline.stages(request):
            if isinstance(stage, SceneResult):
                packed = pack_result(stage)
                packed.timings[WORKER_START] = born
                packed.timings[TOTAL] = born + time.perf_counter() - start
                yield packed
            else:
                yield stage
        return
    except (FlashWorldError, MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        logger.exception("generation failed")
        sentence = visitor_sentence(error)
    # Outside the handler: the error's traceback holds on to the tensors that filled the memory.
    if MODEL.on_gpu:
        torch.cuda.empty_cache()
    raise gr.Error(sentence, print_exception=False)


def visitor_sentence(error: Exception) -> str:
    """What a visitor reads of an error in the GPU's part; the log has the rest."""
    if isinstance(error, InputError):
        return escape(str(error), quote=False)
    if isinstance(error, NumericalError):
        return NOT_FINITE
    if isinstance(error, CheckpointError):
        return NOT_LOADED
    # torch on the CPU raises a plain RuntimeError, and so do some CUDA libraries.
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "can't allocate" in text:
        return OUT_OF_MEMORY
    return BROKEN


class Service:
    """What the page asks for; see `ui.contract.Service`."""

    queue_size = 60
    """At 8 GPU seconds a scene the last one waits eight minutes; who comes later is told to try again."""
    concurrency = 1
    uses_gpu_quota = ZERO_GPU

    def __init__(self, model: Model) -> None:
        height, width = model.config.height, model.config.width
        self.model_name = "FlashWorld" if model.config.name == "full" else f"FlashWorld {model.config.name}"
        self.model_note = model.note
        self.defaults = Defaults(
            frames=model.config.frames,
            height=height,
            width=width,
            sizes=((height, width), (width, height), square_like(height, width)),
            fps=24,
        )

    def estimate_seconds(self, frames: int, height: int, width: int, video: VideoSettings) -> float:
        """Seconds such a request takes: what `duration=` asks for on ZeroGPU, what is expected elsewhere."""
        estimate = DURATIONS.estimate(work_of(frames, height, width, video))
        return float(estimate.request_s) if ZERO_GPU else estimate.expected_s

    def generate(
        self, request: GenerationRequest, *, session_dir: Path, ip_token: str | None = None
    ) -> Generator[Progress | Result, None, None]:
        """Follow the GPU's part, then write the files."""
        packed = None
        size = (request.frames, request.height, request.width, request.video)
        with WORKERS.call() as call:
            asked = work_of(*size)
            try:
                for stage in generate_on_gpu(request, PackedResult.shared_memory):
                    if isinstance(stage, int):
                        call.ran_in(stage)
                    elif isinstance(stage, PackedResult):
                        packed = stage
                    elif isinstance(stage, ExportError):
                        use_shared_memory(False)  # this result is lost, the next ones come through the pipe
                        raise stage
                    else:
                        yield progress_of(stage)
            except gr.Error as error:
                if ABORTED in f"{error.title} {error.message}".lower():
                    DURATIONS.record_aborted(asked)
                raise
        if packed is None:
            raise ExportError("the GPU gave nothing back")
        DURATIONS.record(work_of(*size, cold=packed.timings[WORKER_START] > 0), packed.timings[TOTAL])
        result = packed.unpack(request)
        files = {}
        for name, path in deliver(result, session_dir, frames=packed.frames):
            files[name] = path
            yield Progress("files", GPU_SHARE + (1 - GPU_SHARE) * len(files) / (len(NAMES) + 1), path.name)
        yield Result(
            files=files,
            seed=request.seed,
            gaussians=len(result.visible()),
            cameras=result.cameras,
            height=request.height,
            width=request.width,
            image_index=request.image_index,
            focus_distance=focus_distance(result.scene, result.cameras[request.image_index]),
            timings=result.timings,
        )


def square_like(height: int, width: int) -> tuple[int, int]:
    """A square of about the same area, in whole steps."""
    side = round((height * width) ** 0.5 / SIZE_MULTIPLE) * SIZE_MULTIPLE
    side = min(max(side, MIN_SIDE_PX), MAX_SIDE_PX)
    return side, side


def progress_of(stage: Stage) -> Progress:
    """A pipeline's stage in the page's words: what is going on now."""
    if stage.name == "scene":
        return Progress("render", stage.fraction * GPU_SHARE, "", stage.preview)
    coming = min(int(stage.fraction * (STEPS + 1)) + 1, STEPS)
    return Progress("denoise", stage.fraction * GPU_SHARE, f"step {coming} of {STEPS}", stage.preview)


SERVICE = Service(MODEL)


def leave(code: int) -> NoReturn:
    """End at once, whatever is running, and leave nothing behind.

    Not `sys.exit`: it waits for threads, and one may be in the middle of a scene, or takes the process down with an
    abort, when one is still loading the model.
    """
    if os.getpid() == OWNER_PID:
        shutil.rmtree(private_folder(), ignore_errors=True)
        for worker in multiprocessing.active_children():  # ZeroGPU's
            worker.kill()
    sys.stderr.flush()
    os._exit(code)


def stop(signal_number: int, _frame: FrameType | None = None) -> None:
    """What a signal does."""
    leave(128 + signal_number)


def serve() -> None:
    """Open the page and keep it open until a signal ends the process."""
    page = build_page(SERVICE)
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
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    time.sleep(PAGE_FIRST_S)
    MODEL.load_behind_the_page()
    while True:
        signal.pause()


if __name__ == "__main__":
    serve()
