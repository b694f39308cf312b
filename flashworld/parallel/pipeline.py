"""A pipeline that several processes run in lockstep: one leads, the others follow stage by stage."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from flashworld.errors import NumericalError, WorkerError
from flashworld.inputs import GenerationRequest
from flashworld.models.networks import Networks
from flashworld.parallel.group import GpuGroup
from flashworld.parallel.networks import split_networks, split_renderer
from flashworld.pipeline import FlashWorldPipeline, render_white
from flashworld.progress import Progress
from flashworld.result import SceneResult
from flashworld.serving.channel import GONE, Channel

logger = logging.getLogger(__name__)

GO, STOP = "go", "stop"
"""Before every stage: whether the leader continues."""
SAME_EVERYWHERE = (NumericalError, GeneratorExit)
"""Exceptions that every process of the group raises at the same stage, so that they stay synchronised."""


class SplitPipeline(FlashWorldPipeline):
    """The counterpart of `FlashWorldPipeline` in each process of a group.

    Args:
        networks: The complete networks, as loaded.
        group: The process group.
        name: See `FlashWorldPipeline`.
        followers: The leader's channels to the others; empty for a follower.
    """

    def __init__(
        self, networks: Networks, group: GpuGroup, *, name: str | None = None, followers: Sequence[Channel] = ()
    ) -> None:
        super().__init__(split_networks(networks, group), name=name, render=split_renderer(render_white, group))
        self._followers = list(followers)

    def stages(self, request: GenerationRequest) -> Iterator[Progress | SceneResult]:
        """As `FlashWorldPipeline.stages`, synchronised with the other processes.

        Raises:
            WorkerError: a process of the group has terminated, now or in an earlier call.
        """
        self._tell(request)
        inner, in_step = super().stages(request), False
        try:
            while True:
                self._tell(GO)
                update = next(inner, None)
                if update is None:
                    in_step = True
                    return
                try:
                    yield update
                except GeneratorExit:
                    self._tell(STOP)
                    raise
        except SAME_EVERYWHERE:
            in_step = True
            raise
        finally:
            self.broken = self.broken or not in_step

    def follow(self, leader: Channel) -> None:
        """Compute this process's part of every scene of the leader, and discard the result, until the leader exits."""
        try:
            while True:
                inner = super().stages(leader.receive())
                try:
                    while leader.receive() == GO and next(inner, None) is not None:
                        pass
                except NumericalError as error:
                    logger.info("left with the leader: %s", error)
                finally:
                    inner.close()  # pyright: ignore[reportAttributeAccessIssue]
        except GONE:
            return

    def _tell(self, what: object) -> None:
        if self.broken:
            raise WorkerError("the parallel processes are out of sync: restart the program")
        try:
            for follower in self._followers:
                follower.send(what)
        except GONE as error:
            self.broken = True
            raise WorkerError("a parallel process has terminated: restart the program") from error
