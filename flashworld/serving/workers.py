"""Which GPU workers are idle, as far as the main process can tell: will the next call be a cold start?

spaces keeps a worker for the next call of the same function if it is alive and its GPU is still allocated; the platform
kills idle workers when it needs their GPU. A worker whose call raised an error is never used again. So the next call is
warm if a process that finished a call is still alive and no other call is using it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_begun: set[int] = set()
"""Process IDs of workers whose first call has begun; a forked worker inherits its parent's entry, not its own."""


def startup_seconds() -> float:
    """Start-up time of this worker: forking and loading the weights. Call it first in a GPU function.

    The platform counts it towards the call, whose own timer starts later. 0 in a worker that has run a call before,
    and outside workers.
    """
    if multiprocessing.parent_process() is None or os.getpid() in _begun:
        return 0.0
    _begun.add(os.getpid())
    started_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / os.sysconf("SC_CLK_TCK"))


class CallWatch:
    """One call in flight."""

    def __init__(self) -> None:
        self.pid: int | None = None

    def ran_in(self, pid: int) -> None:
        """Record the process that a call runs in, as reported by the GPU function."""
        self.pid = pid


class WorkerWatch:
    """Processes that may take the next call. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[int] = set()
        self._in_flight = 0

    @contextmanager
    def call(self) -> Iterator[CallWatch]:
        """Context of a call of the GPU function, from before its duration is estimated until it has ended."""
        watch = CallWatch()
        with self._lock:
            self._in_flight += 1
        try:
            yield watch
        except GeneratorExit:
            raise  # the visitor left; the worker stays
        except BaseException:
            with self._lock:
                # Without a report it could have been any of them; expecting a cold start too often is harmless.
                self._known = self._known - {watch.pid} if watch.pid else set()
            watch.pid = None
            raise
        finally:
            with self._lock:
                self._in_flight -= 1
                if watch.pid is not None:
                    self._known.add(watch.pid)

    def expect_cold(self) -> bool:
        """Whether the newest call in flight will have to start a worker."""
        with self._lock:
            self._known = {pid for pid in self._known if _alive(pid)}
            return len(self._known) < max(1, self._in_flight)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
