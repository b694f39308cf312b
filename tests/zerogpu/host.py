"""Run an app the way a ZeroGPU Space does, for tests: `python -m tests.zerogpu.host package.module:demo [--cpu]`.

Prints one line `READY {"url": ...}` once the app is served, and ends when its standard input closes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os

from tests.zerogpu.cpu_device import replace_device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("app", help="module:attribute of a gradio Blocks")
    parser.add_argument("--cpu", action="store_true", help="replace the GPU, see cpu_device")
    args = parser.parse_args()

    if args.cpu:
        importlib.import_module("torch._dynamo.device_interface")  # before spaces patches what it imports
        importlib.import_module("spaces")
        replace_device()
    name, attribute = args.app.split(":")
    demo = getattr(importlib.import_module(name), attribute)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, show_error=True)
    print(f"READY {json.dumps({'url': url})}", flush=True)
    while os.read(0, 1):  # not sys.stdin: its lock would be held in every forked worker
        pass
    for worker in multiprocessing.active_children():  # they would wait for the next call for ever
        worker.kill()
    os._exit(0)  # threads may be blocked, and nothing here needs an orderly exit


if __name__ == "__main__":
    main()
