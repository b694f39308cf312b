"""The process group of a scene: partitioning work, and gathering results."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import torch
import torch.distributed as dist

from flashworld.errors import WorkerError

TIMEOUT = timedelta(seconds=60)
"""Timeout of a collective call within a scene; a step takes a second."""


LEAVING_S = 10.0
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "cpu": "cpu:gloo"}
"""Diffusers exchanges the lengths of uneven sequences through the CPU if the backend string names a CPU backend."""


@dataclass(frozen=True)
class GpuGroup:
    """A process's membership of the group.

    Attributes:
        rank: Rank; 0 is the leader, which has the request and keeps the result.
        size: Number of processes.
    """

    rank: int
    size: int

    @classmethod
    def join(cls, rank: int, size: int, store: str, device: torch.device) -> GpuGroup:
        """Join the group; returns when all processes have joined.

        Args:
            rank: Rank of this process.
            size: Size of the group.
            store: A file visible to all processes, for the rendezvous.
            device: Device of this process: NCCL between GPUs, gloo between CPUs.

        Raises:
            WorkerError: another process did not join in time.
        """
        try:
            dist.init_process_group(
                BACKENDS[device.type], store=dist.FileStore(store, size), rank=rank, world_size=size,
                timeout=TIMEOUT,
            )  # fmt: skip
        except RuntimeError as error:
            raise WorkerError(f"the {size} processes of a scene could not form a group; see the log") from error
        return cls(rank, size)

    @staticmethod
    def leave() -> None:
        """Destroy the group before the process exits; all processes leave at about the same time.

        At interpreter exit, destroying NCCL's communicators would wait for processes that have already exited. Gives up
        after `LEAVING_S`.
        """
        if not dist.is_initialized():
            return
        leaving = threading.Thread(target=dist.destroy_process_group, daemon=True)
        leaving.start()
        leaving.join(LEAVING_S)

    def part(self, count: int) -> slice:
        """This process's contiguous part of `count` items; part sizes differ by at most one."""
        return self.parts(count)[self.rank]

    def parts(self, count: int) -> list[slice]:
        """The parts of all processes, in order."""
        least, more = divmod(count, self.size)
        ends = [0]
        for rank in range(self.size):
            ends.append(ends[-1] + least + (rank < more))
        return [slice(start, end) for start, end in pairwise(ends)]

    def gather(self, own: torch.Tensor, count: int) -> torch.Tensor:
        """Gather the parts of all processes, concatenated in order.

        Args:
            own: This process's part: `part(count)` groups of equally many rows. (n, ...)
            count: Groups in all, at least one per process.

        Returns:
            All rows, on every process. (N, ...)
        """
        sizes = [part.stop - part.start for part in self.parts(count)]
        rows = len(own) // sizes[self.rank]
        padded = own.new_zeros((max(sizes) * rows, *own.shape[1:])) if min(sizes) < max(sizes) else own.contiguous()
        if padded is not own and min(sizes) < max(sizes):
            padded[: len(own)] = own
        everybody = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(everybody, padded)
        return torch.cat([part[: size * rows] for part, size in zip(everybody, sizes, strict=True)])
