"""The first scene of a new process, in parts; started by `benchmarks.gpu_all`. Prints one line of JSON.

Random weights are drawn where a Space would read its pack file, so "weights" is not the time a Space needs for them.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

from aot import install  # noqa: E402
from aot.artifacts import ArtifactStore  # noqa: E402
from aot.blocks import module_of  # noqa: E402
from aot.variants import Variant  # noqa: E402
from benchmarks.gpu_parts import stored_graph  # noqa: E402
from benchmarks.stages import MODELS, Case, a_request  # noqa: E402
from flashworld.limits import MIN_SIDE_PX  # noqa: E402
from flashworld.models.networks import random_networks  # noqa: E402
from flashworld.pipeline import FlashWorldPipeline  # noqa: E402


def main() -> None:
    """Build, install, make two scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--device", "--fp8", "--blocks"):
        parser.add_argument(name, required=True)
    parser.add_argument("--store", type=Path, required=True)
    args = parser.parse_args()
    device, config = torch.device(args.device), MODELS[args.model]
    times = {"imports_s": time.perf_counter() - STARTED}

    def lap(name: str, since: float) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        times[name] = now - since
        return now

    start = time.perf_counter()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    fp8 = None if args.fp8 == "none" else args.fp8
    networks = Variant(fp8=fp8, text_int8=True).apply(random_networks(config, device=device, dtype=dtype))
    start = lap("weights_s", start)
    store = ArtifactStore(args.store)
    for name in args.blocks.split(","):
        install.apply(name, module_of(networks, name), [stored_graph(store, networks, name)])
    start = lap("graphs_s", start)
    height, width = max(config.height, MIN_SIDE_PX), max(config.width, MIN_SIDE_PX)
    request = a_request(Case(networks, config.frames, height, width, 0, 1, 0))
    pipeline = FlashWorldPipeline(networks)
    pipeline(request)
    start = lap("first_scene_s", start)
    pipeline(request)
    lap("second_scene_s", start)
    calls = {name: install.counts(module_of(networks, name)) for name in args.blocks.split(",")}
    print(json.dumps(times | {"calls": calls}))


if __name__ == "__main__":
    main()
