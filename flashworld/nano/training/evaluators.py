"""The evaluated model and its random-weights baseline, loaded once in each worker process."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image

from flashworld.nano.training import methods
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.unseen import unseen_atlas
from flashworld.pipeline import FlashWorldPipeline

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Evaluator:
    """The evaluated model, its random-weights baseline, and the textures of the evaluation worlds.

    Attributes:
        pipeline: The model.
        untrained: The same architecture with random weights.
        pictures: Held-out photographs: inputs of `evaluate_photos`, and wall textures in galleries.
        workers: Number of parallel worker processes, one thread each; 1 uses this process with all its threads.
        weights: Folder of the model, loaded again in each worker process.
    """

    pipeline: FlashWorldPipeline
    untrained: FlashWorldPipeline
    pictures: Mapping[str, Image.Image]
    workers: int
    weights: Path | str

    @classmethod
    def load(cls, weights: Path | str, pictures: Mapping[str, Image.Image], workers: int = 1) -> Evaluator:
        """Read the model of a nano folder, or "nano", on the CPU."""
        pipeline = FlashWorldPipeline.from_pretrained(weights, device="cpu")
        return cls(pipeline, methods.untrained(pipeline), pictures, workers, weights)

    @cached_property
    def atlas(self) -> TextureAtlas:
        """The textures of unseen worlds."""
        return unseen_atlas(dict(self.pictures))

    @cached_property
    def plain_atlas(self) -> TextureAtlas:
        """The same textures without photographs."""
        return unseen_atlas({})

    def map(self, evaluate: Callable[[Evaluator, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `evaluate(evaluator, item)` for each item, in order.

        Args:
            evaluate: A module-level function, so that it can be pickled.
            items: Small, picklable task descriptions.
        """
        if self.workers == 1:
            with torch.inference_mode():
                yield from (evaluate(self, item) for item in items)
            return
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, spawn, _load_in_worker, (self.weights, dict(self.pictures))) as pool:
            yield from pool.map(partial(_evaluate_in_worker, evaluate), items)


_worker_evaluators: list[Evaluator] = []
"""In a worker process: its own evaluator."""


def _load_in_worker(weights: Path | str, pictures: Mapping[str, Image.Image]) -> None:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    _worker_evaluators.append(Evaluator.load(weights, pictures))


def _evaluate_in_worker(evaluate: Callable[[Evaluator, Item], Result], item: Item) -> Result:
    with torch.inference_mode():
        return evaluate(_worker_evaluators[0], item)
