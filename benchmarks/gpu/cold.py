"""The first scene of a new process, in parts. This part's own process is that process."""

from __future__ import annotations

import time

from benchmarks.gpu.run import Run, process_seconds
from flashworld.checkpoints.loading import load_networks
from flashworld.pipeline import FlashWorldPipeline


def cold_start(run: Run) -> dict[str, object]:
    """Seconds from the start of the process: imports and opening the device, weights, graphs, first scene; then a second scene.

    Without --weights they are generated at random instead of read, which takes a different time.
    """
    times: dict[str, object] = {"imports_s": process_seconds(), "weights": "read" if run.args.weights else "drawn"}

    def lap(name: str, since: float) -> float:
        run.wait()
        now = time.perf_counter()
        times[name] = now - since
        run.keep(**times)
        return now

    start = time.perf_counter()
    if run.args.weights:
        loaded = load_networks(run.args.weights, device=run.device, dtype=run.dtype)
        start = lap("read_s", start)
        run.use(run.variant.apply(loaded.networks))
        start = lap("rearrange_s", start)
    else:
        _ = run.networks
        start = lap("weights_s", start)
    run.install_graphs()
    start = lap("graphs_s", start)
    pipeline, request = FlashWorldPipeline(run.networks), run.request()
    pipeline(request)
    start = lap("first_scene_s", start)
    run.networks.text.forget()
    pipeline(request)
    lap("second_scene_s", start)
    return {**times, "calls": run.calls()}
