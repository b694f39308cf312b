"""Parts about a whole scene and its stages."""

from __future__ import annotations

import statistics
from dataclasses import asdict

from benchmarks.gpu.run import Run
from benchmarks.machine import measure_machine
from benchmarks.trace import pieces_of, summary
from benchmarks.trace import trace as trace_scene
from flashworld.pipeline import FlashWorldPipeline

TOP_KERNELS = 12


def machine(run: Run) -> dict[str, object]:
    """Best rates of the device, from which floors are computed."""
    return {"machine": asdict(measure_machine(run.device, run.dtype)), "fp8": run.fp8}


def scene_eager(run: Run) -> dict[str, object]:
    """A scene without compiled graphs."""
    return whole_scene(run)


def scene(run: Run) -> dict[str, object]:
    """A scene with the graphs of the store."""
    run.install_graphs()
    return {**whole_scene(run), "calls": run.calls()}


def whole_scene(run: Run) -> dict[str, object]:
    """A scene without a video: wall seconds, first and warm, with a new and a cached text, and peak memory."""
    pipeline, request = FlashWorldPipeline(run.networks), run.request()
    run.keep(first_s=run.timed(lambda: pipeline(request)))
    run.timed(lambda: pipeline(request))
    run.peak_gib(reset=True)
    times: dict[bool, list[float]] = {False: [], True: []}
    for remembered in (False, True):
        for _ in range(run.args.rounds):
            if not remembered:
                run.networks.text.forget()
            times[remembered].append(run.timed(lambda: pipeline(request)))
    return {
        "gaussians": len(pipeline(request).scene),
        "warm_s": statistics.median(times[False]),
        "warm_text_remembered_s": statistics.median(times[True]),
        "all_s": times[False] + times[True],
        "peak_gib": run.peak_gib(),
    }


def stages_eager(run: Run) -> dict[str, object]:
    """Every stage without compiled graphs."""
    return {"rows": run.table(run.case(), run.machine)}


def stages(run: Run) -> dict[str, object]:
    """Every stage with the graphs of the store, and the calls by graph."""
    run.install_graphs()
    return {"rows": run.table(run.case(), run.machine), "calls": run.calls()}


def trace(run: Run) -> dict[str, object]:
    """Kernels of one scene by stage, and idle time between stages."""
    run.install_graphs()
    pipeline, request = FlashWorldPipeline(run.networks), run.request()
    for _ in range(2):
        run.timed(lambda: pipeline(request))
    run.networks.text.forget()
    return summary(pieces_of(trace_scene(lambda: pipeline(request), run.device)), TOP_KERNELS)


def growth(run: Run) -> dict[str, object]:
    """How cost grows with views and with pixels."""
    run.install_graphs()
    rates, rows = run.machine, []
    cases = [(int(frames), *run.size) for frames in run.args.frames.split(",")]
    cases += [(run.config.frames, *map(int, size.split("x"))) for size in run.args.sizes.split(",")]
    for frames, height, width in dict.fromkeys(cases):
        rounds = min(3, run.args.rounds)
        case = run.case(frames=frames, height=height, width=width, video_frames=0, rounds=rounds, warm_up=1)
        run.peak_gib(reset=True)
        table = run.table(case, rates)
        rows.append(
            {
                "frames": frames, "height": height, "width": width, "peak_gib": run.peak_gib(),
                "ms": {row["stage"]: row["ms"] for row in table},
            }
        )  # fmt: skip
        run.keep(rows=rows)
    return {"rows": rows}
