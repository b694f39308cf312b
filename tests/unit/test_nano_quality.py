"""The weights that ship: small, better than chance by far, the same every time, refused when damaged."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from flashworld.checkpoints.loading import load_nano
from flashworld.config import NANO_DIR
from flashworld.errors import CheckpointError
from flashworld.inputs import build_request
from flashworld.nano.package import CONFIG_NAME, MORE_WEIGHTS_NAME, TOKENIZER_NAME, WEIGHTS_NAME
from flashworld.nano.training import methods
from flashworld.nano.training.colour_names import is_named
from flashworld.nano.training.export_weights import MAX_EXTRA_BYTES, MAX_WEIGHTS_BYTES
from flashworld.nano.training.measures import psnr
from flashworld.nano.training.unseen import FOV_Y_DEG, SEEDS, make_trial, unseen_atlas
from flashworld.pipeline import FlashWorldPipeline

INPUT_FLOOR_DB = 22.0
"""At the input view of one unseen world; the benchmark's mean over 64 must be 24."""
MARGIN_DB = 6.0
"""Over random weights."""
SEED = 4
SMALL = (96, 160)

pytestmark = pytest.mark.skipif(
    not (NANO_DIR / WEIGHTS_NAME).is_file(), reason=f"nano's trained weights ({WEIGHTS_NAME}) are not in the package"
)


@pytest.fixture(scope="module")
def pipeline():
    return FlashWorldPipeline.from_nano()


@pytest.fixture(scope="module")
def trial():
    assert SEED in SEEDS
    return make_trial(SEED, unseen_atlas({}), frames=4, height=192, width=288, gallery_share=0.0)


@pytest.fixture(scope="module")
def result(pipeline, trial):
    return methods.generate(pipeline, trial)


@pytest.fixture
def copy(tmp_path):
    for name in (CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME, MORE_WEIGHTS_NAME):
        shutil.copy(NANO_DIR / name, tmp_path)
    return tmp_path


def input_view_db(result, trial) -> float:
    shown = methods.views_of(result, trial.cameras[:1]).rgb[0]
    return psnr(shown, torch.from_numpy(trial.picture).float() / 255)


def test_files_are_within_their_limits():
    for name in (WEIGHTS_NAME, MORE_WEIGHTS_NAME):
        assert (NANO_DIR / name).stat().st_size <= MAX_WEIGHTS_BYTES
    assert sum((NANO_DIR / name).stat().st_size for name in (CONFIG_NAME, TOKENIZER_NAME)) <= MAX_EXTRA_BYTES
    assert load_nano().trained


def test_an_unseen_world_looks_like_its_picture(pipeline, trial, result):
    found = input_view_db(result, trial)
    assert found >= INPUT_FLOOR_DB
    untrained = methods.generate(methods.untrained(pipeline), trial)
    assert found >= input_view_db(untrained, trial) + MARGIN_DB
    assert "untrained" not in result.model


def test_the_same_seed_makes_the_same_scene(pipeline, trial, result):
    again = methods.generate(pipeline, trial)
    for name in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert torch.equal(getattr(again.scene, name), getattr(result.scene, name)), name


def test_words_choose_the_scene(pipeline):
    config = pipeline.networks.config
    red, blue = (
        pipeline(build_request(text=f"a room with {c} carpet and {c} walls", frames=4, seed=3, defaults=config))
        for c in ("red", "blue")
    )
    means = [methods.views_of(r, r.request.cameras[:1]).rgb.mean(dim=(0, 1, 2)) for r in (red, blue)]
    assert means[0][0] > means[0][2] and means[1][2] > means[1][0]


@pytest.mark.parametrize("column", ["left", "right"])
def test_a_named_thing_stands_where_words_put_it(pipeline, column):
    request = build_request(
        text=f"a large red ball on the {column}, on grass, clear sky",
        frames=4,
        seed=3,
        fov_y_deg=FOV_Y_DEG,
        defaults=pipeline.networks.config,
    )
    result = pipeline(request)
    picture = methods.views_of(result, request.cameras[:1]).rgb[0].numpy()
    left, middle, right = (float(is_named(part, "red").mean()) for part in np.array_split(picture, 3, axis=1))
    here, there = (left, right) if column == "left" else (right, left)
    assert here > 0.05 and there < 0.01 and middle < here


@pytest.mark.parametrize("frames", [4, 8, 16])
@pytest.mark.parametrize("portrait", [False, True], ids=["landscape", "portrait"])
def test_other_sizes_work(pipeline, frames, portrait):
    height, width = reversed(SMALL) if portrait else SMALL
    trial = make_trial(SEED, unseen_atlas({}), frames=frames, height=height, width=width, gallery_share=0.0)
    result = methods.generate(pipeline, trial)
    assert len(result.scene) == frames * 2 * (height // 2) * (width // 2)
    assert bool(result.scene.means.isfinite().all())
    views = methods.views_of(result, trial.cameras)
    assert views.rgb.shape == (frames, height, width, 3)
    assert float(views.alpha.mean()) > 0.9


def test_a_portrait_of_full_size_looks_like_its_picture(pipeline):
    trial = make_trial(SEED, unseen_atlas({}), frames=4, height=288, width=192, gallery_share=0.0)
    assert input_view_db(methods.generate(pipeline, trial), trial) >= INPUT_FLOOR_DB


def test_a_truncated_copy_is_refused(copy):
    path = copy / WEIGHTS_NAME
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="install the package again"):
        load_nano(copy)


def test_a_tampered_copy_is_refused(copy):
    path = copy / WEIGHTS_NAME
    content = bytearray(path.read_bytes())
    content[-500] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="changed"):
        load_nano(copy)
    assert load_nano(NANO_DIR).trained, "the real one still loads"
