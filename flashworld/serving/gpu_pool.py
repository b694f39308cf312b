"""Several GPUs behind one app: one process per GPU, each with the model resident; the first idle one takes the next scene.

A worker that ends is started again while the others serve on; the visitor whose scene it was making is told. Requests
wait in the page's queue, which knows how many devices there are; here they wait, with a message, while a worker restarts
or after one was given up.
"""

from __future__ import annotations

import logging
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence

from flashworld.errors import CheckpointError, WorkerError
from flashworld.inputs import GenerationRequest
from flashworld.progress import Progress
from flashworld.serving.channel import GONE, Channel
from flashworld.serving.child_environment import child_environment
from flashworld.serving.gpus import VISIBLE, WorkerDevice
from flashworld.serving.messages import Failed, WorkerMessage
from flashworld.serving.pool_worker import IDLE, STOP, WorkerCall, WorkerReady
from flashworld.serving.sentences import NOT_LOADED, WORKER_DIED

logger = logging.getLogger(__name__)

WAIT_S = 1.0
"""Between two messages of a request that waits for a worker; its visitor may leave then."""
MAX_FAILED_STARTS = 3
"""In a row; then the device is given up."""
Command = Callable[[int], list[str]]
"""From the number of the channel's file descriptor to the command that starts a worker."""


class _Worker:
    """One device and the process that serves with it now."""

    def __init__(self, device: WorkerDevice, command: Command) -> None:
        self.device, self._command = device, command
        self.channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WorkerReady:
        """Start a process and wait until it has the model.

        Raises:
            CheckpointError: it says why it has none.
            WorkerError: it ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                self._command(theirs.fileno()),
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=self._environment(),
            )
        self.channel = Channel(ours.detach())
        try:
            first = self.channel.receive()
        except GONE as error:
            raise WorkerError(
                f"the process of {self.device.name} ended while it loaded the model, see the log"
            ) from error
        if isinstance(first, Failed):
            raise CheckpointError(f"{self.device.name}: {first.sentence}")
        return first

    def end(self) -> None:
        """End the process, however it is."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _environment(self) -> dict[str, str]:
        more = {} if self.device.visible is None else {VISIBLE: self.device.visible}
        if self.device.cores:
            more["OMP_NUM_THREADS"] = str(len(self.device.cores))
        return child_environment() | more


class GpuPool:
    """Workers of several devices.

    Args:
        devices: One worker each.
        command: Starts a worker on a device.

    Attributes:
        ready: What the first worker says of itself.

    Raises:
        FlashWorldError: the first worker cannot load the model.
    """

    def __init__(self, devices: Sequence[WorkerDevice], command: Callable[[WorkerDevice], Command]) -> None:
        self._workers = [_Worker(device, command(device)) for device in devices]
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._alive = len(self._workers)
        self._lock = threading.Lock()
        first, *others = self._workers
        try:
            self.ready = first.start()  # alone: it makes what the others find, compiled graphs and kernels
        except (CheckpointError, WorkerError):
            first.end()
            raise
        logger.info("%s serves", first.device.name)
        self._idle.put(first)
        for worker in others:
            self._start_behind(worker)

    def __len__(self) -> int:
        return len(self._workers)

    def messages(self, request: GenerationRequest, shared_memory: bool = False) -> Iterator[WorkerMessage]:
        """Make a scene on whichever device is idle first. A caller that stops iterating frees it at the next step.

        Args:
            request: What to make.
            shared_memory: Hand the result's arrays over in shared memory.

        Yields:
            `Progress` while no worker is idle, then what the worker sends; `Failed` last if it ends or no device is left.
        """
        while True:
            try:
                worker = self._idle.get(timeout=WAIT_S)
                break
            except queue.Empty:
                yield Progress("text", 0.0, waiting=True)
        if worker is None:
            self._idle.put(None)  # for the next who asks
            yield Failed(NOT_LOADED)
            return
        channel, idle = worker.channel, False
        try:
            assert channel is not None
            channel.send(WorkerCall(request, shared_memory))
            while (message := channel.receive()) != IDLE:
                yield message
            idle = True
        except GONE:
            logger.warning("%s: the worker's process ended while it made a scene", worker.device.name)
            self._start_behind(worker)
            worker = None
            yield Failed(WORKER_DIED)
        finally:
            if worker is not None:
                if idle:
                    self._idle.put(worker)
                else:
                    threading.Thread(target=self._stop, args=[worker], daemon=True).start()

    def close(self) -> None:
        """End every worker."""
        for worker in self._workers:
            worker.end()

    def _stop(self, worker: _Worker) -> None:
        """Wait until a worker whose visitor has left is idle again."""
        try:
            assert worker.channel is not None
            worker.channel.send(STOP)
            while worker.channel.receive() != IDLE:
                pass
        except GONE:
            self._start_behind(worker)
        else:
            self._idle.put(worker)

    def _start_behind(self, worker: _Worker) -> None:
        threading.Thread(
            target=self._start_again, args=[worker], name=f"start {worker.device.name}", daemon=True
        ).start()

    def _start_again(self, worker: _Worker) -> None:
        """Start a worker until it serves, or give its device up."""
        for _ in range(MAX_FAILED_STARTS):
            worker.end()
            try:
                worker.start()
            except (CheckpointError, WorkerError):
                logger.exception("%s does not serve", worker.device.name)
            else:
                logger.info("%s serves", worker.device.name)
                self._idle.put(worker)
                return
        worker.end()
        logger.error("%s is given up: its worker ended %d times in a row", worker.device.name, MAX_FAILED_STARTS)
        with self._lock:
            self._alive -= 1
            if not self._alive:
                self._idle.put(None)
