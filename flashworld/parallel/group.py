"""The processes that share a scene: which part is whose, and putting parts together again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import torch
import torch.distributed as dist

from flashworld.errors import WorkerError

TIMEOUT = timedelta(seconds=60)
"""How long a process waits for the others within a scene; a step takes a second. Then the call fails."""


LEAVING_S = 10.0
BACKENDS = {"cuda": "cpu:gloo,cuda:nccl", "cpu": "cpu:gloo"}
"""Diffusers exchanges lengths of odd sequences between CPUs where the name says that it can."""


@dataclass(frozen=True)
class GpuGroup:
    """This process among those that share a scene.

    Attributes:
        rank: 0 leads: it has the request and keeps the result.
        size: Processes.
    """

    rank: int
    size: int

    @classmethod
    def join(cls, rank: int, size: int, store: str, device: torch.device) -> GpuGroup:
        """Meet the others; returns when all are there.

        Args:
            rank: Of this process.
            size: Of the group.
            store: A file that all processes see, to find each other by.
            device: Where this process runs: NCCL between GPUs, gloo between CPUs.

        Raises:
            WorkerError: another process did not come.
        """
        try:
            dist.init_process_group(
                BACKENDS[device.type], store=dist.FileStore(store, size), rank=rank, world_size=size,
                timeout=TIMEOUT,
            )  # fmt: skip
        except RuntimeError as error:
            raise WorkerError(f"the {size} processes that share a scene did not meet, see the log") from error
        return cls(rank, size)

    @staticmethod
    def leave() -> None:
        """End the group before the process ends; all leave at about the same time.

        Destroying NCCL's communicators at the interpreter's end, when the others are gone, waits for them. Gives up after
        `LEAVING_S`.
        """
        if not dist.is_initialized():
            return
        leaving = threading.Thread(target=dist.destroy_process_group, daemon=True)
        leaving.start()
        leaving.join(LEAVING_S)

    def part(self, count: int) -> slice:
        """This process's part of `count` things in order; parts differ by one at the most."""
        return self.parts(count)[self.rank]

    def parts(self, count: int) -> list[slice]:
        """Everybody's parts, in order."""
        least, more = divmod(count, self.size)
        ends = [0]
        for rank in range(self.size):
            ends.append(ends[-1] + least + (rank < more))
        return [slice(start, end) for start, end in pairwise(ends)]

    def gather(self, own: torch.Tensor, count: int) -> torch.Tensor:
        """Everybody's parts, put together in order.

        Args:
            own: This process's part: `part(count)` groups of equally many rows. (n, ...)
            count: Groups in all, at least one a process.

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
