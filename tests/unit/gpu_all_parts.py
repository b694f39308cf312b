"""Parts for the tests of `benchmarks.gpu_all`: most fail, each in a different way."""

from __future__ import annotations

import os
import signal
import time


def crash(run):
    run.keep(found="before the end")
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(run):
    run.keep(found="before the end")
    time.sleep(600)


def broken(run):
    raise RuntimeError("CUDA error: an illegal memory access")


def well(run):
    return {"model": run.args.model}
