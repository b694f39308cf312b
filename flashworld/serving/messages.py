"""The messages of a GPU worker during a generation: its process, progress, and last the packed result or an error."""

from __future__ import annotations

from dataclasses import dataclass

from flashworld.progress import Progress
from flashworld.serving.transfer import PackedResult


@dataclass(frozen=True)
class WorkerStarted:
    """The first message.

    Attributes:
        pid: Process ID of the worker.
        startup_s: Seconds the worker took to start; 0 for an idle one, or without workers.
    """

    pid: int
    startup_s: float


@dataclass(frozen=True)
class Finished:
    """The last message.

    Attributes:
        result: The packed scene; its `unpack` raises if the arrays were lost in transfer.
        gpu_s: Seconds that the call held the GPU, including the start of the worker.
    """

    result: PackedResult
    gpu_s: float


@dataclass(frozen=True)
class Failed:
    """The last message of a failed generation.

    Attributes:
        sentence: Error message for the visitor.
        fatal: Whether the worker cannot take another request.
    """

    sentence: str
    fatal: bool = False


WorkerMessage = WorkerStarted | Progress | Finished | Failed
