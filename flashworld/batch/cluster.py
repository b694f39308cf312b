"""A batch on Ray: one actor a GPU (or a share of the CPU's cores) holds the model, on this machine or on many.

Rows are checked by tasks that need no GPU, wherever there is room; requests go from there to an actor without passing
through this process. Actors start when the first row has passed. One that dies, by a signal, for lack of memory or with
its machine, is replaced, and its scenes are made by others: they were half-written at most.

Pictures, the place and a converted model must be readable on every machine: addresses, or a shared folder.
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
"""Workers that one scene may cost: it may be the scene that kills them."""
MAX_FAILED_STARTS = 3
"""Workers that may end one after the other before any has made a scene."""
CHECKED_AHEAD = 2
"""Rows checked ahead for every scene in flight; each holds its picture at the model's size, 1 MB."""
POLL_S = 5.0
CONNECT_S = 10.0


class SceneActor:
    """One worker's process.

    Args:
        settings: Of the batch.
        cores: What it may use of this machine's cores; None: all.
        index: Which worker it is.
    """

    def __init__(self, settings: BatchSettings, cores: int | None, index: int) -> None:
        if cores is not None:
            allowed = sorted(os.sched_getaffinity(0))
            first = index * cores % len(allowed)
            os.sched_setaffinity(0, (allowed + allowed)[first : first + cores])
        self._settings = settings
        self._maker: SceneMaker | None = None

    def load(self) -> None:
        """Load the model; raises its errors here, where the caller sees them."""
        self._maker = SceneMaker(self._settings)

    def make(self, row: Row, request: GenerationRequest) -> Outcome:
        """See `SceneMaker.make`."""
        if self._maker is None:
            raise WorkerError("a worker was asked for a scene before it had its model")
        return self._maker.make(row, request)


@dataclass
class _Job:
    """A row between its check and its outcome."""

    row: Row
    request: Any = None
    attempts: int = 0
    actor: Any = None


@dataclass
class _Slot:
    """One worker: its actor, and the actor that replaces it."""

    index: int
    actor: Any = None
    ready: bool = False
    jobs: dict[Any, _Job] = field(default_factory=dict)


class RayWorkers:
    """Workers on Ray.

    Args:
        settings: Of the batch; its model's device decides what a worker needs.
        workers: How many; None: one a GPU, or one a core.
        address: Of a running cluster; None: a new one on this machine, gone with this process.

    Raises:
        DependencyError: Ray is not installed, the cluster cannot be reached, or it has no GPU where one is needed.
        InputError: more workers than there are GPUs or cores.
    """

    def __init__(self, settings: BatchSettings, workers: int | None = None, address: str | None = None) -> None:
        ray = self._ray = import_ray()
        self._errors = _lost_worker_errors(ray)
        _connect(ray, address, settings.load)
        on_gpu = settings.model.device == "cuda"
        self._plain_settings = settings
        count, cores = self._sizes(on_gpu, workers, address)
        gpus = settings.model.gpus_per_scene
        options: dict[str, Any] = {"num_gpus": gpus, "num_cpus": 1} if on_gpu else {"num_cpus": cores}
        self._actor = ray.remote(max_concurrency=settings.threads, **options)(SceneActor)
        self._check = ray.remote(num_cpus=0, num_returns=2)(check_row)  # actors hold the cores of a CPU batch
        self._checks_at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._settings = ray.put(settings)
        self._cores = None if on_gpu else cores
        self._per_worker = settings.threads + 1  # one more waits at the worker, so that it never does
        self._slots = [_Slot(index) for index in range(count)]
        self._starts: dict[Any, _Slot] = {}
        self._failed_starts = 0
        share = f"{gpus} GPUs" if gpus > 1 else "one GPU" if on_gpu else f"{cores} of the cores"
        self.note = f"{count} workers on Ray, {share} each"

    def _sizes(self, on_gpu: bool, workers: int | None, address: str | None) -> tuple[int, int]:
        """Workers, and cores of each."""
        there = self._ray.cluster_resources()
        where = f"the cluster at {address}" if address else "this machine"
        kind = "GPU" if on_gpu else "CPU"
        units = int(there.get(kind, 0)) // self._plain_settings.model.gpus_per_scene
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
        """Make every row's scene, each as soon as it is there.

        Raises:
            PlaceError: the place takes no more scenes.
            WorkerError: workers end before they have made anything.
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
                        verdict, request = self._check.remote(row, self._settings)
                        checking[verdict] = _Job(row, request)
                self._hand_out(ready)
                waited = [*checking, *self._starts, *(ref for slot in self._slots for ref in slot.jobs)]
                if not waited:
                    return
                if self._ray.wait(waited, num_returns=1, timeout=POLL_S)[0]:
                    ended, _ = self._ray.wait(waited, num_returns=len(waited), timeout=0)  # all that are there by now
                else:
                    ended = []
                for ref in ended:
                    if ref in checking:
                        yield from self._checked(checking.pop(ref), ref, ready)
                    elif ref in self._starts:
                        self._started(ref)
                    else:
                        yield from self._made(ref, ready)
        finally:
            self.close()

    def _checks_another(self, checking: int, ready: int) -> bool:
        """Whether the next row is checked now: a core is free for it, and few others wait for a worker."""
        ahead = CHECKED_AHEAD * len(self._slots) * self._per_worker
        return checking < self._checks_at_once and checking + ready < ahead

    def close(self) -> None:
        """End every worker."""
        for slot in self._slots:
            if slot.actor is not None:
                self._ray.kill(slot.actor)
        self._ray.shutdown()

    def _hand_out(self, ready: list[_Job]) -> None:
        """Give checked rows to the workers with the fewest scenes in flight; start workers for the rest."""
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
            slot.actor = self._actor.remote(self._plain_settings, self._cores, slot.index)
            self._starts[slot.actor.load.remote()] = slot

    def _takes(self, slot: _Slot, job: _Job) -> bool:
        """Whether a worker gets a row now. One that was in flight when a worker died runs alone: it may be the reason."""
        if job.attempts:
            return slot.ready and not slot.jobs
        return (
            slot.ready and len(slot.jobs) < self._per_worker and all(other.attempts < 2 for other in slot.jobs.values())
        )

    def _checked(self, job: _Job, verdict: Any, ready: list[_Job]) -> Iterator[Outcome]:  # noqa: ANN401 - Ray's
        try:
            failed = self._ray.get(verdict)
        except self._errors:
            failed = Outcome(job.row.id, "failed", "the process that checked this row died")
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
            logger.warning("a worker ended while it loaded the model: %s", error)
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise WorkerError(
                    f"{self._failed_starts} workers ended one after the other while they loaded the model: is there "
                    "memory for it? Ray's log says more"
                ) from error
            slot.actor, slot.ready = None, False

    def _made(self, ref: Any, ready: list[_Job]) -> Iterator[Outcome]:  # noqa: ANN401 - Ray's
        slot = next(slot for slot in self._slots if ref in slot.jobs)
        job = slot.jobs.pop(ref)
        try:
            outcome = self._get(ref)
        except (*self._errors, WorkerError) as error:
            logger.warning("a worker ended while it made scene %s: %s", job.row.id, error)
            if slot.actor is job.actor:  # else its successor has been started already
                self._ray.kill(slot.actor)  # one whose group of GPUs has broken still runs
                slot.actor, slot.ready = None, False
            if job.attempts < MAX_ATTEMPTS:
                ready.insert(0, job)
                return
            sentence = f"{MAX_ATTEMPTS} workers ended while they made this scene: is there memory for it?"
            outcome = Outcome(job.row.id, "failed", sentence)
        else:
            self._failed_starts = 0
        yield outcome

    def _get(self, ref: Any) -> Any:  # noqa: ANN401 - what a worker gives back
        """A worker's answer; this project's errors come as they were raised."""
        try:
            return self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, FlashWorldError):
                raise cause from error
            raise


def import_ray() -> Any:  # noqa: ANN401 - optional
    """Ray.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise DependencyError(NO_RAY) from error
    return ray


def cluster_has_gpus(address: str | None, load: Loader) -> bool:
    """Whether a cluster has GPUs; connects to it, with the code that `load` needs."""
    ray = import_ray()
    _connect(ray, address, load)
    return ray.cluster_resources().get("GPU", 0) >= 1


def _connect(ray: Any, address: str | None, load: Loader) -> None:  # noqa: ANN401 - optional
    """Reach the cluster, or start one here."""
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
    if address:
        _require_open_port(address)
        # The code goes along; what it imports must be installed there.
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
    """Refuse at once an address where nothing listens: Ray itself tries for minutes.

    Raises:
        DependencyError: nothing does.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon:
        return  # "auto", "local": Ray knows at once
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DependencyError(f"Ray cannot reach the cluster at {one_line(address, 80)}: {reason}") from error


def _lost_worker_errors(ray: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401 - optional
    """What Ray raises when a process or a machine has ended."""
    errors = ray.exceptions
    return (
        errors.RayActorError, errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError,
        errors.ObjectLostError,
    )  # fmt: skip
