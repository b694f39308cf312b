"""The process of one GPU of `python app.py --gpus`: the model with its compiled graphs, and a channel to the app.

    python -m aot.pool_worker FD OPTIONS

Started by the app alone: FD is an inherited socket, OPTIONS a JSON object. Ends when its standard input does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict

from flashworld.serving.channel import Channel
from flashworld.serving.gpus import WorkerDevice
from flashworld.serving.options import ModelOptions
from flashworld.serving.pool_worker import LoadedWorker, WorkerReady, work


def worker_command(fd: int, device: WorkerDevice, options: ModelOptions) -> list[str]:
    """The command that starts a worker."""
    told = asdict(options) | {"device": device.kind}
    what = {"options": told, "device": asdict(device)}
    return [sys.executable, "-m", "aot.pool_worker", str(fd), json.dumps(what, default=str)]


def load(options: ModelOptions) -> LoadedWorker:
    """Load and compile as the app does it for a single GPU."""
    import spaces

    from aot.served_model import Model

    model = Model(options, spaces.GPU, text_int8=False)
    return LoadedWorker(model.pipeline, WorkerReady(model.device_name, model.note, model.compiled))


def main() -> None:
    """Serve on the device that the arguments name."""
    fd, told = int(sys.argv[1]), json.loads(sys.argv[2])
    device = told["device"]
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {device['name']}: %(name)s: %(message)s",
        stream=sys.stderr,
    )
    if device["cores"]:
        os.sched_setaffinity(0, device["cores"])
    options = ModelOptions(**told["options"] | {"offload": tuple(told["options"]["offload"])})
    work(Channel(fd), lambda: load(options))


if __name__ == "__main__":
    main()
