"""The benchmark's first half: pictures of unseen worlds into scenes, and what they are worth along the path."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from flashworld.nano.training import contestants
from flashworld.nano.training.jury import Jury
from flashworld.nano.training.measures import Views, consistency, depth_errors, psnr
from flashworld.nano.training.report import Row
from flashworld.nano.training.unseen import Trial, make_trial
from flashworld.nano.training.worlds import SKY_DISTANCE
from flashworld.pipeline import FlashWorldPipeline

log = logging.getLogger(__name__)


class WorldScores:
    """What each contestant scored in each world; depth errors are kept pixel by pixel for their median."""

    def __init__(self) -> None:
        self.each: list[dict[str, object]] = []
        self.values: dict[str, dict[str, list[float]]] = defaultdict(dict)
        self.errors: dict[str, list[torch.Tensor]] = defaultdict(list)

    def add(self, trial: Trial, who: str, views: Views) -> dict[str, float]:
        """Judge one contestant in one world."""
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
        if who == "truth":
            found = {name: found[name] for name in ("consistency", "compared")}
        else:
            self.errors[who].append(errors)
        for name, value in found.items():
            self.values[who].setdefault(name, []).append(value)
        return found

    def join(self, other: WorldScores) -> None:
        """Append those of other worlds."""
        self.each += other.each
        for who, values in other.values.items():
            for name, numbers in values.items():
                self.values[who].setdefault(name, []).extend(numbers)
        for who, errors in other.errors.items():
            self.errors[who] += errors

    def mean(self, name: str) -> dict[str, float]:
        """Of each contestant that has it, over worlds."""
        return {who: float(np.mean(values[name])) for who, values in self.values.items() if name in values}

    def median_error(self) -> dict[str, float]:
        """Depth error of the median pixel of all worlds, by contestant."""
        return {who: float(torch.cat(parts).median()) for who, parts in self.errors.items()}


@dataclass(frozen=True)
class WorldQuestion:
    """One unseen world.

    Attributes:
        seed: Of the world.
        also_random: Whether the random weights are asked, too.
    """

    seed: int
    also_random: bool


def judge_worlds(jury: Jury, *, count: int, random_count: int) -> WorldScores:
    """Every contestant in every unseen world.

    Args:
        jury: The model, and the model with random weights.
        count: Worlds, from seed 0.
        random_count: Of them, for the random weights.
    """
    scores = WorldScores()
    for one in jury.judge(judge_world, [WorldQuestion(seed, seed < random_count) for seed in range(count)]):
        scores.join(one)
        (entry,) = one.each
        nano: Mapping[str, float] = entry["nano"]  # type: ignore[assignment]
        log.info(
            "world %d (%s, %s): input %.1f dB, novel %.1f dB, depth error %.3f, consistency %.1f dB",
            entry["seed"], entry["setting"], entry["path"],
            nano["input"], nano["novel"], nano["depth"], nano["consistency"],
        )  # fmt: skip
    return scores


def judge_world(jury: Jury, question: WorldQuestion) -> WorldScores:
    """The scores in one world."""
    scores, config = WorldScores(), jury.pipeline.networks.config
    trial = make_trial(question.seed, jury.atlas, frames=config.frames, height=config.height, width=config.width)
    entry: dict[str, object] = {"seed": question.seed, "setting": trial.spec.setting, "path": trial.path}
    for who, views in takers(jury.pipeline, jury.lost if question.also_random else None, trial):
        entry[who] = {name: round(value, 4) for name, value in scores.add(trial, who, views).items()}
    scores.each.append(entry)
    return scores


def takers(pipeline: FlashWorldPipeline, lost: FlashWorldPipeline | None, trial: Trial) -> Iterator[tuple[str, Views]]:
    """All who take a trial, with what they show."""
    yield "nano", contestants.model(pipeline)(trial)
    yield "billboard", contestants.billboard(trial)
    if lost is not None:
        yield "random weights", contestants.model(lost)(trial)
    yield "truth", Views(trial.rgb, trial.depth.nan_to_num(SKY_DISTANCE), torch.ones_like(trial.depth))


def world_rows(scores: WorldScores) -> list[Row]:
    """The table's part about worlds."""
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
                who: float(np.mean([e[who]["novel"] for e in of_kind if who in e]))  # type: ignore[index]
                for who in ("nano", "billboard", "random weights")
                if any(who in e for e in of_kind)
            }
            rows.append(Row(f"novel views, {len(of_kind)} of setting {setting}", "dB", values))
            rows.append(gain_row("- above the billboard", values))
    return rows


def gain_row(name: str, values: Mapping[str, float]) -> Row:
    """How much better nano's novel views are than the billboard's."""
    return Row(name, "gain", {"nano": values["nano"] - values["billboard"]}, 2, 4)
