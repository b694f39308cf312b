"""A scene made by two processes equals that of one: the real networks at small size, gloo between two CPU processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from flashworld.checkpoints.random_weights import model_of_size, write_random_weights
from flashworld.errors import InputError, WorkerError
from flashworld.inputs import build_request
from flashworld.parallel.group import GpuGroup
from flashworld.parallel.launch import load_split, require_gpus
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import SceneResult
from flashworld.serving.generation import generation
from flashworld.serving.messages import Failed
from flashworld.serving.options import ModelOptions
from flashworld.serving.sentences import WORKER_DIED
from tests.app.running import children

SMALLEST_BOUND = 2**-12
"""Of the largest value: an eighth of one rounding to bfloat16, in which GPUs compute. Random networks amplify float32 rounding by an
amount that differs tenfold between equally valid roundings, so that a single measurement of it can be too small."""
FIELDS = ("means", "quats_wxyz", "scales", "opacities", "sh")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "weights"
    write_random_weights(folder, model_of_size("tiny"), seed=0, device="cpu", dtype=torch.float32, shard_bytes=10**9)
    return folder


@pytest.fixture(scope="module")
def split(weights):
    """The leader; its one follower is a process, started from a directory without the project."""
    before = set(children(os.getpid()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(weights.parent)
        patch.delenv("PYTHONPATH", raising=False)
        pipeline = load_split(ModelOptions(str(weights), device="cpu", gpus_per_scene=2))
    (pipeline.follower_pid,) = set(children(os.getpid())) - before
    yield pipeline
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def single(weights) -> FlashWorldPipeline:
    return FlashWorldPipeline.from_pretrained(weights, device="cpu")


@pytest.fixture(scope="module")
def rounded_otherwise(weights) -> list[FlashWorldPipeline]:
    """The same networks with every weight moved by at most half a unit in its last place."""
    pipelines = [FlashWorldPipeline.from_pretrained(weights, device="cpu") for _ in range(3)]
    for seed, pipeline in enumerate(pipelines):
        generator = torch.Generator().manual_seed(seed)
        for module in pipeline.networks.modules.values():
            for weight in module.parameters():
                weight.data *= 1 + (torch.rand(weight.shape, generator=generator) - 0.5) * 2**-22
    return pipelines


def a_request(frames=4, height=64, width=96, image=True, seed=1):
    picture = torch.randint(0, 256, (height, width, 3), generator=torch.Generator().manual_seed(0)).byte().numpy()
    return build_request(
        image=picture if image else None, text="a room", frames=frames, height=height, width=width, seed=seed
    )


@pytest.mark.parametrize(
    ("frames", "height", "width", "image"), [(4, 64, 96, True), (3, 96, 96, False), (2, 64, 64, True)]
)  # fmt: skip
def test_two_processes_make_the_same_scene_as_one(split, single, rounded_otherwise, frames, height, width, image):
    """Also 3 views of 3 x 3 tokens, which two cannot halve.

    The tolerance for rounding over four steps of random networks is measured: by as much does a single process differ from
    itself that decodes its views one by one, or whose weights are rounded otherwise.
    """
    request = a_request(frames, height, width, image)
    one, two = single(request).scene, split(request).scene
    others = [p(request).scene for p in (FlashWorldPipeline(single.networks, frames_per_chunk=1), *rounded_otherwise)]
    assert len(one) == len(two) == frames * 2 * (height // 2) * (width // 2)
    for name in FIELDS:
        first, second, *equals = (getattr(scene, name) for scene in (one, two, *others))
        size = first.abs().max()
        rounding = max(float((first - other).abs().max() / size) for other in equals)
        bound = max(4 * rounding, SMALLEST_BOUND)
        assert float((first - second).abs().max() / size) <= bound, name
        assert float((first - second).abs().median() / size) <= 1e-4, name


def test_cancelling_leaves_the_two_processes_in_step(split):
    """Compared with the two processes' own scene from before: against a single process, rounding alone can differ by more."""
    request = a_request(seed=5)
    before = split(request).scene.means
    for stages in (1, 2, 4):
        stopped = split.stages(a_request())
        for _ in range(stages):
            next(stopped)
        stopped.close()
    last = list(split.stages(request))[-1]
    assert isinstance(last, SceneResult) and not split.broken
    assert torch.allclose(last.scene.means, before, rtol=0, atol=SMALLEST_BOUND * float(before.abs().max()))


def test_a_dead_follower_breaks_the_pipeline_with_one_sentence(split):
    """The last test with `split`: nothing works afterwards."""
    os.kill(split.follower_pid, signal.SIGKILL)
    with pytest.raises((WorkerError, RuntimeError)):  # the channel may take a message more, then the exchange fails
        split(a_request())
    assert split.broken
    *_, last = generation(lambda: split, a_request(), 0.0)
    assert last == Failed(WORKER_DIED, fatal=True)
    with pytest.raises(WorkerError, match="restart the program"):
        split(a_request())


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_parts_are_in_order_and_differ_by_one_at_most(count, size):
    parts = GpuGroup(0, size).parts(count)
    assert [i for part in parts for i in range(count)[part]] == list(range(count))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ModelOptions("nano", gpus_per_scene=9, device="cpu"), "must be 1 to 8, got 9"),
        (ModelOptions("nano", gpus_per_scene=2, device="cpu", offload=("vae",)), "exclude each other"),
    ],
)
def test_work_that_cannot_be_divided_is_refused_first(options, sentence):
    with pytest.raises(InputError, match=sentence):
        require_gpus(options)


def test_more_gpus_than_installed_give_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(InputError, match="--gpus-per-scene 2: this machine has 1 GPUs"):
        require_gpus(ModelOptions("full", gpus_per_scene=2))
    require_gpus(ModelOptions("full", gpus_per_scene=2), here=False)  # a cluster's GPUs are not counted here
