"""The benchmarked methods: a model, and the billboard baseline. Each maps an input image and a path to `Views`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from flashworld.cameras import Cameras
from flashworld.cameras.raymaps import ray_directions
from flashworld.inputs import build_request
from flashworld.models.networks import random_networks
from flashworld.nano.training.measures import DRAWN_ALPHA, Views, sample
from flashworld.nano.training.unseen import Trial
from flashworld.pipeline import FlashWorldPipeline
from flashworld.rendering import render
from flashworld.result import SceneResult

Method = Callable[[Trial], Views]
"""Maps a trial to its rendered views, one for each camera."""


def generate(pipeline: FlashWorldPipeline, trial: Trial) -> SceneResult:
    """Generate a scene from the trial's input image and path, with the world's seed."""
    height, width = trial.rgb.shape[1:3]
    request = build_request(
        image=trial.picture, trajectory=trial.cameras, frames=len(trial.cameras), height=height, width=width,
        seed=trial.spec.seed, defaults=pipeline.networks.config,
    )  # fmt: skip
    return pipeline(request)


def views_of(result: SceneResult, cameras: Cameras) -> Views:
    """Render a scene from cameras given in the request's world frame."""
    norm, request = result.normalization, result.request
    placed = norm.to_scene_units(norm.apply(cameras))
    drawn = render(result.scene, placed, request.height, request.width, want_depth=True)
    depth = drawn.depth if drawn.depth is not None else torch.zeros_like(drawn.alpha)
    depth = torch.where(drawn.alpha > DRAWN_ALPHA, depth / drawn.alpha.clamp(min=DRAWN_ALPHA), torch.zeros_like(depth))
    return Views(drawn.rgb.clamp(0, 1), depth, drawn.alpha)


def model(pipeline: FlashWorldPipeline) -> Method:
    """Wrap a pipeline as a benchmark method."""
    return lambda trial: views_of(generate(pipeline, trial), trial.all_cameras)


def untrained(pipeline: FlashWorldPipeline) -> FlashWorldPipeline:
    """The same architecture with seeded random weights."""
    networks = pipeline.networks
    other = random_networks(networks.config, 0, tokenizer=networks.text.tokenizer)
    return FlashWorldPipeline(other, name="random weights")


def billboard(trial: Trial) -> Views:
    """The input image on a plane facing the first camera, at the median ground-truth depth of the first view.

    The baseline is given the ground-truth depth, which a method cannot know from the image alone. Outside the image its
    edge pixels are repeated.
    """
    height, width = trial.rgb.shape[1:3]
    distance = float(trial.depth[0].nanmedian())
    picture = torch.from_numpy(trial.picture).float() / 255
    fx, fy, cx, cy = trial.cameras.intrinsics[0]
    cameras = trial.all_cameras
    direction = ray_directions(cameras, height, width)
    towards = direction[..., 2].clamp(max=-1e-6)
    length = (-distance - cameras.positions[:, None, None, 2]) / towards
    hit = (length > 0) & (direction[..., 2] < -1e-6)
    point = cameras.positions[:, None, None] + length[..., None] * direction
    place = torch.stack([fx * point[..., 0] / distance + cx, -fy * point[..., 1] / distance + cy], dim=-1)
    rgb = torch.stack([sample(picture, p, "bilinear") for p in place])
    along_axis = torch.einsum("vhwc,vc->vhw", direction, -cameras.c2w[:, :3, 2])
    alpha = hit.float()
    rgb = torch.where(hit[..., None], rgb, torch.ones_like(rgb))
    return Views(rgb, torch.where(hit, length * along_axis, torch.zeros_like(length)), alpha)
