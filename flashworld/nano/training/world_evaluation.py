"""Evaluation on held-out worlds: scenes from one image each, compared with the ground truth along the path."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from flashworld.nano.training import methods
from flashworld.nano.training.evaluators import Evaluator
from flashworld.nano.training.measures import Views, consistency, depth_errors, psnr
from flashworld.nano.training.report import Row
from flashworld.nano.training.unseen import Trial, make_trial
from flashworld.nano.training.worlds import SKY_DISTANCE
from flashworld.pipeline import FlashWorldPipeline

log = logging.getLogger(__name__)


class WorldScores:
    """Scores by method and world; per-pixel depth errors are kept to compute their median."""

    def __init__(self) -> None:
        self.each: list[dict[str, object]] = []
        self.values: dict[str, dict[str, list[float]]] = defaultdict(dict)
        self.errors: dict[str, list[torch.Tensor]] = defaultdict(list)

    def add(self, trial: Trial, method: str, views: Views) -> dict[str, float]:
        """Add the scores of one method in one world, and return them."""
        novel = [psnr(a, b) for a, b in zip(views.rgb[1:], trial.rgb[1:], strict=True)]
        errors, aligned = depth_errors(views, trial.depth)
        last = len(trial.all_cameras) - 1
        pairs = [(0, last), (last, 0), (last // 2, 0), (last // 2, last)]
        agreement, share = consistency(views, trial.all_cameras, pairs)
        found = {
            "input": psnr(views.rgb[0], torch.from_numpy(trial.picture).float() / 255),
            "novel": float(np.mean(novel)),
            "generated": float(np.mean(novel[1::2])),
            "between": float(np.mean(novel[0::2])),
            "depth": float(errors.median()),
            "aligned": float(aligned.median()),
            "consistency": agreement,
            "compared": share,
        }
        if method == "truth":
            found = {name: found[name] for name in ("consistency", "compared")}
        else:
            self.errors[method].append(errors)
        for name, value in found.items():
            self.values[method].setdefault(name, []).append(value)
        return found

    def join(self, other: WorldScores) -> None:
        """Append the scores of other worlds."""
        self.each += other.each
        for method, values in other.values.items():
            for name, numbers in values.items():
                self.values[method].setdefault(name, []).extend(numbers)
        for method, errors in other.errors.items():
            self.errors[method] += errors

    def mean(self, name: str) -> dict[str, float]:
        """Mean of a measure over worlds, for each method that has it."""
        return {method: float(np.mean(values[name])) for method, values in self.values.items() if name in values}

    def median_error(self) -> dict[str, float]:
        """Median depth error over the pixels of all worlds, by method."""
        return {method: float(torch.cat(parts).median()) for method, parts in self.errors.items()}


@dataclass(frozen=True)
class WorldTask:
    """One held-out world.

    Attributes:
        seed: Seed of the world.
        also_random: Whether to evaluate the random-weights baseline as well.
    """

    seed: int
    also_random: bool


def evaluate_worlds(evaluator: Evaluator, *, count: int, random_count: int) -> WorldScores:
    """Evaluate every method on every held-out world.

    Args:
        evaluator: The model and its random-weights baseline.
        count: Number of worlds, with seeds from 0.
        random_count: How many of them the random-weights baseline is also evaluated on.
    """
    scores = WorldScores()
    for one in evaluator.map(evaluate_world, [WorldTask(seed, seed < random_count) for seed in range(count)]):
        scores.join(one)
        (entry,) = one.each
        nano: Mapping[str, float] = entry["nano"]  # type: ignore[assignment]
        log.info(
            "world %d (%s, %s): input %.1f dB, novel %.1f dB, depth error %.3f, consistency %.1f dB",
            entry["seed"], entry["setting"], entry["path"],
            nano["input"], nano["novel"], nano["depth"], nano["consistency"],
        )  # fmt: skip
    return scores


def evaluate_world(evaluator: Evaluator, task: WorldTask) -> WorldScores:
    """Evaluate every method on one world."""
    scores, config = WorldScores(), evaluator.pipeline.networks.config
    trial = make_trial(task.seed, evaluator.atlas, frames=config.frames, height=config.height, width=config.width)
    entry: dict[str, object] = {"seed": task.seed, "setting": trial.spec.setting, "path": trial.path}
    for method, views in views_by_method(evaluator.pipeline, evaluator.untrained if task.also_random else None, trial):
        entry[method] = {name: round(value, 4) for name, value in scores.add(trial, method, views).items()}
    scores.each.append(entry)
    return scores


def views_by_method(
    pipeline: FlashWorldPipeline, untrained: FlashWorldPipeline | None, trial: Trial
) -> Iterator[tuple[str, Views]]:
    """Yield the views of each method, and the ground truth."""
    yield "nano", methods.model(pipeline)(trial)
    yield "billboard", methods.billboard(trial)
    if untrained is not None:
        yield "random weights", methods.model(untrained)(trial)
    yield "truth", Views(trial.rgb, trial.depth.nan_to_num(SKY_DISTANCE), torch.ones_like(trial.depth))


def world_rows(scores: WorldScores) -> list[Row]:
    """The rows for worlds."""
    count = f"{len(scores.each)} unseen worlds"
    rows = [
        Row(f"input view, {count}", "dB", scores.mean("input"), 29, 31),
        Row("novel views on the path", "dB", scores.mean("novel")),
        gain_row("- above the billboard", scores.mean("novel")),
        Row("- of these, generated views", "dB", scores.mean("generated")),
        Row("- of these, views in between", "dB", scores.mean("between")),
        Row("depth on the path, relative error, median, scale as output", "error", scores.median_error(), 0.12, 0.08),
        Row("- the same, mean over the scenes' medians", "error", scores.mean("depth")),
        Row("- the same, each scene times one number", "error", scores.mean("aligned")),
        Row("view consistency", "dB", scores.mean("consistency"), 25, 30),
        Row("- share of pixels compared", "%", scores.mean("compared")),
    ]
    for setting in ("outdoors", "room", "gallery"):
        of_kind = [e for e in scores.each if e["setting"] == setting]
        if of_kind:
            values = {
                method: float(np.mean([e[method]["novel"] for e in of_kind if method in e]))  # type: ignore[index]
                for method in ("nano", "billboard", "random weights")
                if any(method in e for e in of_kind)
            }
            rows.append(Row(f"novel views, {len(of_kind)} of setting {setting}", "dB", values))
            rows.append(gain_row("- above the billboard", values))
    return rows


def gain_row(name: str, values: Mapping[str, float]) -> Row:
    """Improvement of nano's novel views over the billboard baseline."""
    return Row(name, "gain", {"nano": values["nano"] - values["billboard"]}, 2, 4)
