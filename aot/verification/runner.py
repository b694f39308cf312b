"""Verify graphs in a separate process: a graph that crashes or hangs affects only that process."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Any

import torch

from aot.children import ending, environment, last_lines
from aot.verification.check import LOADING
from aot.verification.standins import Recipe
from aot.verification.verdict import REFUSED, UNABLE, VERIFIED, Job, Verdict

logger = logging.getLogger(__name__)

READY_SECONDS = 240.0
"""Time limit for a process to import torch and create its networks, on a busy machine; 10 to 20 s is typical."""
VERIFY_SECONDS = 180.0
"""Time limit for one graph to be loaded, or run a few times at one size; 2 s is typical on a GPU."""
OLD_LIBRARY = (
    "probably the C++ compiler that made it is newer than the C++ library of this process; start again with CC and CXX "
    "naming the system's own compiler, for example CXX=/usr/bin/g++"
)


def verify_graphs(
    recipe: Recipe, jobs: Sequence[Job], *, ready_s: float = READY_SECONDS, verify_s: float = VERIFY_SECONDS
) -> list[Verdict]:
    """Verify graphs sequentially; a new process is started only after one has crashed.

    Args:
        recipe: Recipe of the networks they were compiled from.
        jobs: The graphs.
        ready_s: Longest wait for a process.
        verify_s: Longest wait for a graph at one size.

    Returns:
        A verdict for each job.
    """
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the other process needs memory of the same device
    verdicts: list[Verdict] = []
    while len(verdicts) < len(jobs):
        try:
            with Child(recipe, ready_s) as child:
                while len(verdicts) < len(jobs) and child.usable:
                    verdicts.append(child.ask(jobs[len(verdicts)], verify_s))
                never_ready = child.never_ready
        except OSError as error:
            never_ready = Verdict(UNABLE, f"no process could be started to verify graphs: {error}")
        if never_ready is not None:
            verdicts += [never_ready] * (len(jobs) - len(verdicts))
    return verdicts


class Child:
    """One process that verifies graphs.

    Attributes:
        usable: Whether it accepts another job.
        never_ready: Why it accepts none at all.
    """

    def __init__(self, recipe: Recipe, ready_s: float) -> None:
        self._recipe, self._ready_s = recipe, ready_s
        self._buffer = b""
        self.usable = False
        self.never_ready: Verdict | None = None

    def __enter__(self) -> Child:
        self._printed: IO[bytes] = tempfile.TemporaryFile()
        command = [sys.executable, "-X", "faulthandler", "-m", "aot.verification.child"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed, env=environment()
        )
        self._write(self._recipe.to_json())
        answer, died = self._answer(self._ready_s)
        self.usable = answer is not None and answer.get("at") == "ready"
        if not self.usable:
            died = f"the process that verifies graphs {died} before it was ready"
            self.never_ready = Verdict(**answer) if answer else Verdict(UNABLE, died)
            self._log_what_it_printed(self.never_ready.reason or died)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        self._process.kill()
        self._process.wait()
        self._printed.close()

    def ask(self, job: Job, seconds: float) -> Verdict:
        """Verify one graph; afterwards see `usable`."""
        self._write(job.to_json())
        doing = "it was asked to"
        while True:  # each step gets this long
            answer, died = self._answer(seconds)
            if answer is None:
                break
            if "at" in answer:
                doing = answer["at"]
                continue
            self.usable = answer["status"] in (VERIFIED, UNABLE)  # a failed kernel may have broken the device's context
            return Verdict(**answer)
        self.usable = False
        reason = f"the process that verified it {died} while {doing}"
        crashed = died is not None and died.startswith("crashed")
        if crashed and doing == LOADING:
            reason = f"{reason}: {OLD_LIBRARY}"
        self._log_what_it_printed(reason)
        return Verdict(UNABLE if died and died.startswith("ended") else REFUSED, reason, lasting=crashed)

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; reading will report how

    def _answer(self, seconds: float) -> tuple[dict[str, Any] | None, str | None]:
        """The next line, or None and how the process ended; one that does not answer in time is killed."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                self._process.kill()
                self._process.wait()
                return None, f"gave no answer in {seconds:.0f} s"
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                return None, ending(self._process.wait())
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line), None

    def _log_what_it_printed(self, reason: str) -> None:
        logger.warning("%s; it printed last:\n%s", reason, last_lines(self._printed))
