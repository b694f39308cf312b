"""The two contestants of the benchmark, loaded once in each process that judges."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from flashworld.nano.training import contestants
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.unseen import unseen_atlas
from flashworld.pipeline import FlashWorldPipeline

Item = TypeVar("Item")
Verdict = TypeVar("Verdict")


@dataclass(frozen=True)
class Jury:
    """The model and the same model with random weights, and what worlds are drawn with.

    Attributes:
        pipeline: The model.
        lost: With random weights.
        pictures: Photographs for the galleries' walls.
        workers: Processes that judge at the same time, one thread each; 1: this process, with all threads.
        weights: Folder of the model, which other processes load.
    """

    pipeline: FlashWorldPipeline
    lost: FlashWorldPipeline
    pictures: Mapping[str, Image.Image]
    workers: int
    weights: Path | str

    @classmethod
    def load(cls, weights: Path | str, pictures: Mapping[str, Image.Image], workers: int = 1) -> Jury:
        """Read the model of a nano folder, or "nano", on the CPU."""
        pipeline = FlashWorldPipeline.from_pretrained(weights, device="cpu")
        return cls(pipeline, contestants.untrained(pipeline), pictures, workers, weights)

    @cached_property
    def atlas(self) -> TextureAtlas:
        """The textures of unseen worlds."""
        return unseen_atlas(dict(self.pictures))

    @cached_property
    def plain_atlas(self) -> TextureAtlas:
        """The same without photographs."""
        return unseen_atlas({})

    def judge(self, judge: Callable[[Jury, Item], Verdict], items: Iterable[Item]) -> Iterator[Verdict]:
        """Yield `judge(jury, item)` of every item, in order.

        Args:
            judge: A module's function.
            items: Small things, which can be pickled.
        """
        if self.workers == 1:
            with torch.inference_mode():
                yield from (judge(self, item) for item in items)
            return
        with self._pool() as pool:
            yield from pool.map(partial(_judge_there, judge), items)

    @contextmanager
    def _pool(self) -> Iterator[ProcessPoolExecutor]:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, spawn, _load_there, (self.weights, dict(self.pictures))) as pool:
            yield pool


_there: list[Jury] = []
"""In a judging process: its own."""


def _load_there(weights: Path | str, pictures: Mapping[str, Image.Image]) -> None:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    _there.append(Jury.load(weights, pictures))


def _judge_there(judge: Callable[[Jury, Item], Verdict], item: Item) -> Verdict:
    with torch.inference_mode():
        return judge(_there[0], item)
