"""The worker's side of a `GpuPool`: says what it has loaded, then makes one scene after the other until nobody listens.

It ends when its standard input does: the app holds it open, and may be killed without notice. Over the
channel come requests and `STOP`; back go `WorkerReady`, messages of each generation, and `IDLE` after the last.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from flashworld.errors import FlashWorldError
from flashworld.inputs import GenerationRequest
from flashworld.pipeline import FlashWorldPipeline
from flashworld.serving.channel import GONE, Channel
from flashworld.serving.freed_memory import return_freed_memory
from flashworld.serving.generation import generation
from flashworld.serving.messages import Failed, WorkerStarted
from flashworld.serving.transfer import use_shared_memory

IDLE = "idle"
"""The worker takes the next request."""
STOP = "stop"
"""Asks the worker to leave its generation at the next step."""


@dataclass(frozen=True)
class WorkerReady:
    """A worker's first message: the model is resident.

    Attributes:
        device_name: Such as "NVIDIA H200".
        note: What runs how, for the page.
        compiled: Whether all networks run as compiled graphs.
    """

    device_name: str
    note: str
    compiled: bool


@dataclass(frozen=True)
class LoadedWorker:
    """What a worker serves with.

    Attributes:
        pipeline: The resident model.
        ready: What it says of itself.
    """

    pipeline: FlashWorldPipeline
    ready: WorkerReady


@dataclass(frozen=True, eq=False)
class WorkerCall:
    """What a worker is asked for.

    Attributes:
        request: What to make.
        shared_memory: Hand the result's arrays over in shared memory.
    """

    request: GenerationRequest
    shared_memory: bool


def work(channel: Channel, load: Callable[[], LoadedWorker]) -> None:
    """Serve until the channel closes.

    Args:
        channel: To the app.
        load: Loads the model.
    """
    threading.Thread(target=end_with_the_app, daemon=True).start()
    try:
        loaded = load()
    except FlashWorldError as error:
        channel.send(Failed(str(error)))
        return
    channel.send(loaded.ready)
    while True:
        try:
            call = channel.receive()
        except GONE:
            return
        if isinstance(call, WorkerCall):  # a late STOP asks for nothing
            use_shared_memory(call.shared_memory)
            if not _generate(channel, loaded.pipeline, call.request):
                return
            channel.send(IDLE)
            return_freed_memory()


def _generate(channel: Channel, pipeline: FlashWorldPipeline, request: GenerationRequest) -> bool:
    """Whether the worker can take another request; if not, the app replaces its process."""
    channel.send(WorkerStarted(os.getpid(), 0.0))
    for message in generation(lambda: pipeline, request, 0.0):
        channel.send(message)
        if isinstance(message, Failed) and message.fatal:
            return False
        if channel.waiting():  # only STOP comes while a generation runs
            channel.receive()
            return True
    return True


def end_with_the_app() -> None:
    """Wait for the end of standard input, which the app holds open as long as it lives."""
    while os.read(sys.stdin.fileno(), 1):  # not `sys.stdin`, whose lock would be held when the process ends by itself
        pass
    os._exit(0)
