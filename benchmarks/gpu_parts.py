"""The parts of `benchmarks.gpu_all`: each takes the `Run` and gives plain data for the report."""

from __future__ import annotations

import argparse
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from aot import install
from aot.artifacts import Artifact, ArtifactStore
from aot.blocks import BLOCKS, module_of, plan_block
from aot.compile import compile_plan, key_for
from aot.proof.comparison import compare
from aot.shapes import EVERY_SIZE
from aot.variants import Variant
from benchmarks.full_scene import relative, single_calls
from benchmarks.machine import Machine, measure_machine
from benchmarks.stages import GIB, MODELS, Case, a_request, measure
from flashworld.config import ModelConfig
from flashworld.inputs import GenerationRequest, VideoSettings
from flashworld.io.video import write_video
from flashworld.limits import MIN_SIDE_PX
from flashworld.models.fp8 import Fp8Mode, probe_fp8
from flashworld.models.networks import Networks, random_networks
from flashworld.pipeline import FlashWorldPipeline, place
from flashworld.result import SceneResult
from flashworld.serving.transfer import pack_result

VIDEO_FPS = 16
DEVICE_TEST_SECONDS = 150
COLD_SECONDS = 240


@dataclass
class Run:
    """What the parts share.

    Attributes:
        config: The model's sizes.
        device: Where it runs.
        dtype: What its networks compute in.
        fp8: What the device multiplies in eight bits.
        out: Folder for files.
        store: Compiled graphs of this run.
        blocks: Networks to compile.
        frames: Numbers of views for the growth.
        sizes: Height and width for the growth.
        video_frames: Of the video.
        rounds: Calls a median is taken from.
        ends_at: `time.monotonic()` at which everything should be over.
        model: Name of the model, for processes started from here.
    """

    config: ModelConfig
    device: torch.device
    dtype: torch.dtype
    fp8: Fp8Mode | None
    out: Path
    store: ArtifactStore
    blocks: tuple[str, ...]
    frames: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]
    video_frames: int
    rounds: int
    ends_at: float
    model: str
    _networks: Networks | None = None
    _machine: Machine | None = field(default=None, repr=False)

    @classmethod
    def from_options(cls, args: argparse.Namespace) -> Run:
        """From `gpu_all`'s options."""
        device = torch.device(args.device)
        return cls(
            config=MODELS[args.model],
            device=device,
            dtype=torch.bfloat16 if device.type == "cuda" else torch.float32,
            fp8=probe_fp8(device),
            out=args.out,
            store=ArtifactStore(tempfile.mkdtemp(prefix="flashworld-gpu-")),
            blocks=tuple(args.blocks.split(",")) if args.blocks else BLOCKS,
            frames=tuple(int(n) for n in args.frames.split(",")),
            sizes=tuple((int(h), int(w)) for h, w in (size.split("x") for size in args.sizes.split(","))),
            video_frames=args.video_frames,
            rounds=args.rounds,
            ends_at=time.monotonic() + 60 * args.minutes,
            model=args.model,
        )

    def seconds_left(self) -> float:
        """Until the run should be over."""
        return self.ends_at - time.monotonic()

    @property
    def networks(self) -> Networks:
        """As the app runs them on ZeroGPU: fused, folded, blocks in FP8, the text encoder in whole numbers."""
        if self._networks is None:
            self._networks = self.build()
        return self._networks

    def build(self, *, fp8: bool = True) -> Networks:
        """New ones with the same random weights."""
        plain = random_networks(self.config, device=self.device, dtype=self.dtype)
        return Variant(fp8=self.fp8 if fp8 else None, text_int8=True).apply(plain)

    def drop(self) -> None:
        """Free the networks."""
        self._networks = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def machine(self) -> Machine:
        """Best rates of the device."""
        if self._machine is None:
            self._machine = measure_machine(self.device, self.dtype)
        return self._machine

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the model's own pictures, as far as requests may have them."""
        return max(self.config.height, MIN_SIDE_PX), max(self.config.width, MIN_SIDE_PX)

    def case(self, **changes: Any) -> Case:  # noqa: ANN401 - fields of Case
        """What `benchmarks.stages` times."""
        return replace(
            Case(self.networks, self.config.frames, *self.size, self.video_frames, self.rounds, warm_up=2), **changes
        )

    def table(self, case: Case) -> list[dict[str, object]]:
        """Every stage: milliseconds, rate, floor, ratio, peak memory."""
        rows = measure(case, self.machine, eight_bit=self.fp8 is not None)
        return [asdict(row) | {"ratio": row.ratio} for row in rows]

    def request(self) -> GenerationRequest:
        """A picture, a sentence, an orbit and a film."""
        film = VideoSettings(fps=VIDEO_FPS, seconds=self.video_frames / VIDEO_FPS)
        return replace(a_request(self.case()), video=film)

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, job: Callable[[], object]) -> float:
        """Wall seconds of a job, the device's part included."""
        self.wait()
        start = time.perf_counter()
        job()
        self.wait()
        return time.perf_counter() - start

    def peak_gib(self, *, reset: bool = False) -> float:
        """Most device memory since the last reset."""
        if self.device.type != "cuda":
            return 0.0
        peak = torch.cuda.max_memory_allocated(self.device) / GIB
        if reset:
            torch.cuda.reset_peak_memory_stats(self.device)
        return peak


def device_tests(run: Run) -> dict[str, object]:
    """The tests that need a GPU, except the slow ones."""
    xml = run.out / "device_tests.xml"
    command = [sys.executable, "-m", "pytest", "tests/device", "-m", "not slow", "-q", f"--junitxml={xml}"]
    limit = max(10.0, min(DEVICE_TEST_SECONDS, run.seconds_left()))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as error:
        return {"error": f"not over after {limit:.0f} s", "tail": str(error.stdout or "")[-1500:]}
    found: dict[str, object] = {"code": done.returncode, "tail": done.stdout[-1500:]}
    nothing_to_run = done.returncode == 5 and run.device.type == "cpu"
    return found if done.returncode == 0 or nothing_to_run else found | {"error": "tests failed"}


def stages_eager(run: Run) -> dict[str, object]:
    """Every stage without compiled graphs."""
    found: dict[str, object] = {"machine": asdict(run.machine), "fp8": run.fp8}
    return found | {"rows": run.table(run.case())}


def compile_networks(run: Run) -> dict[str, object]:
    """Compile the networks for every size, compare them with eager ones, and leave them in place."""
    return {name: compile_block(run, run.networks, name) for name in run.blocks}


def compile_block(run: Run, networks: Networks, name: str) -> dict[str, object]:
    """Compile one network and put its graph in place."""
    plan = plan_block(networks, name, EVERY_SIZE)
    artifact = compile_plan(plan).save(run.store)
    row = compare(plan, artifact, (run.config.frames, *run.size))
    install.apply(name, module_of(networks, name), [artifact])
    size = sum(entry["bytes"] for entry in artifact.metadata["files"].values())
    return {
        "seconds": artifact.metadata["seconds"],
        "mb": size / 1e6,
        "attention": artifact.metadata["attention"],
        **asdict(row),
    }


def stages_compiled(run: Run) -> dict[str, object]:
    """Every stage with the graphs of `compile_networks`, and where the calls went."""
    rows = run.table(run.case())
    return {"rows": rows, "calls": {name: install.counts(module_of(run.networks, name)) for name in run.blocks}}


def whole_scene(run: Run) -> dict[str, object]:
    """A scene without a video: wall seconds with a new and a remembered text, and peak memory."""
    pipeline, request = FlashWorldPipeline(run.networks), a_request(run.case())
    run.timed(lambda: pipeline(request))
    run.peak_gib(reset=True)
    times: dict[bool, list[float]] = {False: [], True: []}
    for remembered in (False, True):
        for _ in range(run.rounds):
            if not remembered:
                run.networks.text.forget()
            times[remembered].append(run.timed(lambda: pipeline(request)))
    return {
        "warm_s": statistics.median(times[False]),
        "warm_text_remembered_s": statistics.median(times[True]),
        "all_s": times[False] + times[True],
        "peak_gib": run.peak_gib(),
    }


def video(run: Run) -> dict[str, object]:
    """A finished scene's film, from the GPU to a file, and what would cross the border of a worker instead."""
    result = FlashWorldPipeline(run.networks)(run.request())
    found: dict[str, object] = {"gaussians": len(result.scene), "frames": len(list(result.iter_video()))}
    found["rendered_s"] = run.timed(lambda: [None for _ in result.iter_video()])
    found["on_disk_s"] = run.timed(lambda: film(result, run.out / "scene.mp4"))
    packed: list[object] = []
    found["packed_s"] = run.timed(lambda: packed.append(pack_result(result)))
    pickled: list[bytes] = []
    found["pickled_s"] = run.timed(lambda: pickled.append(pickle.dumps(packed[0])))
    return found | {"border_mb": len(pickled[0]) / 1e6}


def film(result: SceneResult, path: Path) -> None:
    """Render and encode, a few frames at a time."""
    settings = result.request.video
    write_video(result.iter_video(), path, fps=settings.fps, quality=settings.quality)
    path.unlink()


def growth(run: Run) -> dict[str, object]:
    """How cost grows with views and with pixels, with whatever graphs are in place."""
    rows = []
    cases = [(frames, *run.size) for frames in run.frames]
    cases += [(run.config.frames, *size) for size in run.sizes]
    for frames, height, width in cases:
        case = run.case(frames=frames, height=height, width=width, video_frames=0, rounds=min(3, run.rounds), warm_up=1)
        rows += [row | {"height": height, "width": width} for row in run.table(case)]
    return {"rows": rows}


def cold_start(run: Run) -> dict[str, object]:
    """A new process with graphs in the store: how long until its first scene, in parts."""
    command = [sys.executable, "-m", "benchmarks.gpu_cold", "--model", run.model, "--store", str(run.store.root)]
    command += ["--device", run.device.type, "--fp8", run.fp8 or "none", "--blocks", ",".join(run.blocks)]
    start = time.perf_counter()
    limit = max(10.0, min(COLD_SECONDS, run.seconds_left()))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"error": f"not over after {limit:.0f} s"}
    if done.returncode:
        return {"error": done.stderr[-1500:]}
    return {**json.loads(done.stdout.splitlines()[-1]), "process_s": time.perf_counter() - start}


def offload(run: Run) -> dict[str, object]:
    """Peak memory and time of a scene with one network after the other kept in the CPU's memory, no graphs."""
    run.drop()
    found: dict[str, object] = {}
    request = a_request(run.case())
    run.drop()
    for wanted in ((), ("text",), ("text", "transformer"), ("text", "vae", "transformer")):
        networks = random_networks(run.config, device=run.device, dtype=run.dtype)
        for module in networks.modules.values():
            module.requires_grad_(False)
            module.to("cpu")
        placed = place(replace(networks, device=torch.device("cpu")), run.device, set(wanted) if on_gpu(run) else set())
        pipeline = FlashWorldPipeline(placed)
        run.timed(lambda pipeline=pipeline: pipeline(request))
        placed.text.forget()
        run.peak_gib(reset=True)
        seconds = run.timed(lambda pipeline=pipeline: pipeline(request))
        found[",".join(wanted) or "none"] = {"warm_s": seconds, "peak_gib": run.peak_gib()}
        del networks, placed, pipeline
        run.drop()
    return found


def on_gpu(run: Run) -> bool:
    """Networks can only visit a GPU."""
    return run.device.type == "cuda"


def bfloat16_graph(run: Run) -> dict[str, object]:
    """The transformer compiled without eight-bit products, beside the one with them."""
    run.drop()
    networks = run.build(fp8=False)
    return {"transformer": compile_block(run, networks, "transformer")} if "transformer" in run.blocks else {}


def rounding(run: Run) -> dict[str, object]:
    """One call of each network on the same inputs: bfloat16 and eight bits against float32."""
    run.drop()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # float32 is the measure here
    exact = single_calls(random_networks(run.config, device=run.device, dtype=torch.float32))
    run.drop()
    found: dict[str, object] = {}
    for name, fp8, text_int8 in (("bfloat16", None, False), ("eight bits", run.fp8, True)):
        plain = random_networks(run.config, device=run.device, dtype=torch.bfloat16)
        calls = single_calls(Variant(fp8=fp8, text_int8=text_int8).apply(plain))
        found[name] = {key: relative(value, exact[key]) for key, value in calls.items()}
        del plain
        run.drop()
    return found


@dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
        job: Does it.
        seconds: What it needs on a GPU, roughly; with less time left it is not begun.
    """

    job: Callable[[Run], dict[str, object]]
    seconds: float


PARTS = {
    "device_tests": Part(device_tests, 30),
    "stages_eager": Part(stages_eager, 20),
    "compile": Part(compile_networks, 120),
    "stages_compiled": Part(stages_compiled, 10),
    "whole_scene": Part(whole_scene, 10),
    "video": Part(video, 10),
    "growth": Part(growth, 30),
    "cold_start": Part(cold_start, 30),
    "offload": Part(offload, 60),
    "rounding": Part(rounding, 30),
    "bfloat16_graph": Part(bfloat16_graph, 130),
}
"""In order of importance."""


def stored_graph(store: ArtifactStore, networks: Networks, name: str) -> Artifact:
    """The graph `compile_networks` left for a network."""
    return store.load(key_for(plan_block(networks, name, EVERY_SIZE)))
