"""The benchmark's second half: held-out photographs at their own view, and captions by a plain colour classifier."""

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
from flashworld.nano.training import contestants
from flashworld.nano.training.captions import caption
from flashworld.nano.training.claims import Claim, claims, third_claims
from flashworld.nano.training.jury import Jury
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
"""Of the noise."""
PATH = "orbit_right"
"""Both are judged by their first view."""
LOG_EVERY = 20


@dataclass(frozen=True)
class PhotoQuestion:
    """One photograph; `frames` views are generated (None: the model's number)."""

    seed: int
    photo: Image.Image
    frames: int | None
    also_random: bool


def judge_photos(jury: Jury, *, random_count: int, frames: int | None) -> dict[str, dict[str, float]]:
    """PSNR of each photograph at its own view, by contestant; `frames` views are generated (None: the model's number)."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    questions = [
        PhotoQuestion(PHOTO_SEED + i, p, frames, i < random_count) for i, p in enumerate(jury.pictures.values())
    ]
    for name, values in zip(jury.pictures, jury.judge(judge_photo, questions), strict=True):
        for who, value in values.items():
            found[who][name] = value
    log.info("photographs: %s", ", ".join(f"{name} {value:.1f} dB" for name, value in found["nano"].items()))
    return dict(found)


def judge_photo(jury: Jury, question: PhotoQuestion) -> dict[str, float]:
    """The PSNR of one photograph, by contestant."""
    found = {}
    for who, maker in {
        "nano": jury.pipeline,
        **({"random weights": jury.lost} if question.also_random else {}),
    }.items():
        result = judged_scene(maker, question.frames, question.seed, image=question.photo)
        truth = torch.from_numpy(result.request.picture.copy()).float() / 255  # type: ignore[union-attr]
        found[who] = round(psnr(first_view(result), truth), 3)
    return found


def judged_scene(
    maker: FlashWorldPipeline, frames: int | None, seed: int, *, image: Image.Image | None = None, text: str = ""
) -> SceneResult:
    """A scene along `PATH`."""
    return maker(
        build_request(
            image=image, text=text, trajectory=PATH, trajectory_params=dict(ORBIT), fov_y_deg=FOV_Y_DEG, seed=seed,
            frames=frames, defaults=maker.networks.config,
        )
    )  # fmt: skip


def first_view(result: SceneResult) -> torch.Tensor:
    """What the request's first camera sees, in [0, 1]. (H, W, 3)"""
    return contestants.views_of(result, result.request.cameras[:1]).rgb[0]


def photo_row(found: Mapping[str, Mapping[str, float]]) -> Row:
    """The table's line about photographs."""
    values = {who: float(np.mean(list(each.values()))) for who, each in found.items()} | {"billboard": 100.0}
    return Row(f"input view, {len(found['nano'])} held-out photographs", "dB", values, 24.5, 26)


@dataclass
class CaptionScore:
    """Which claims of one caption were found.

    Attributes:
        seed: Of its world and of the noise.
        text: The caption.
        kinds: Kind of each claim.
        found: By contestant, for each claim whether it holds; "chance" is nano's picture of another caption.
        psnr: By contestant, dB against the caption's own scene; "chance" as above.
    """

    seed: int
    text: str
    kinds: list[str]
    found: dict[str, list[bool]] = field(default_factory=dict)
    psnr: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptionQuestion:
    """The caption of one world; `frames` as for photographs."""

    seed: int
    frames: int | None
    also_random: bool


@dataclass
class CaptionVerdict:
    """What became of a caption.

    Attributes:
        score: Of its own pictures.
        asked: Its claims.
        shown: nano's picture.
        truth: The world itself.
    """

    score: CaptionScore
    asked: list[Claim]
    shown: Frame
    truth: Frame


def judge_captions(jury: Jury, *, count: int, random_count: int, frames: int | None) -> list[CaptionScore]:
    """What of each caption is found in the first view of a scene made from it alone.

    Args:
        jury: The model, and the model with random weights.
        count: Captions, of worlds from `FIRST_CAPTION_SEED`.
        random_count: Of them, for the random weights.
        frames: Views to generate; None: the model's own number.
    """
    verdicts: list[CaptionVerdict] = []
    questions = [CaptionQuestion(FIRST_CAPTION_SEED + i, frames, i < random_count) for i in range(count)]
    for verdict in jury.judge(judge_caption, questions):
        verdicts.append(verdict)
        if len(verdicts) % LOG_EVERY == 0:
            log.info("captions: %d of %d", len(verdicts), count)
    for i, verdict in enumerate(verdicts):
        other = verdicts[(i + len(verdicts) // 2) % len(verdicts)].shown
        verdict.score.found["chance"] = [claim.holds(other) for claim in verdict.asked]
        verdict.score.psnr["chance"] = frame_psnr(other, verdict.truth)
    return [verdict.score for verdict in verdicts]


def judge_caption(jury: Jury, question: CaptionQuestion) -> CaptionVerdict:
    """One caption, by both contestants if both are asked."""
    spec = sample_spec(question.seed, gallery_share=0.0)
    score = CaptionScore(spec.seed, caption(spec, 0), [])
    picture = first_picture(jury.pipeline, question.frames, score)
    statements, truth = expected(spec, jury.plain_atlas, *picture.shape[:2])
    pictures = {"nano": picture, "truth": truth}
    if question.also_random:
        pictures["random weights"] = first_picture(jury.lost, question.frames, score)
    score.kinds = [claim.kind for claim in statements]
    score.found = {who: [claim.holds(view) for claim in statements] for who, view in pictures.items()}
    score.psnr = {who: frame_psnr(view, truth) for who, view in pictures.items() if who != "truth"}
    return CaptionVerdict(score, statements, picture, truth)


def first_picture(maker: FlashWorldPipeline, frames: int | None, score: CaptionScore) -> Frame:
    """The first view of a caption's scene, uint8 (H, W, 3)."""
    return as_frame(first_view(judged_scene(maker, frames, score.seed, text=score.text)))


def expected(spec: WorldSpec, atlas: TextureAtlas, height: int, width: int) -> tuple[list[Claim], Frame]:
    """What the caption of a world claims, and the world itself."""
    world = build_world(spec, exact_layout(height, width))
    camera = first_camera(world, intrinsics_from_fov(FOV_Y_DEG, height, width))
    view = as_frame(look(world, camera, atlas, height, width))
    surface = surfaces(world, camera, height, width)[1]
    return [*claims(spec, world, view, surface), *third_claims(spec, world, view, surface)], view


def as_frame(picture: torch.Tensor) -> Frame:
    """[0, 1] to uint8. (H, W, 3)"""
    return (picture * 255).round().byte().numpy()


def frame_psnr(picture: Frame, truth: Frame) -> float:
    """PSNR of two uint8 pictures in dB."""
    return psnr(*(torch.from_numpy(view.astype(np.float32) / 255) for view in (picture, truth)))


def caption_rows(scores: list[CaptionScore]) -> list[Row]:
    """The table's part about text."""
    if not scores:
        return []
    everyone = ("nano", "random weights", "truth")

    def shares(kind: str | None) -> dict[str, float]:
        found = {who: share_found(scores, who, kind) for who in everyone}
        return {who: share for who, share in found.items() if share is not None}

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
        who: float(np.mean([score.psnr[who] for score in scores if who in score.psnr]))
        for who in ("nano", "random weights", "chance")
        if any(who in score.psnr for score in scores)
    }
    by_chance = {"nano": values.pop("chance")}
    rows.append(Row("text only, PSNR against the caption's one scene", "dB", values, 20, 24))
    return [*rows, Row("- by chance: pictures of other captions", "dB", by_chance)]


def share_found(scores: list[CaptionScore], who: str, kind: str | None) -> float | None:
    """Share of claims that a contestant's pictures fulfil; None when there are none.

    Args:
        scores: Of all captions.
        who: The contestant.
        kind: Of the claims; None: all but "third", which repeats "thing".
    """
    held = [
        ok
        for score in scores
        if who in score.found
        for name, ok in zip(score.kinds, score.found[who], strict=True)
        if name == kind or (kind is None and name != "third")
    ]
    return float(np.mean(held)) if held else None
