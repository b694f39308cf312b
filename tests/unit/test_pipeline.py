"""The whole pipeline at tiny size: real networks with random weights, the real renderer, real files."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from flashworld.cameras import Cameras
from flashworld.errors import Cancelled, InputError, NumericalError, SceneError
from flashworld.gaussians import Gaussians
from flashworld.inputs import VideoSettings, build_request
from flashworld.io.request_json import request_from_json
from flashworld.io.scenes import read_scene
from flashworld.models.networks import random_networks
from flashworld.nano.sizes import TINY
from flashworld.pipeline import FlashWorldPipeline, place, small_picture
from flashworld.progress import Progress
from flashworld.result import SceneResult
from flashworld.serving import light as lights
from flashworld.serving import shared_arrays
from flashworld.serving.delivery import NAMES, deliver
from flashworld.serving.light import light_scene
from flashworld.serving.transfer import PackedResult, pack_result

HEIGHT, WIDTH, FRAMES = 64, 96, 3


@pytest.fixture(scope="module")
def pipeline() -> FlashWorldPipeline:
    return FlashWorldPipeline(random_networks(TINY, seed=0), name="tiny, untrained")


def a_request(**changes):
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    arguments = {
        "image": picture, "text": "a room", "trajectory": "orbit_right", "frames": FRAMES, "height": HEIGHT,
        "width": WIDTH, "seed": 5, "video": VideoSettings(fps=4, seconds=1.0),
    }  # fmt: skip
    return build_request(**(arguments | changes))


@pytest.fixture(scope="module")
def result(pipeline) -> SceneResult:
    return pipeline(a_request())


def test_stages_are_named_progress_increases_and_a_result_ends_them(pipeline):
    stages = list(pipeline.stages(a_request()))
    assert isinstance(stages[-1], SceneResult)
    named = [s for s in stages if isinstance(s, Progress)]
    fractions = [s.fraction for s in named]
    assert fractions == sorted(fractions)
    assert 0 == fractions[0] < fractions[-1] < 1
    assert [(s.stage, s.step) for s in named] == [("text", 0), *(("denoise", step) for step in (1, 2, 3, 4))]
    assert sum(s.preview is not None for s in named) == 3
    assert all(s.preview is None or (s.preview.dtype == np.uint8 and s.preview.ndim == 3) for s in named)


def test_one_seed_gives_one_scene_and_another_seed_another(pipeline, result):
    again = pipeline(a_request())
    assert torch.equal(again.scene.to_vectors(), result.scene.to_vectors())
    other = pipeline(a_request(seed=6))
    assert not torch.equal(other.scene.to_vectors(), result.scene.to_vectors())


def test_networks_kept_on_the_cpu_give_the_same_scene(result):
    networks = place(random_networks(TINY, seed=0), torch.device("cpu"), {"text", "vae", "transformer"})
    found = vars(FlashWorldPipeline(networks)(a_request()).scene)
    assert all(torch.equal(found[name], tensor) for name, tensor in vars(result.scene).items())


def test_scene_has_two_gaussians_for_every_second_pixel_of_every_frame(result):
    assert len(result.scene) == FRAMES * 2 * (HEIGHT // 2) * (WIDTH // 2)


def test_scene_and_cameras_are_in_request_units_and_first_camera_axes(result):
    moved = result.request.cameras
    expected = torch.linalg.inv(moved.c2w[0]) @ moved.c2w
    assert torch.allclose(result.cameras.c2w, expected, atol=1e-5)


def test_rotation_only_path_keeps_scene_size(pipeline):
    request = a_request(trajectory="pan_left")
    result = pipeline(request)
    assert result.normalization.scene_scale == 1.0
    distance = float(result.scene.means.norm(dim=1).median())
    assert 0.1 < distance < 10


def test_text_alone_and_picture_alone_are_enough(pipeline):
    assert len(pipeline(a_request(image=None)).scene)
    assert len(pipeline(a_request(text=None)).scene)


def test_generation_can_be_cancelled_between_stages(pipeline):
    with pytest.raises(Cancelled):
        pipeline(a_request(), should_stop=lambda: True)
    stages = pipeline.stages(a_request())
    next(stages)
    stages.close()


def test_saved_files_hold_the_scene(result, tmp_path):
    paths = result.save(tmp_path / "new" / "folder")
    assert set(paths) == {"ply", "spz", "video", "preview", "request"}
    assert all(path.stat().st_size > 0 for path in paths.values())
    back = read_scene(paths["ply"])
    assert len(back) == len(result.visible()) == result.count_visible()
    assert torch.allclose(back.means, result.visible().means, atol=1e-5)
    again = request_from_json(json.loads(paths["request"].read_text()))
    assert again.seed == 5
    assert torch.allclose(again.cameras.c2w, result.request.cameras.c2w, atol=1e-5)
    assert np.array_equal(again.picture, result.request.picture)


def test_visible_gaussians_are_counted_as_they_are_written(result):
    vectors = result.scene.to_vectors().clone()
    vectors[:100, 3] = torch.linspace(0, 2 / 255, 100)
    dim = replace(result, scene=Gaussians.from_vectors(vectors))
    assert len(dim.visible()) == dim.count_visible() == len(dim.scene) - 50


def test_delivery_writes_every_file_and_nothing_else(result, tmp_path):
    light = light_scene(result, len(result.visible()) // 4)
    delivered = dict(deliver(result, tmp_path, light=light))
    assert set(delivered) == set(NAMES)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(NAMES.values())
    assert len(read_scene(delivered["viewer"])) == len(light.scene) <= len(read_scene(delivered["spz"])) // 4
    assert 5.0 < light.psnr_db < float("inf")


def test_light_scene_has_no_lighter_one(result, tmp_path):
    assert light_scene(result) is None
    assert set(deliver(result, tmp_path)) == {(n, tmp_path / f) for n, f in NAMES.items() if n != "viewer"}


def test_light_scene_is_compared_on_views_it_was_not_optimised_for(result, monkeypatch):
    used = {}

    def lighten(full, count, cameras):
        used["optimised"] = cameras
        return full[:count]

    def psnr_along(full, light, cameras, height, width):
        used["compared"] = cameras
        return 20.0

    monkeypatch.setattr(lights, "lighten", lighten)
    monkeypatch.setattr(lights, "psnr_along", psnr_along)
    assert light_scene(result, len(result.visible()) // 4).psnr_db == 20.0
    nearest = (used["compared"].c2w[:, None] - used["optimised"].c2w[None]).flatten(2).norm(dim=2).amin(dim=1)
    assert float(nearest.min()) > 1e-4


def test_a_failing_light_scene_does_not_lose_the_full_one(result, monkeypatch, caplog):
    def fail(*_):
        raise torch.linalg.LinAlgError("did not converge")

    monkeypatch.setattr(lights, "lighten", fail)
    assert light_scene(result, len(result.visible()) // 4) is None
    assert "the 3D view shows the full one" in caplog.text


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("enabled", [False, True])
def test_light_scenes_and_videos_cross_processes_with_their_result(result, monkeypatch, shared, enabled):
    monkeypatch.setattr(lights.light_scene, "__defaults__", (len(result.visible()) // 4,))
    monkeypatch.setattr(PackedResult, "shared_memory", shared and shared_arrays.works())
    request = replace(result.request, video=replace(result.request.video, enabled=enabled))
    packed = pickle.loads(pickle.dumps(pack_result(replace(result, request=request))))
    light = packed.unpack_light()
    assert 0 < len(light.scene) <= len(result.visible()) // 4
    assert light.psnr_db > 5.0
    assert len(packed.unpack(request).scene) == len(result.visible())
    assert (packed.frames is not None) == enabled
    assert np.array_equal(packed.picture, result.picture())


def test_a_picture_that_is_already_rendered_is_the_poster(result, tmp_path, monkeypatch):
    picture = np.full((64, 96, 3), 200, np.uint8)
    monkeypatch.setattr(SceneResult, "picture", None)
    poster = dict(deliver(result, tmp_path, picture=picture))["poster"]
    assert abs(int(np.asarray(Image.open(poster)).mean()) - 200) <= 2


def test_unknown_output_is_refused_before_anything_is_written(result, tmp_path):
    with pytest.raises(InputError, match="outputs"):
        result.save(tmp_path / "x", ["ply", "obj"])
    assert not (tmp_path / "x").exists()


def test_scene_that_is_not_finite_is_not_written(result, tmp_path):
    from dataclasses import replace

    broken = result.scene.to_vectors().clone()
    broken[3, 1] = torch.nan
    bad = replace(result, scene=type(result.scene).from_vectors(broken))
    with pytest.raises(SceneError, match="means"):
        bad.save(tmp_path / "x", ["ply"])
    assert not list(tmp_path.rglob("*.ply"))


def test_infinite_weight_names_the_stage():
    networks = random_networks(TINY, seed=0)
    with torch.no_grad():
        networks.gaussian_decoder.gs_head.gs_proj.bias[29] = torch.inf
    with pytest.raises(NumericalError, match="Gaussian decoder"):
        FlashWorldPipeline(networks)(a_request())


def test_preview_is_one_view_no_higher_than_asked_for():
    pictures = torch.zeros(2, 3, 480, 704)
    pictures[1] = 1
    small = small_picture(pictures, 1)
    assert small is not None
    assert small.shape == (240, 352, 3)
    assert (small == 255).all()


def test_pruned_scene_is_not_copied_again(result):
    """A scene that comes from a worker is pruned already; four files are written from it."""
    from dataclasses import replace

    pruned = replace(result, scene=result.visible())
    assert pruned.visible() is pruned.scene
    assert 0 < len(pruned.scene) <= len(result.scene)


def test_video_path_starts_and_ends_with_the_views(result):
    path = result.video_cameras()
    assert isinstance(path, Cameras)
    assert torch.allclose(path.positions[0], result.cameras.positions[0], atol=1e-6)
    assert torch.allclose(path.positions[-1], result.cameras.positions[-1], atol=1e-5)
