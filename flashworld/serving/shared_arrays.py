"""Arrays from one process to another through shared memory: only a few numbers go through the pipe between them.

The sender writes the arrays once, into memory without a name (memfd); the receiver maps it by way of the sender's entry
in /proc, and copies nothing. No folder is used: /dev/shm is often limited to 64 MB in containers, this is not. The
sender must live, and keep the memory open, until the receiver has mapped it; the memory is freed when both let go.

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
"""How long the sender keeps the memory open for the receiver, who maps it at once; never longer than until it shares again."""
PROBE_S = 20.0
_held: dict[int, threading.Timer] = {}
_PROBE = "import os; fd = os.memfd_create('probe'); os.write(fd, b'ok'); print(fd, flush=True); input()"


@dataclass(frozen=True)
class Handle:
    """Where the arrays are.

    Attributes:
        pid: The sender.
        fd: Its descriptor of the memory.
        token: The memory's last bytes: a descriptor can be closed, and its number given to something else.
        size: Bytes of the memory.
        layout: dtype, shape and first byte of each array.
    """

    pid: int
    fd: int
    token: bytes
    size: int
    layout: tuple[tuple[str, tuple[int, ...], int], ...]


def share(arrays: Sequence[np.ndarray], hold_s: float = HOLD_S) -> Handle:
    """Copy arrays into shared memory that this process keeps open for a while, or until it shares others.

    Raises:
        OSError: there is no such memory, or not enough of it.
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
        _write(fd, memoryview(token), end)  # written, never mapped here: a lack of memory is an error, not a signal
    except OSError:
        os.close(fd)
        raise
    for earlier in list(_held):
        _let_go(earlier)
    _held[fd] = timer = threading.Timer(hold_s, _let_go, [fd])
    timer.daemon = True
    timer.start()
    return Handle(os.getpid(), fd, token, end + len(token), tuple(layout))


def _let_go(fd: int) -> None:
    timer = _held.pop(fd, None)
    if timer is not None:  # nobody else was faster
        timer.cancel()
        os.close(fd)


def _write(fd: int, data: memoryview, offset: int) -> None:
    while len(data):
        done = os.pwrite(fd, data, offset)
        data, offset = data[done:], offset + done


def receive(handle: Handle) -> list[np.ndarray]:
    """The arrays, writable, without a copy; what is written stays in this process.

    Raises:
        TransferError: the sender is gone or has let go of the memory.
    """
    try:
        fd = os.open(f"/proc/{handle.pid}/fd/{handle.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size != handle.size:
                raise TransferError("another process's arrays are gone")
            memory = mmap.mmap(fd, handle.size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        raise TransferError(f"another process's arrays cannot be read: {error}") from error
    if memory[-len(handle.token) :] != handle.token:
        raise TransferError("another process's arrays are gone")
    return [
        np.frombuffer(memory, np.dtype(dtype), int(np.prod(shape, dtype=np.int64)), offset).reshape(shape)
        for dtype, shape, offset in handle.layout
    ]


def works() -> bool:
    """Whether this process can read a child's memory that way: containers may forbid it. Starts a short-lived child."""
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
