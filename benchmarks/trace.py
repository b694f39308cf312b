"""GPU activity during one scene by stage, and idle time: python -m benchmarks.trace --help.

    python -m benchmarks.trace --graphs ~/.cache/flashworld/aot --json trace.json
    python -m benchmarks.trace --model tiny --device cpu

One warm scene under torch's profiler. A kernel belongs to the stage in whose span it was launched; what no stage launched
is "other". Idle time is the time between two kernels, named after the stages on both sides. The profiler slows
launches down, so gaps are upper bounds: the scene's time without it is printed as well. On a CPU the outermost operators
are used in place of kernels, which only shows that the program runs.
"""

from __future__ import annotations

import argparse
import bisect
import functools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from aot.startup import GraphSettings, prepare
from aot.variants import Variant
from benchmarks.stages import MODELS, a_request, whole_scene
from flashworld import pipeline
from flashworld.limits import MIN_SIDE_PX
from flashworld.models import gaussian_decoder
from flashworld.models.fp8 import probe_fp8
from flashworld.models.networks import Networks, random_networks

MARK = "stage:"
SCENE = "scene"
OTHER = "other"
WARM_UP = 2
TIMED = 3
GAPS = 20
"""The longest single gaps that are reported."""
GPU_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
LAUNCHES = ("cuda_runtime", "cuda_driver")


@dataclass(frozen=True)
class Piece:
    """One kernel or copy on the device.

    Attributes:
        name: Name of the kernel.
        start: Microseconds.
        end: Microseconds.
        stage: The stage that launched it.
    """

    name: str
    start: float
    end: float
    stage: str


class MarkedClock(pipeline.StageClock):
    """The pipeline's clock, which also marks its stages in the trace."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time and mark the code inside the context."""
        with record_function(MARK + name), super().stage(name):
            yield


@contextmanager
def marked_stages() -> Iterator[None]:
    """Mark the pipeline's stages, and the geometry inside the decoder's."""

    @functools.wraps(geometry := gaussian_decoder.gaussians_from_maps)
    def marked(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - passed on
        with record_function(MARK + "geometry"):
            return geometry(*args, **kwargs)

    with (
        mock.patch.object(pipeline, "StageClock", MarkedClock),
        mock.patch.object(gaussian_decoder, "gaussians_from_maps", marked),
    ):
        yield


def trace(scene: Callable[[], object], device: torch.device) -> list[dict[str, Any]]:
    """Events of one scene, as the profiler writes them."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with marked_stages(), profile(activities=activities, acc_events=True) as profiler, record_function(MARK + SCENE):
        scene()
        wait(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text())["traceEvents"]


def pieces_of(events: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """The device's work in order of its start, with the stages that launched it."""
    timed = [event for event in events if event.get("ph") == "X"]
    spans = sorted(
        (float(e["ts"]), float(e["ts"]) + float(e["dur"]), e["name"].removeprefix(MARK))
        for e in timed
        if e.get("cat") == "user_annotation" and e["name"].startswith(MARK)
    )
    launched = {e["args"]["correlation"]: float(e["ts"]) for e in timed if e.get("cat") in LAUNCHES and "args" in e}
    work = [e for e in timed if e.get("cat") in GPU_WORK] or outermost([e for e in timed if e.get("cat") == "cpu_op"])
    pieces = []
    for event in work:
        start = float(event["ts"])
        asked = launched.get(event.get("args", {}).get("correlation"), start)
        pieces.append(Piece(event["name"], start, start + float(event["dur"]), stage_at(spans, asked)))
    return sorted(pieces, key=lambda piece: piece.start)


def stage_at(spans: Sequence[tuple[float, float, str]], moment: float) -> str:
    """The innermost stage at a moment of CPU time."""
    for start, end, name in reversed(spans[: bisect.bisect_right(spans, (moment, float("inf"), ""))]):
        if start <= moment < end and name != SCENE:
            return name
    return OTHER


def outermost(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Events that are not inside another one of the same thread."""
    found, ends = [], defaultdict(float)
    for event in sorted(events, key=lambda e: (float(e["ts"]), -float(e["dur"]))):
        if float(event["ts"]) >= ends[event.get("tid")]:
            found.append(event)
            ends[event.get("tid")] = float(event["ts"]) + float(event["dur"])
    return found


def summary(pieces: Sequence[Piece], top: int) -> dict[str, Any]:
    """Kernels by stage and time, and the gaps between them. Milliseconds."""
    if not pieces:
        raise ValueError("the trace holds no work of the device")
    by_kernel: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for piece in pieces:
        by_kernel[piece.stage][piece.name].append((piece.end - piece.start) / 1e3)
    gaps: dict[tuple[str, str], list[float]] = defaultdict(list)
    single: list[dict[str, Any]] = []
    reached, before = pieces[0].end, pieces[0]
    for piece in pieces[1:]:
        if piece.start > reached:
            milliseconds = (piece.start - reached) / 1e3
            gaps[before.stage, piece.stage].append(milliseconds)
            single.append({
                "ms": milliseconds, "at_ms": (reached - pieces[0].start) / 1e3,
                "after": f"{before.stage}: {before.name}", "before": f"{piece.stage}: {piece.name}",
            })  # fmt: skip
        if piece.end > reached:
            reached, before = piece.end, piece
    idle = sum(sum(found) for found in gaps.values())
    return {
        "device_ms": (reached - pieces[0].start) / 1e3,
        "idle_ms": idle,
        "stages": {
            stage: {
                "ms": sum(sum(times) for times in kernels.values()),
                "launches": sum(len(times) for times in kernels.values()),
                "idle_inside_ms": sum(gaps.get((stage, stage), ())),
                "kernels": [
                    {"name": name, "ms": sum(times), "calls": len(times)}
                    for name, times in sorted(kernels.items(), key=lambda item: -sum(item[1]))[:top]
                ],
            }
            for stage, kernels in sorted(by_kernel.items(), key=lambda item: -sum(map(sum, item[1].values())))
        },
        "gaps_between_stages": [
            {"from": first, "to": second, "ms": sum(times), "gaps": len(times), "longest_ms": max(times)}
            for (first, second), times in sorted(gaps.items(), key=lambda item: -sum(item[1]))
            if first != second
        ],
        "longest_gaps": sorted(single, key=lambda gap: -gap["ms"])[:GAPS],
    }


def as_text(report: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{report['device']}, torch {report['torch']}, {report['model']}, graphs: {report['graphs']}",
        f"scene {report['scene_ms']:.1f} ms without the profiler; with it the device works from first to last for "
        f"{report['device_ms']:.1f} ms, of which it idles {report['idle_ms']:.1f} ms",
        "",
        f"{'stage':18}{'busy ms':>10}{'launches':>10}{'idle inside ms':>16}",
    ]
    stages = report["stages"]
    for stage, row in stages.items():
        lines.append(f"{stage:18}{row['ms']:10.2f}{row['launches']:10}{row['idle_inside_ms']:16.2f}")
    lines += ["", f"{'idle from':18}{'to':18}{'ms':>10}{'gaps':>7}{'longest ms':>12}"]
    for gap in report["gaps_between_stages"]:
        lines.append(f"{gap['from']:18}{gap['to']:18}{gap['ms']:10.2f}{gap['gaps']:7}{gap['longest_ms']:12.2f}")
    lines += ["", f"{'longest idle ms':16}{'at ms':>10}  after, before"]
    for gap in report["longest_gaps"]:
        lines.append(f"{gap['ms']:16.2f}{gap['at_ms']:10.1f}  {gap['after'][:60]}, {gap['before'][:60]}")
    for stage, row in stages.items():
        lines += ["", f"{stage}: {row['ms']:.2f} ms"]
        lines += [f"{k['ms']:10.3f} ms{k['calls']:7}  {k['name'][:150]}" for k in row["kernels"]]
    return "\n".join(lines)


def networks_of(model: str, device: torch.device, graphs: Path | None) -> tuple[Networks, str]:
    """Random networks as the app runs them, with the graphs of a store, and a description of these."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    plain = random_networks(MODELS[model], device=device, dtype=dtype)
    variant = Variant(fp8=probe_fp8(device), text_int8=True)
    networks = variant.apply(plain)
    if graphs is None:
        return networks, "none"
    return networks, "; ".join(map(str, prepare(networks, GraphSettings(root=graphs, variant=variant))))


def wait(device: torch.device) -> None:
    """Synchronise with the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: list[str] | None = None) -> int:
    """Profile one scene and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trace", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, help="default: full on a GPU, else tiny")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: CUDA if available")
    parser.add_argument("--graphs", type=Path, help="folder of compiled graphs; default: everything runs eagerly")
    parser.add_argument("--top", type=int, default=40, help="kernels shown of each stage")
    parser.add_argument("--json", type=Path, help="file for the report")
    args = parser.parse_args(argv)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = args.model or ("full" if device.type == "cuda" else "tiny")
    networks, graphs = networks_of(model, device, args.graphs)
    config = networks.config
    height, width = max(config.height, MIN_SIDE_PX), max(config.width, MIN_SIDE_PX)
    request = a_request(config, height, width)

    def scene() -> None:
        whole_scene(networks, request)

    times = []
    for _ in range(WARM_UP + TIMED):
        wait(device)
        start = time.perf_counter()
        scene()
        wait(device)
        times.append((time.perf_counter() - start) * 1e3)
    report = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "torch": torch.__version__,
        "model": f"{model}, {config.frames} x {height} x {width}",
        "graphs": graphs,
        "scene_ms": sorted(times[WARM_UP:])[TIMED // 2],
        **summary(pieces_of(trace(scene, device)), args.top),
    }
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    print(as_text(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
