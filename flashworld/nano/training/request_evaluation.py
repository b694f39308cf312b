"""Evaluation of requests: held-out photographs by PSNR at the input view, captions by a colour classifier."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from flashworld.cameras import intrinsics_from_fov
from flashworld.inputs import build_request
from flashworld.nano.training import methods
from flashworld.nano.training.captions import caption
from flashworld.nano.training.claims import Claim, claims, third_claims
from flashworld.nano.training.evaluators import Evaluator
from flashworld.nano.training.layouts import exact_layout
from flashworld.nano.training.materials import TextureAtlas
from flashworld.nano.training.measures import psnr
from flashworld.nano.training.report import Row
from flashworld.nano.training.specs import WorldSpec, sample_spec
from flashworld.nano.training.unseen import (
    FIRST_CAPTION_SEED,
    FOV_Y_DEG,
    ORBIT,
    build_world,
    first_camera,
    look,
    surfaces,
)
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import SceneResult
from flashworld.types import Frame

log = logging.getLogger(__name__)
PHOTO_SEED = 9_000
"""Seed of the first photograph's noise."""
PATH = "orbit_right"
"""Camera path of both; only the first view is evaluated."""
LOG_EVERY = 20


@dataclass(frozen=True)
class PhotoTask:
    """One photograph; `frames` views are generated (None: the model's default)."""

    seed: int
    photo: Image.Image
    frames: int | None
    also_random: bool


def evaluate_photos(evaluator: Evaluator, *, random_count: int, frames: int | None) -> dict[str, dict[str, float]]:
    """PSNR of each photograph at the input view, by method; `frames` views are generated (None: the default)."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    tasks = [PhotoTask(PHOTO_SEED + i, p, frames, i < random_count) for i, p in enumerate(evaluator.pictures.values())]
    for name, values in zip(evaluator.pictures, evaluator.map(evaluate_photo, tasks), strict=True):
        for method, value in values.items():
            found[method][name] = value
    log.info("photographs: %s", ", ".join(f"{name} {value:.1f} dB" for name, value in found["nano"].items()))
    return dict(found)


def evaluate_photo(evaluator: Evaluator, task: PhotoTask) -> dict[str, float]:
    """PSNR of one photograph at the input view, by method."""
    found = {}
    for method, pipeline in {
        "nano": evaluator.pipeline,
        **({"random weights": evaluator.untrained} if task.also_random else {}),
    }.items():
        result = generate_scene(pipeline, task.frames, task.seed, image=task.photo)
        truth = torch.from_numpy(result.request.picture.copy()).float() / 255  # type: ignore[union-attr]
        found[method] = round(psnr(first_view(result), truth), 3)
    return found


def generate_scene(
    pipeline: FlashWorldPipeline, frames: int | None, seed: int, *, image: Image.Image | None = None, text: str = ""
) -> SceneResult:
    """Generate a scene along `PATH`."""
    return pipeline(
        build_request(
            image=image, text=text, trajectory=PATH, trajectory_params=dict(ORBIT), fov_y_deg=FOV_Y_DEG, seed=seed,
            frames=frames, defaults=pipeline.networks.config,
        )
    )  # fmt: skip


def first_view(result: SceneResult) -> torch.Tensor:
    """Render the request's first view, in [0, 1]. (H, W, 3)"""
    return methods.views_of(result, result.request.cameras[:1]).rgb[0]


def photo_row(found: Mapping[str, Mapping[str, float]]) -> Row:
    """The row for photographs."""
    values = {method: float(np.mean(list(each.values()))) for method, each in found.items()} | {"billboard": 100.0}
    return Row(f"input view, {len(found['nano'])} held-out photographs", "dB", values, 24.5, 26)


@dataclass
class CaptionScore:
    """Which claims of one caption hold.

    Attributes:
        seed: Of its world and of the noise.
        text: The caption.
        kinds: Kind of each claim.
        found: By method, whether each claim holds; "chance" is nano's image of another caption.
        psnr: By method, dB against the caption's ground-truth image; "chance" as above.
    """

    seed: int
    text: str
    kinds: list[str]
    found: dict[str, list[bool]] = field(default_factory=dict)
    psnr: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptionTask:
    """The caption of one world; `frames` as for photographs."""

    seed: int
    frames: int | None
    also_random: bool


@dataclass
class CaptionResult:
    """The evaluation of one caption.

    Attributes:
        score: Scores of its generated images.
        claims: Its claims.
        image: nano's image.
        truth: The ground-truth image.
    """

    score: CaptionScore
    claims: list[Claim]
    image: Frame
    truth: Frame


def evaluate_captions(evaluator: Evaluator, *, count: int, random_count: int, frames: int | None) -> list[CaptionScore]:
    """Score the first view of a scene generated from each caption alone.

    Args:
        evaluator: The model and its random-weights baseline.
        count: Number of captions; their worlds have seeds from `FIRST_CAPTION_SEED`.
        random_count: How many of them the random-weights baseline is also evaluated on.
        frames: Views to generate; None: the model's default.
    """
    outcomes: list[CaptionResult] = []
    tasks = [CaptionTask(FIRST_CAPTION_SEED + i, frames, i < random_count) for i in range(count)]
    for outcome in evaluator.map(evaluate_caption, tasks):
        outcomes.append(outcome)
        if len(outcomes) % LOG_EVERY == 0:
            log.info("captions: %d of %d", len(outcomes), count)
    for i, outcome in enumerate(outcomes):
        other = outcomes[(i + len(outcomes) // 2) % len(outcomes)].image
        outcome.score.found["chance"] = [claim.holds(other) for claim in outcome.claims]
        outcome.score.psnr["chance"] = frame_psnr(other, outcome.truth)
    return [outcome.score for outcome in outcomes]


def evaluate_caption(evaluator: Evaluator, task: CaptionTask) -> CaptionResult:
    """Evaluate one caption, with the random-weights baseline if the task includes it."""
    spec = sample_spec(task.seed, gallery_share=0.0)
    score = CaptionScore(spec.seed, caption(spec, 0), [])
    picture = first_picture(evaluator.pipeline, task.frames, score)
    statements, truth = expected(spec, evaluator.plain_atlas, *picture.shape[:2])
    pictures = {"nano": picture, "truth": truth}
    if task.also_random:
        pictures["random weights"] = first_picture(evaluator.untrained, task.frames, score)
    score.kinds = [claim.kind for claim in statements]
    score.found = {method: [claim.holds(view) for claim in statements] for method, view in pictures.items()}
    score.psnr = {method: frame_psnr(view, truth) for method, view in pictures.items() if method != "truth"}
    return CaptionResult(score, statements, picture, truth)


def first_picture(pipeline: FlashWorldPipeline, frames: int | None, score: CaptionScore) -> Frame:
    """Generate a scene from a caption and return its first view, uint8 (H, W, 3)."""
    return as_frame(first_view(generate_scene(pipeline, frames, score.seed, text=score.text)))


def expected(spec: WorldSpec, atlas: TextureAtlas, height: int, width: int) -> tuple[list[Claim], Frame]:
    """The claims of a world's caption, and its ground-truth first view."""
    world = build_world(spec, exact_layout(height, width))
    camera = first_camera(world, intrinsics_from_fov(FOV_Y_DEG, height, width))
    view = as_frame(look(world, camera, atlas, height, width))
    surface = surfaces(world, camera, height, width)[1]
    return [*claims(spec, world, view, surface), *third_claims(spec, world, view, surface)], view


def as_frame(picture: torch.Tensor) -> Frame:
    """Convert an image in [0, 1] to uint8. (H, W, 3)"""
    return (picture * 255).round().byte().numpy()


def frame_psnr(picture: Frame, truth: Frame) -> float:
    """PSNR between two uint8 images in dB."""
    return psnr(*(torch.from_numpy(view.astype(np.float32) / 255) for view in (picture, truth)))


def caption_rows(scores: list[CaptionScore]) -> list[Row]:
    """The rows for text."""
    if not scores:
        return []
    columns = ("nano", "random weights", "truth")

    def shares(kind: str | None) -> dict[str, float]:
        found = {method: share_found(scores, method, kind) for method in columns}
        return {method: share for method, share in found.items() if share is not None}

    rows = [Row(f"text only, named colours found, {len(scores)} captions", "%", shares(None), 0.85, 0.95)]
    for kind, name in (("ground", "ground"), ("sky", "sky"), ("wall", "walls")):
        rows.append(Row(f"- {name}", "%", shares(kind)))
    rows.append(Row("- things", "%", shares("thing"), 0.75, 0.90))
    rows.append(Row("- things, in their third of the picture", "%", shares("third"), 0.75, 0.90))
    chance = {name: share_found(scores, "chance", kind) for name, kind in (("all", None), ("things", "thing"))}
    for name, share in chance.items():
        if share is not None:
            rows.append(Row(f"- by chance, {name}: pictures of other captions", "%", {"nano": share}))
    values = {
        method: float(np.mean([score.psnr[method] for score in scores if method in score.psnr]))
        for method in ("nano", "random weights", "chance")
        if any(method in score.psnr for score in scores)
    }
    by_chance = {"nano": values.pop("chance")}
    rows.append(Row("text only, PSNR against the caption's one scene", "dB", values, 20, 24))
    return [*rows, Row("- by chance: pictures of other captions", "dB", by_chance)]


def share_found(scores: list[CaptionScore], method: str, kind: str | None) -> float | None:
    """Share of claims that hold in a method's images; None if there are none.

    Args:
        scores: Scores of all captions.
        method: Name of the method.
        kind: Kind of the claims; None: all but "third", which repeats "thing".
    """
    held = [
        ok
        for score in scores
        if method in score.found
        for name, ok in zip(score.kinds, score.found[method], strict=True)
        if name == kind or (kind is None and name != "third")
    ]
    return float(np.mean(held)) if held else None
