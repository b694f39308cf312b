"""Transfer of arrays between processes through shared memory: only a handle goes through the pipe.

The sender writes the arrays once, into anonymous memory (memfd); the receiver maps it through the sender's entry
in /proc, without a copy. No folder is used: /dev/shm is often limited to 64 MB in containers, memfd is not. The
sender must stay alive and keep the memory open until the receiver has mapped it; the memory is freed when both have
closed it.

Linux only. Source: man pages memfd_create(2), proc_pid_fd(5), mmap(2).
"""

from __future__ import annotations

import mmap
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flashworld.errors import TransferError

ALIGNMENT = 64
"""Bytes; arrays begin at multiples of it."""
HOLD_S = 10.0
"""How long the sender keeps the memory open for the receiver, at most until it shares again."""
PROBE_S = 20.0
_held: dict[int, threading.Timer] = {}
_PROBE = "import os; fd = os.memfd_create('probe'); os.write(fd, b'ok'); print(fd, flush=True); input()"


@dataclass(frozen=True)
class Handle:
    """Where the arrays are.

    Attributes:
        pid: The sender.
        fd: The sender's file descriptor of the memory.
        token: The last bytes of the memory: a descriptor can be closed and its number reused.
        size: Size in bytes.
        layout: dtype, shape and offset of each array.
    """

    pid: int
    fd: int
    token: bytes
    size: int
    layout: tuple[tuple[str, tuple[int, ...], int], ...]


def share(arrays: Sequence[np.ndarray], hold_s: float = HOLD_S) -> Handle:
    """Copy arrays into shared memory that this process keeps open for `hold_s`, or until it shares others.

    Raises:
        OSError: shared memory is unavailable or exhausted.
    """
    layout, end = [], 0
    for array in arrays:
        layout.append((array.dtype.str, array.shape, end))
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    token = secrets.token_bytes(16)
    fd = os.memfd_create("flashworld", os.MFD_CLOEXEC)
    try:
        for array, (_, _, offset) in zip(arrays, layout, strict=True):
            if array.nbytes:
                _write(fd, np.ascontiguousarray(array).data.cast("B"), offset)
        _write(fd, memoryview(token), end)  # written, not mapped: a lack of memory is then an error instead of a signal
    except OSError:
        os.close(fd)
        raise
    for earlier in list(_held):
        _close(earlier)
    _held[fd] = timer = threading.Timer(hold_s, _close, [fd])
    timer.daemon = True
    timer.start()
    return Handle(os.getpid(), fd, token, end + len(token), tuple(layout))


def _close(fd: int) -> None:
    timer = _held.pop(fd, None)
    if timer is not None:  # not yet closed by another thread
        timer.cancel()
        os.close(fd)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while len(data):
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done


def receive(handle: Handle) -> list[np.ndarray]:
    """The arrays, writable, without a copy; changes stay in this process.

    Raises:
        TransferError: the sender has ended or closed the memory.
    """
    try:
        fd = os.open(f"/proc/{handle.pid}/fd/{handle.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size != handle.size:
                raise TransferError("the other process has closed its shared memory")
            memory = mmap.mmap(fd, handle.size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise TransferError(f"the other process's shared memory cannot be read: {error}") from error
    if memory[-len(handle.token) :] != handle.token:
        raise TransferError("the other process has closed its shared memory")
    return [
        np.frombuffer(memory, np.dtype(dtype), int(np.prod(shape, dtype=np.int64)), offset).reshape(shape)
        for dtype, shape, offset in handle.layout
    ]


def works() -> bool:
    """Whether this process can map a child's memory like this: containers may forbid it. Starts a short-lived child."""
    try:
        with subprocess.Popen(
            [sys.executable, "-c", _PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            killer = threading.Timer(PROBE_S, child.kill)
            killer.start()
            try:
                assert child.stdout is not None
                fd = int(child.stdout.readline())
                return Path(f"/proc/{child.pid}/fd/{fd}").read_bytes() == b"ok"
            finally:
                killer.cancel()
                child.kill()
    except (OSError, ValueError):
        return False
