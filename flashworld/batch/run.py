"""Run a whole batch: make the missing scenes, and keep the table of results up to date.

A batch may be killed at any time and resumed with the same command: finished scenes are kept; incomplete and failed
ones and those whose row has changed are made again. Two concurrent batches with the same output location repeat work, but
never corrupt a scene.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flashworld.batch.manifest import Manifest
from flashworld.batch.places import Place
from flashworld.batch.progress import BatchProgress
from flashworld.batch.results import Outcome
from flashworld.batch.rows import Row
from flashworld.batch.scenes import BatchSettings
from flashworld.errors import PlaceError

TABLE_EVERY_S = 60.0
"""Interval between writes of the table; writing that of a full batch takes a second."""
Worker = Callable[[Iterable[Row]], Iterator[Outcome]]
"""Makes the scenes of rows; `local.LocalWorker.outcomes` or `cluster.RayWorkers.outcomes`."""


@dataclass(frozen=True)
class BatchSummary:
    """Summary of a batch.

    Attributes:
        total: Rows of the manifest.
        earlier: Scenes finished before the start.
        made: Scenes made.
        changed: Scenes made again because their rows had changed.
        failed: Rows that failed, with their error messages.
        seconds: Time from the first row to the final table.
        per_minute: Scenes made per minute.
    """

    total: int
    earlier: int
    made: int
    changed: int
    failed: tuple[Outcome, ...]
    seconds: float
    per_minute: float


def run_batch(
    manifest: Manifest, place: Place, settings: BatchSettings, work: Worker, say: Callable[[str], None]
) -> BatchSummary:
    """Make every scene of the manifest that is not finished.

    Args:
        manifest: Opened, so its ids are unique.
        place: Output location, already checked for write access.
        settings: Settings of the workers.
        work: Makes scenes.
        say: Receives progress lines.

    Raises:
        PlaceError: the output location cannot be written; the message has the number of finished scenes.
        FlashWorldError: the model cannot be loaded, or workers cannot be started.
    """
    start = time.monotonic()
    there = place.finished()
    digests = {row.id: settings.digest_of(row) for row in manifest.rows() if row.id in there}
    known = {scene: outcome for scene, outcome in there.items() if digests.get(scene) == outcome.digest}
    changed = [scene for scene in digests if scene not in known]
    if changed:
        say(f"{len(changed)} scenes are made again: their rows or the options have changed since they were made")
    for scene in changed:
        place.forget(scene)
    earlier = len(known)
    progress = BatchProgress(len(manifest.ids), earlier, say)
    failed: dict[str, Outcome] = {}
    written = time.monotonic()

    def table() -> list[Outcome]:
        return [row for scene in manifest.ids if (row := known.get(scene) or failed.get(scene)) is not None]

    try:
        for outcome in work(row for row in manifest.rows() if row.id not in known):
            (known if outcome.state == "done" else failed)[outcome.id] = outcome
            progress.count(outcome)
            if time.monotonic() - written > TABLE_EVERY_S:
                place.write_table(table())
                written = time.monotonic()
    except PlaceError as error:
        left = f"; {len(known)} of {len(manifest.ids)} scenes are finished, the same command makes the others"
        raise PlaceError(f"{error}{left}") from error
    except BaseException:
        _keep_table(place, table(), say)
        raise
    place.write_table(table())
    return BatchSummary(
        total=len(manifest.ids),
        earlier=earlier,
        made=len(known) - earlier,
        changed=len(changed),
        failed=tuple(failed.values()),
        seconds=round(time.monotonic() - start, 2),
        per_minute=round(progress.per_minute, 2),
    )


def _keep_table(place: Place, outcomes: list[Outcome], say: Callable[[str], None]) -> None:
    """Write the table of an interrupted batch; the interruption itself is what is reported."""
    try:
        place.write_table(outcomes)
    except PlaceError as error:
        say(str(error))
