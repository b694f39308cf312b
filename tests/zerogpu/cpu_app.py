"""`python app.py` as on ZeroGPU, where there is no GPU: python -m tests.zerogpu.cpu_app APP_OPTIONS...

All of the app and of `spaces` runs, except what touches the device: opening it and moving weights there (see
`cpu_device`), building the renderer's kernels for it, and what the app assumes about it: where its networks are, and for which
architecture graphs are made.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from typing import Any

from tests.zerogpu.cpu_device import replace_device


def main() -> None:
    importlib.import_module("torch._dynamo.device_interface")  # before spaces patches what it imports
    importlib.import_module("spaces")
    replace_device()
    run_where_the_weights_are()
    build_no_kernels()
    ask_for_graphs_of_the_cpu()
    sys.argv[0] = "app.py"
    runpy.run_path("app.py", run_name="__main__")


def run_where_the_weights_are() -> None:
    """In a worker, "cuda" is the CPU: the pipeline must say so, too."""
    from aot.gpu_work import resident
    from flashworld.pipeline import FlashWorldPipeline

    stages = FlashWorldPipeline.stages

    def here(pipeline: FlashWorldPipeline, *args: Any) -> Any:
        pipeline.networks = resident(pipeline.networks)
        return stages(pipeline, *args)

    FlashWorldPipeline.stages = here  # type: ignore[method-assign]


def build_no_kernels() -> None:
    """The CPU renderer needs none, and fetching a compiler takes minutes."""
    from aot.gsplat import startup

    startup.ensure_gsplat = lambda *_args, **_options: startup.GsplatState("installed", "the CPU renderer")


def ask_for_graphs_of_the_cpu() -> None:
    """The main process would look for graphs of the GPU that `spaces` pretends to have, the workers compile those of the CPU."""
    import torch

    from aot import compile as aot_compile
    from aot import graph, keys

    arch = keys.device_arch(torch.device("cpu"))
    for module in (keys, aot_compile, graph):
        module.device_arch = lambda _device: arch


if __name__ == "__main__":
    main()
