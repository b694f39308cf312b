"""What a GPU worker sends while it generates: its process, progress, and last the packed result."""

from __future__ import annotations

from dataclasses import dataclass

from flashworld.progress import Progress
from flashworld.serving.transfer import PackedResult


@dataclass(frozen=True)
class WorkerStarted:
    """The first message.

    Attributes:
        pid: Process of the worker.
        startup_s: Seconds the worker took to start; 0 for one that was waiting, or where there is no worker.
    """

    pid: int
    startup_s: float


@dataclass(frozen=True)
class Finished:
    """The last message.

    Attributes:
        result: `unpack` it; it raises where the arrays were lost on the way.
        gpu_s: Seconds the call held the GPU, the worker's start included.
    """

    result: PackedResult
    gpu_s: float


WorkerMessage = WorkerStarted | Progress | Finished
