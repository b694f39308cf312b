"""Run a batch on Ray: one actor per GPU (or per share of the CPU cores) holds the model, on one or more machines.

Rows are validated by further actors that need no GPU, on any node; requests go from there to a worker without passing
through this process. (With tasks, almost every row would import everything again: Ray ends idle processes on a full machine.)
Workers start when the first row is valid. One that terminates, through a signal, lack of memory or node failure, is
replaced, and its unfinished scenes are reassigned: they were at most partially written.

Input images, the output location and a converted model must be accessible from every machine: URLs or a shared folder.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flashworld.batch.results import Outcome
from flashworld.batch.rows import Row
from flashworld.batch.scenes import BatchSettings, Loader, SceneMaker, check_row
from flashworld.checks import one_line
from flashworld.errors import DependencyError, FlashWorldError, InputError, WorkerError
from flashworld.inputs import GenerationRequest

logger = logging.getLogger(__name__)

NO_RAY = "--workers and --address need Ray: pip install -r requirements-cluster.txt"
MAX_ATTEMPTS = 3
"""Maximum attempts per scene whose worker terminates, since the scene itself may be the cause."""
MAX_FAILED_STARTS = 3
"""Maximum consecutive workers that terminate while loading the model, before any has made a scene."""
CHECKED_AHEAD = 2
"""Validated rows queued per scene in flight; each holds its input image at the model's size, 1 MB."""
CPU_WORKERS_PER_CHECKER = 8
"""On CPUs a scene takes a hundred times as long as validating its row; on GPUs every worker has a checker."""
POLL_S = 5.0
CONNECT_S = 10.0


class SceneActor:
    """The actor of one worker.

    Args:
        settings: Settings of the batch.
        cores: Number of cores it may use; None: all.
        index: Index of the worker.
    """

    def __init__(self, settings: BatchSettings, cores: int | None, index: int) -> None:
        if cores is not None:
            allowed = sorted(os.sched_getaffinity(0))
            first = index * cores % len(allowed)
            os.sched_setaffinity(0, (allowed + allowed)[first : first + cores])
        self._settings = settings
        self._maker: SceneMaker | None = None

    def load(self) -> None:
        """Load the model; a method of its own, so that its errors reach the caller."""
        self._maker = SceneMaker(self._settings)

    def make(self, row: Row, request: GenerationRequest) -> Outcome:
        """See `SceneMaker.make`."""
        if self._maker is None:
            raise WorkerError("the model must be loaded before a scene is requested")
        return self._maker.make(row, request)


class RowChecker:
    """The actor that validates rows: opening their images takes time and memory.

    Args:
        settings: Settings of the batch.
    """

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings

    def check(self, row: Row) -> tuple[Outcome | None, GenerationRequest | None]:
        """See `check_row`."""
        return check_row(row, self._settings)


@dataclass
class _Job:
    """A row between validation and outcome."""

    row: Row
    request: Any = None
    attempts: int = 0
    actor: Any = None
    checker: Any = None


@dataclass
class _Slot:
    """One worker: its current actor, which is replaced if it terminates."""

    index: int
    actor: Any = None
    ready: bool = False
    jobs: dict[Any, _Job] = field(default_factory=dict)


class RayWorkers:
    """Workers on Ray.

    Args:
        settings: Settings of the batch; the model's device determines a worker's resources.
        workers: Number of workers; None: one per GPU or core.
        address: Address of a running cluster; None: a local one, which ends with this process.

    Raises:
        DependencyError: Ray is not installed, the cluster cannot be reached, or it has no GPU where one is needed.
        InputError: more workers than there are GPUs or cores.
    """

    def __init__(self, settings: BatchSettings, workers: int | None = None, address: str | None = None) -> None:
        ray = self._ray = import_ray()
        self._errors = _lost_worker_errors(ray)
        _connect(ray, address, settings.load)
        on_gpu = settings.model.device == "cuda"
        self._settings = settings
        count, cores = self._sizes(on_gpu, workers, address)
        gpus = settings.model.gpus_per_scene
        options: dict[str, Any] = {"num_gpus": gpus, "num_cpus": 1} if on_gpu else {"num_cpus": cores}
        self._actor = ray.remote(max_concurrency=settings.threads, **options)(SceneActor)
        checkers = max(1, count if on_gpu else count // CPU_WORKERS_PER_CHECKER)
        one = ray.remote(num_cpus=0, max_restarts=-1)(RowChecker)  # in a CPU batch the workers reserve the cores
        self._checkers = [one.options(scheduling_strategy="SPREAD").remote(settings) for _ in range(checkers)]
        self._cores = None if on_gpu else cores
        self._per_worker = settings.threads + 1  # one more is queued at the worker, so that it is never idle
        self._slots = [_Slot(index) for index in range(count)]
        self._starts: dict[Any, _Slot] = {}
        self._failed_starts = 0
        share = f"{gpus} GPUs" if gpus > 1 else "one GPU" if on_gpu else f"{cores} of the cores"
        self.note = f"{count} workers on Ray, {share} each"

    def _sizes(self, on_gpu: bool, workers: int | None, address: str | None) -> tuple[int, int]:
        """Number of workers, and cores per worker."""
        there = self._ray.cluster_resources()
        where = f"the cluster at {address}" if address else "this machine"
        kind = "GPU" if on_gpu else "CPU"
        units = int(there.get(kind, 0)) // self._settings.model.gpus_per_scene
        if units == 0:
            few = f"no {kind}s" if not there.get(kind) else f"only {int(there[kind])} {kind}s"
            raise DependencyError(f"{where} has {few} for Ray: add some, or choose --device cpu")
        if workers is not None and workers > units:
            raise InputError(
                f"--workers must be at most {units}, which the {kind}s of {where} are enough for, got {workers}"
            )
        count = workers or units
        return count, max(1, units // count)

    def outcomes(self, rows: Iterable[Row]) -> Iterator[Outcome]:
        """Make the scene of every row; yields outcomes as they finish.

        Raises:
            PlaceError: the output location cannot be written.
            WorkerError: workers terminate before they have made a scene.
            FlashWorldError: the model cannot be loaded.
        """
        rows = iter(rows)
        checking: dict[Any, _Job] = {}
        ready: list[_Job] = []
        more = True
        try:
            while True:
                while more and self._checks_another(len(checking), len(ready)):
                    row = next(rows, None)
                    more = row is not None
                    if row is not None:
                        checker = self._checkers.pop()
                        verdict, request = checker.check.options(num_returns=2).remote(row)
                        checking[verdict] = _Job(row, request, checker=checker)
                self._hand_out(ready)
                waited = [*checking, *self._starts, *(ref for slot in self._slots for ref in slot.jobs)]
                if not waited:
                    return
                if self._ray.wait(waited, num_returns=1, timeout=POLL_S)[0]:
                    ended, _ = self._ray.wait(waited, num_returns=len(waited), timeout=0)  # all that are ready
                else:
                    ended = []
                for ref in ended:
                    if ref in checking:
                        job = checking.pop(ref)
                        self._checkers.append(job.checker)
                        yield from self._checked(job, ref, ready)
                    elif ref in self._starts:
                        self._started(ref)
                    else:
                        yield from self._made(ref, ready)
        finally:
            self.close()

    def _checks_another(self, checking: int, ready: int) -> bool:
        """Whether to validate the next row now: a checker is free, and the queue for workers is short."""
        ahead = CHECKED_AHEAD * len(self._slots) * self._per_worker
        return bool(self._checkers) and checking + ready < ahead

    def close(self) -> None:
        """Terminate every worker."""
        for slot in self._slots:
            if slot.actor is not None:
                self._ray.kill(slot.actor)
        self._ray.shutdown()

    def _hand_out(self, ready: list[_Job]) -> None:
        """Assign validated rows to the workers with the fewest scenes in flight; start workers for the rest."""
        for job in list(ready):
            free = [slot for slot in self._slots if self._takes(slot, job)]
            if not free:
                continue
            slot = min(free, key=lambda slot: len(slot.jobs))
            ready.remove(job)
            job.attempts, job.actor = job.attempts + 1, slot.actor
            slot.jobs[slot.actor.make.remote(job.row, job.request)] = job
        missing = [slot for slot in self._slots if slot.actor is None]
        for slot in missing[: len(ready)]:
            slot.actor = self._actor.remote(self._settings, self._cores, slot.index)
            self._starts[slot.actor.load.remote()] = slot

    def _takes(self, slot: _Slot, job: _Job) -> bool:
        """Whether to assign a row to a worker now. A row that was in flight during a crash runs alone: it may be the cause."""
        if job.attempts:
            return slot.ready and not slot.jobs
        return (
            slot.ready and len(slot.jobs) < self._per_worker and all(other.attempts < 2 for other in slot.jobs.values())
        )

    def _checked(self, job: _Job, verdict: Any, ready: list[_Job]) -> Iterator[Outcome]:  # noqa: ANN401 - Ray's
        try:
            failed = self._ray.get(verdict)
        except self._errors:
            failed = Outcome(job.row.id, "failed", "the process that validated this row terminated unexpectedly")
        if failed is None:
            ready.append(job)
        else:
            yield failed

    def _started(self, ref: Any) -> None:  # noqa: ANN401 - Ray's
        slot = self._starts.pop(ref)
        try:
            self._get(ref)
            slot.ready = True
        except self._errors as error:
            self._failed_starts += 1
            logger.warning("a worker terminated while loading the model: %s", error)
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise WorkerError(
                    f"{self._failed_starts} consecutive workers terminated while loading the model: is there "
                    "enough memory? See Ray's log"
                ) from error
            slot.actor, slot.ready = None, False

    def _made(self, ref: Any, ready: list[_Job]) -> Iterator[Outcome]:  # noqa: ANN401 - Ray's
        slot = next(slot for slot in self._slots if ref in slot.jobs)
        job = slot.jobs.pop(ref)
        try:
            outcome = self._get(ref)
        except (*self._errors, WorkerError) as error:
            logger.warning("a worker terminated while making scene %s: %s", job.row.id, error)
            if slot.actor is job.actor:  # otherwise its replacement has already been started
                self._ray.kill(slot.actor)  # an actor whose GPU group has failed is still running
                slot.actor, slot.ready = None, False
            if job.attempts < MAX_ATTEMPTS:
                ready.insert(0, job)
                return
            sentence = f"{MAX_ATTEMPTS} workers terminated while making this scene: is there enough memory?"
            outcome = Outcome(job.row.id, "failed", sentence)
        else:
            self._failed_starts = 0
        yield outcome

    def _get(self, ref: Any) -> Any:  # noqa: ANN401 - any result of a worker
        """A worker's result; errors of this project are re-raised unwrapped."""
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, FlashWorldError):
                raise cause from error
            raise


def import_ray() -> Any:  # noqa: ANN401 - optional
    """Import Ray.

    Raises:
        DependencyError: Ray is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DependencyError(NO_RAY) from error
    return ray


def cluster_has_gpus(address: str | None, load: Loader) -> bool:
    """Connect to a cluster, with the code that `load` needs, and return whether it has GPUs."""
    ray = import_ray()
    _connect(ray, address, load)
    return ray.cluster_resources().get("GPU", 0) >= 1


def _connect(ray: Any, address: str | None, load: Loader) -> None:  # noqa: ANN401 - optional
    """Connect to the cluster, or start a local one."""
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address:
        _require_open_port(address)
        # The code is uploaded; its dependencies must be installed on the cluster.
        names = sorted({module.partition(".")[0] for module in (__name__, load.__module__)})
        packages = [str(Path(str(sys.modules[name].__file__)).parent) for name in names]
        options |= {"address": address, "runtime_env": {"py_modules": packages}}
    else:
        options |= {"include_dashboard": False}
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"the cluster at {address}" if address else "a cluster on this machine"
        raise DependencyError(f"Ray cannot reach {where}: {str(error).splitlines()[0][:200]}") from error


def _require_open_port(address: str) -> None:
    """Reject an unreachable address immediately: Ray itself retries for minutes.

    Raises:
        DependencyError: nothing listens there.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # "auto", "local": Ray fails fast
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DependencyError(f"Ray cannot reach the cluster at {one_line(address, 80)}: {reason}") from error


def _lost_worker_errors(ray: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 - optional
    """Ray's exceptions for a terminated process or machine."""
    errors = ray.exceptions
    return (
        errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError,
        errors.ObjectLostError,
    )  # fmt: skip
