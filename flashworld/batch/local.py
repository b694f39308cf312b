"""Run a batch on one local device, without Ray."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from flashworld.batch.results import Outcome
from flashworld.batch.rows import Row
from flashworld.batch.scenes import BatchSettings, SceneMaker, check_row
from flashworld.pipeline import FlashWorldPipeline


class LocalWorker:
    """Validates rows and makes their scenes in this process; the model is loaded at the first valid row.

    Args:
        settings: Settings of the batch.
        load: Loads the pipeline.
    """

    def __init__(self, settings: BatchSettings, load: Callable[[], FlashWorldPipeline] | None = None) -> None:
        self._settings = settings
        self._load = load
        self._maker: SceneMaker | None = None
        self._loading = threading.Lock()

    def outcomes(self, rows: Iterable[Row]) -> Iterator[Outcome]:
        """Make the scene of every row, in order.

        Raises:
            PlaceError: the output location cannot be written.
            FlashWorldError: the model cannot be loaded.
        """
        rows = iter(rows)
        threads = self._settings.threads
        with ThreadPoolExecutor(threads, "scene") as pool:
            waiting: deque[Future[Outcome]] = deque(pool.submit(self._make, row) for row in islice(rows, threads))
            try:
                while waiting:
                    yield waiting.popleft().result()
                    waiting.extend(pool.submit(self._make, row) for row in islice(rows, 1))
            finally:
                for future in waiting:
                    future.cancel()

    def _make(self, row: Row) -> Outcome:
        failed, request = check_row(row, self._settings)
        if failed is not None or request is None:
            return failed or Outcome(row.id, "failed")
        with self._loading:
            if self._maker is None:
                self._maker = SceneMaker(self._settings, self._load)
        return self._maker.make(row, request)
