"""Several GPUs behind one app: one process per GPU, each with the model resident; the first idle one takes the next scene.

A worker that terminates is restarted while the others continue to serve; the visitor whose scene it was making gets an
error message. Requests wait in the page's queue, which is configured with the number of devices; they wait here, with a
message, only while a worker restarts or after a device has been given up.
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
"""Interval between two messages of a request that waits for a worker; its visitor may cancel at each."""
MAX_FAILED_STARTS = 3
"""Consecutive failed starts after which a device is given up."""
Command = Callable[[int], list[str]]
"""Maps the channel's file descriptor to the command line that starts a worker."""


class _Worker:
    """One device and its current worker process."""

    def __init__(self, device: WorkerDevice, command: Command) -> None:
        self.device, self._command = device, command
        self.channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WorkerReady:
        """Start a process and wait until it has loaded the model.

        Raises:
            CheckpointError: it reports that the model cannot be loaded; the message says why.
            WorkerError: it terminated.
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
                f"the process of {self.device.name} terminated while loading the model, see the log"
            ) from error
        if isinstance(first, Failed):
            raise CheckpointError(f"{self.device.name}: {first.sentence}")
        return first

    def end(self) -> None:
        """Terminate the process, whatever its state."""
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
    """Workers on several devices.

    Args:
        devices: Each gets one worker.
        command: Returns the `Command` that starts a worker on a device.

    Attributes:
        ready: The first message of the first worker.

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
            self.ready = first.start()  # alone: it compiles the graphs and kernels that the others reuse
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
        """Make a scene on the first idle device. If the caller stops iterating, the device is freed at the next step.

        Args:
            request: The request.
            shared_memory: Transfer the result's arrays through shared memory.

        Yields:
            `Progress` while no worker is idle, then the messages of the worker; `Failed` last if the worker terminates or no
            device is left.
        """
        while True:
            try:
                worker = self._idle.get(timeout=WAIT_S)
                break
            except queue.Empty:
                yield Progress("text", 0.0, waiting=True)
        if worker is None:
            self._idle.put(None)  # wakes the next waiting request
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
            logger.warning("%s: the worker process terminated while making a scene", worker.device.name)
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
        """Terminate every worker."""
        for worker in self._workers:
            worker.end()

    def _stop(self, worker: _Worker) -> None:
        """Wait until a worker whose request was cancelled is idle again."""
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
        """Restart a worker until it is ready, or give up its device."""
        for _ in range(MAX_FAILED_STARTS):
            worker.end()
            try:
                worker.start()
            except (CheckpointError, WorkerError):
                logger.exception("%s: the worker cannot be started", worker.device.name)
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
