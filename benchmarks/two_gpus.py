"""Compare one scene on several GPUs and on one: python -m benchmarks.two_gpus [--model FOLDER] [--gpus 2] [--json].

    python -m flashworld weights random --size full --out random
    python -m benchmarks.two_gpus --model random

Three columns, each in a new process that loads the model once and makes the same scene repeatedly, without a video: one
GPU as in the app (compiled graphs), one GPU eagerly, and the GPUs together, eagerly. Medians of the later scenes. Then
how far the Gaussians' centres of the other columns are from those of one GPU, eagerly, relative to the scene's size:
graphs on one GPU, which multiply in FP8 where the GPU can, show what the app's own precision does. With --device cpu the
parts are processes on this machine's cores, which only shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

WARM_UP, ROUNDS = 2, 7
HOW = ("compiled", "eager", "together")


def measure(options: argparse.Namespace, how: str, keep: Path) -> None:
    """Time scenes in this process and write figures and the Gaussians' centres."""
    from flashworld.device import choose_device
    from flashworld.inputs import VideoSettings, build_request
    from flashworld.pipeline import FlashWorldPipeline
    from flashworld.serving.options import ModelOptions

    gpus = options.gpus if how == "together" else 1
    model = ModelOptions(options.model, device=options.device, gpus_per_scene=gpus)
    pipeline: FlashWorldPipeline
    if how == "compiled":
        import spaces

        from aot.served_model import Model

        pipeline = Model(model, spaces.GPU, text_int8=False).pipeline
    else:
        pipeline = model.load()
    device = choose_device(options.device, model.source)
    request = build_request(
        text="a room", trajectory="orbit_right", seed=1, video=VideoSettings(enabled=False),
        defaults=pipeline.networks.config,
    )  # fmt: skip
    seconds, result = [], None
    for _ in range(WARM_UP + (ROUNDS if device.type == "cuda" else 1)):
        start = time.perf_counter()
        result = pipeline(request)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    assert result is not None
    torch.save(result.scene.means.float().cpu(), keep / f"{how}.pt")
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    row = {"seconds": statistics.median(seconds[WARM_UP:]), "peak_gib": peak, "device": name, "gpus": gpus}
    (keep / f"{how}.json").write_text(json.dumps(row))


def distance(reference: torch.Tensor, means: torch.Tensor) -> dict[str, float]:
    """How far centres are from the reference's, in units of its largest coordinate. (N, 3) each"""
    apart = (reference - means).norm(dim=1) / reference.abs().max()
    ordered = apart.sort().values
    return {
        "median": float(ordered[len(ordered) // 2]),
        "99 %": float(ordered[int(0.99 * (len(ordered) - 1))]),
        "largest": float(ordered[-1]),
    }


def main() -> None:
    """Run each column in a separate process and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"))
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument(
        "--columns", default=",".join(HOW), help="columns to measure; the others are compared with eager"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--part", choices=HOW, help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        measure(options, options.part, options.keep)
        return
    columns = [how for how in options.columns.split(",") if options.device != "cpu" or how != "compiled"]
    with TemporaryDirectory() as folder:
        for how in columns:
            words = [*sys.argv[1:], "--part", how, "--keep", folder]
            subprocess.run([sys.executable, "-m", "benchmarks.two_gpus", *words], check=True, env=os.environ.copy())
        rows = {how: json.loads((Path(folder) / f"{how}.json").read_text()) for how in columns}
        centres = {how: torch.load(Path(folder) / f"{how}.pt") for how in columns}
    reference = centres.pop("eager", None)
    distances = {} if reference is None else {how: distance(reference, means) for how, means in centres.items()}
    if options.json:
        print(json.dumps({"rows": rows, "distances": distances}, indent=1))
        return
    first = rows[columns[0]]["seconds"]
    for how, row in rows.items():
        print(
            f"  {how:10}{row['gpus']} x {row['device']:24}{row['seconds']:8.3f} s {row['seconds'] / first:6.2f} x "
            f"{row['peak_gib']:6.1f} GiB a GPU"
        )
    for how, row in distances.items():
        figures = ", ".join(f"{name} {value:.2e}" for name, value in row.items())
        print(f"  centres, {how} against eager: {figures}")


if __name__ == "__main__":
    main()
