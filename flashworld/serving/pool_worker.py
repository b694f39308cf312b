"""The worker's side of a `GpuPool`: reports what it has loaded, then makes one scene after another until the app exits.

It exits at end of file on its standard input, which the app holds open: the app may be killed without notice. Requests
and `STOP` arrive through the channel; the worker sends `WorkerReady`, then the messages of each generation, and `IDLE`
after the last of them.
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
from flashworld.serving.freed_memory import return_ends_of_heaps, return_freed_memory
from flashworld.serving.generation import generation
from flashworld.serving.messages import Failed, WorkerStarted
from flashworld.serving.transfer import use_shared_memory

IDLE = "idle"
"""The worker is ready for the next request."""
STOP = "stop"
"""Asks the worker to cancel its generation at the next step."""


@dataclass(frozen=True)
class WorkerReady:
    """A worker's first message: the model is resident.

    Attributes:
        device_name: For example "NVIDIA H200".
        note: How the networks run, for the page.
        compiled: Whether all networks run as compiled graphs.
    """

    device_name: str
    note: str
    compiled: bool


@dataclass(frozen=True)
class LoadedWorker:
    """A worker with its model loaded.

    Attributes:
        pipeline: The resident model.
        ready: Its first message.
    """

    pipeline: FlashWorldPipeline
    ready: WorkerReady


@dataclass(frozen=True, eq=False)
class WorkerCall:
    """A call to a worker.

    Attributes:
        request: The request.
        shared_memory: Transfer the result's arrays through shared memory.
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
    return_ends_of_heaps()
    while True:
        try:
            call = channel.receive()
        except GONE:
            return
        if isinstance(call, WorkerCall):  # a late STOP has no effect
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
        if channel.waiting():  # only STOP can arrive during a generation
            channel.receive()
            return True
    return True


def end_with_the_app() -> None:
    """Wait for end of file on standard input, which the app holds open while it runs."""
    while os.read(sys.stdin.fileno(), 1):  # not `sys.stdin`, whose lock would still be held at exit
        pass
    os._exit(0)
