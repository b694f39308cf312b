"""The CPU renderer against a float64 reference, and the laws both renderers obey."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scenes import room_cameras, room_scene
from flashworld.cameras import Cameras, quat_multiply, quat_to_matrix
from flashworld.errors import DependencyError, InputError
from flashworld.gaussians import Gaussians
from flashworld.rendering import Rendering, cpu_kernels, cuda, iter_frames, render, to_signed, with_gsplat
from flashworld.rendering.frames import DepthPainter
from flashworld.rendering.splats import MAX_BATCH_VIEWS
from tests.reference_raster import psnr_db, render_reference

HEIGHT, WIDTH = 80, 112  # neither is a multiple of the tile size
ENOUGH_DB = 80.0


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return room_scene(4000, seed=3)


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return room_cameras(3, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def rendering(scene, cameras) -> Rendering:
    return render(scene, cameras, HEIGHT, WIDTH, want_depth=True)


def assert_same(a: Rendering, b: Rendering) -> None:
    assert torch.equal(a.rgb, b.rgb)
    assert torch.equal(a.alpha, b.alpha)
    assert (a.depth is None and b.depth is None) or torch.equal(a.depth, b.depth)


def one_gaussian(
    mean=(0.0, 0.0, -2.0), scale=(0.2, 0.2, 0.2), opacity=0.8, color=0.5, quat=(1.0, 0.0, 0.0, 0.0)
) -> Gaussians:
    """One Gaussian before a camera at the origin."""
    tensors = (torch.tensor([mean]), torch.tensor([quat]), torch.tensor([scale]), torch.tensor([opacity]))
    return Gaussians(*tensors, torch.full((1, 1, 3), color))


def join(*scenes: Gaussians) -> Gaussians:
    names = ("means", "quats_wxyz", "scales", "opacities", "sh")
    return Gaussians(*(torch.cat([getattr(scene, name) for scene in scenes]) for name in names))


@pytest.fixture(scope="module")
def front() -> Cameras:
    """One camera at the origin, looking along -z."""
    return Cameras(torch.tensor([[1.0, 0, 0, 0]]), torch.zeros(1, 3), torch.tensor([[0.8, 1.1, 0.5, 0.5]]))


# ---- against the reference ----


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_agrees_with_float64_reference(degree):
    scene = room_scene(2500, seed=degree, sh_degree=degree)
    cameras = room_cameras(2, HEIGHT, WIDTH)
    lens = torch.tensor([[0.71, 1.03, 0.46, 0.55], [1.3, 0.9, 0.61, 0.38]])  # unequal focal lengths, off centre
    cameras = Cameras(
        quat_multiply(cameras.quats_wxyz, torch.tensor([0.98, 0.05, -0.1, 0.17])), cameras.positions, lens
    )
    got = render(scene, cameras, HEIGHT, WIDTH, background=(0.2, 0.7, 1.0), want_depth=True)
    rgb, alpha, depth = render_reference(scene, cameras, HEIGHT, WIDTH, (0.2, 0.7, 1.0))
    assert psnr_db(got.rgb, rgb) >= ENOUGH_DB
    assert psnr_db(got.alpha, alpha) >= ENOUGH_DB
    assert psnr_db(got.depth / depth.max(), depth / depth.max()) >= ENOUGH_DB


@settings(max_examples=15, deadline=None)
@given(
    mean=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-6, 0.5)),
    scale=st.tuples(*[st.floats(0.01, 1.0)] * 3),
    quat=st.tuples(st.floats(0.2, 1), *[st.floats(-1, 1)] * 3),
    opacity=st.floats(0.01, 1),
)
def test_any_single_gaussian_agrees_with_reference(front, mean, scale, quat, opacity):
    scene = one_gaussian(mean, scale, opacity, quat=quat)
    got = render(scene, front, 40, 56, want_depth=True)
    rgb, alpha, _ = render_reference(scene, front, 40, 56)
    assert psnr_db(got.rgb, rgb) >= 75  # a third as many pixels as above: one at a threshold weighs more
    assert psnr_db(got.alpha, alpha) >= 75


def test_near_and_far_planes_cut(front):
    scene = join(*(one_gaussian((0, 0, -z)) for z in (0.5, 2.0, 5.0)))
    only_middle = render(scene, front, 32, 48, near=1.0, far=3.0)
    assert_same(only_middle, render(scene[1:2], front, 32, 48))


# ---- laws ----


def test_background_shows_exactly_where_nothing_covers_it(front):
    scene = one_gaussian()
    color = (0.25, 0.5, 0.75)
    got = render(scene, front, 64, 96, background=color)
    bare = got.alpha == 0
    assert bare.any()
    assert not bare.all()
    assert (got.rgb[bare] == torch.tensor(color)).all()
    assert (got.rgb[~bare] != torch.tensor(color)).any(dim=-1).all()


def test_background_is_weighted_by_what_is_not_covered(scene, cameras, rendering):
    black = render(scene, cameras, HEIGHT, WIDTH, background=(0, 0, 0))
    expected = (1 - rendering.alpha)[..., None].expand_as(rendering.rgb)
    torch.testing.assert_close(rendering.rgb - black.rgb, expected, atol=1e-6, rtol=0)


@settings(max_examples=8, deadline=None)
@given(
    quat=st.tuples(st.floats(0.1, 1), *[st.floats(-1, 1)] * 3),
    shift=st.tuples(*[st.floats(-20, 20)] * 3),
)
def test_moving_cameras_and_scene_together_changes_nothing(cameras, quat, shift):
    scene = room_scene(1500, seed=5, sh_degree=0)  # view-dependent colour would have to be rotated too
    turn, shift = torch.tensor(quat), torch.tensor(shift)
    matrix = quat_to_matrix(turn)
    moved = Gaussians(
        scene.means @ matrix.T + shift,
        quat_multiply(turn.expand_as(scene.quats_wxyz), scene.quats_wxyz),
        scene.scales, scene.opacities, scene.sh,
    )  # fmt: skip
    turned = quat_multiply(turn.expand_as(cameras.quats_wxyz), cameras.quats_wxyz)
    moved_cameras = Cameras(turned, cameras.positions @ matrix.T + shift, cameras.intrinsics)
    expected = render(scene, cameras, HEIGHT, WIDTH)
    got = render(moved, moved_cameras, HEIGHT, WIDTH)
    assert psnr_db(got.rgb, expected.rgb) >= 65  # float32 positions 20 units out are good to 1e-6


def test_scaling_cameras_and_scene_together_changes_nothing_but_depth(scene, cameras, rendering):
    grown = Cameras(cameras.quats_wxyz, cameras.positions * 4, cameras.intrinsics)
    got = render(scene.scaled(4.0), grown, HEIGHT, WIDTH, want_depth=True)
    assert psnr_db(got.rgb, rendering.rgb) >= ENOUGH_DB
    torch.testing.assert_close(got.depth, rendering.depth * 4, atol=1e-3, rtol=1e-3)


def test_order_of_gaussians_does_not_matter(scene, cameras, rendering):
    shuffled = scene[torch.randperm(len(scene))]
    assert_same(render(shuffled, cameras, HEIGHT, WIDTH, want_depth=True), rendering)


def test_batched_views_equal_single_views(scene, cameras, rendering):
    singles = [render(scene, cameras[i], HEIGHT, WIDTH, want_depth=True) for i in range(len(cameras))]
    for i, single in enumerate(singles):
        assert torch.equal(single.rgb[0], rendering.rgb[i])
        assert torch.equal(single.depth[0], rendering.depth[i])


def test_length_of_quaternions_does_not_matter(scene, cameras, rendering):
    longer = Gaussians(scene.means, scene.quats_wxyz * 2, scene.scales, scene.opacities, scene.sh)
    assert psnr_db(render(longer, cameras, HEIGHT, WIDTH).rgb, rendering.rgb) >= ENOUGH_DB


def test_views_of_a_flat_tensor_render_like_copies(scene, cameras, rendering):
    flat = Gaussians.from_vectors(scene.to_vectors())
    assert not flat.sh.is_contiguous()
    assert_same(render(flat, cameras, HEIGHT, WIDTH, want_depth=True), rendering)


def test_the_scene_is_not_changed(scene, cameras):
    before = scene.to_vectors()
    render(scene, cameras, HEIGHT, WIDTH)
    assert torch.equal(scene.to_vectors(), before)


def test_lists_too_long_for_memory_are_rendered_in_several_passes(front):
    count = 60_000  # each covers all 330 tiles: more entries than are listed at a time
    wall = one_gaussian(opacity=0.9, scale=(50.0, 50.0, 0.01))[torch.zeros(count, dtype=torch.long)]
    depths = 2 + torch.arange(count) * 1e-4
    wall = Gaussians(wall.means * depths[:, None] / 2, wall.quats_wxyz, wall.scales, wall.opacities, wall.sh)
    nearest = wall[: count // 100]  # these occlude the rest
    assert_same(render(wall, front, 240, 352), render(nearest, front, 240, 352))


# ---- hostile scenes ----


@pytest.mark.parametrize("field", ["means", "quats_wxyz", "scales", "opacities", "sh"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_gaussians_that_are_not_finite_are_left_out(scene, cameras, rendering, field, value):
    broken = room_scene(50, seed=9)
    getattr(broken, field).view(50, -1)[:, -1] = value
    got = render(join(scene[:2000], broken, scene[2000:]), cameras, HEIGHT, WIDTH, want_depth=True)
    assert_same(got, rendering)


@pytest.mark.parametrize("quat", [(0.0, 0.0, 0.0, 0.0), (1e-30, 0.0, 0.0, 0.0)])
def test_zero_quaternions_are_left_out(front, quat):
    assert (render(one_gaussian(quat=quat), front, 32, 48).alpha == 0).all()


def test_opacity_zero_is_invisible_and_one_is_almost_opaque(front):
    assert (render(one_gaussian(opacity=0.0), front, 32, 48).alpha == 0).all()
    solid = render(one_gaussian(opacity=1.0, scale=(9.0, 9.0, 9.0)), front, 32, 48)
    assert solid.alpha.max() == pytest.approx(0.999, abs=1e-5)
    assert_same(solid, render(one_gaussian(opacity=1.5, scale=(9.0, 9.0, 9.0)), front, 32, 48))


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e3, 1e8, 1e18, 1e30])
def test_scales_of_any_size_are_handled(front, size):
    got = render(one_gaussian(scale=(size, size, size)), front, 64, 96, want_depth=True)
    assert all(torch.isfinite(t).all() for t in (got.rgb, got.alpha, got.depth))


def test_a_needle_shaped_gaussian_is_handled(front):
    got = render(one_gaussian(scale=(1e4, 1e-9, 1e-9), quat=(0.9, 0.1, 0.2, 0.3)), front, 64, 96)
    assert torch.isfinite(got.rgb).all()


@pytest.mark.parametrize("mean", [(0.0, 0.0, 0.0), (0.0, 0.0, -0.01), (0.5, 0.5, -0.0100001), (1e30, -1e30, -1e30)])
def test_gaussians_at_the_camera_or_far_away_are_handled(front, mean):
    got = render(one_gaussian(mean), front, 64, 96, want_depth=True)
    assert all(torch.isfinite(t).all() for t in (got.rgb, got.alpha, got.depth))


def test_empty_scene_shows_the_background(front):
    got = render(one_gaussian()[:0], front, 20, 30, background=(0.1, 0.2, 0.3), want_depth=True)
    assert (got.rgb == torch.tensor([0.1, 0.2, 0.3])).all()
    assert (got.alpha == 0).all()
    assert (got.depth == 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 15), (16, 16)])
def test_pictures_of_any_size(front, size):
    got = render(one_gaussian(scale=(9.0, 9.0, 9.0)), front, *size)
    assert got.rgb.shape == (1, *size, 3)
    assert (got.alpha > 0.7).all()


def test_other_dtypes_and_gradients_are_accepted(scene, cameras):
    double = render(scene.to(torch.float64), cameras.to(torch.float64), HEIGHT, WIDTH)
    trained = Gaussians(
        scene.means.clone().requires_grad_(), *(getattr(scene, n) for n in ("quats_wxyz", "scales", "opacities", "sh"))
    )
    assert double.rgb.dtype == torch.float32
    assert not render(trained, cameras, HEIGHT, WIDTH).rgb.requires_grad


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"height": 0}, "height"), ({"width": 9000}, "width"), ({"near": 0.0}, "near"), ({"far": 0.001}, "far"),
        ({"background": (1.0, 1.0)}, "background"), ({"background": (1.0, 1.0, float("nan"))}, "background"),
    ],
)  # fmt: skip
def test_invalid_picture_arguments_are_refused(scene, cameras, change, part):
    arguments = {"height": HEIGHT, "width": WIDTH, **change}
    with pytest.raises(InputError, match=part):
        render(scene, cameras, **arguments)
    with pytest.raises(InputError, match=part):  # before the first frame is requested
        iter_frames(scene, cameras, **arguments)


def test_no_cameras_and_high_degrees_are_refused(scene, cameras):
    with pytest.raises(InputError, match="at least one camera"):
        render(scene, cameras[:0], HEIGHT, WIDTH)
    high = Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities, torch.zeros(len(scene), 25, 3))
    with pytest.raises(InputError, match="SH degree"):
        iter_frames(high, cameras, HEIGHT, WIDTH)


# ---- frames ----


def test_frames_are_rounded_renderings_whatever_the_number_of_threads(scene):
    cameras = room_cameras(9, HEIGHT, WIDTH)
    rgb = render(scene, cameras, HEIGHT, WIDTH).rgb.double().clamp(0, 1)
    expected = torch.floor(rgb * 255 + 0.5).numpy()
    for workers in (1, 4, None):
        frames = list(iter_frames(scene, cameras, HEIGHT, WIDTH, workers=workers))
        assert all(frame.dtype == np.uint8 and frame.shape == (HEIGHT, WIDTH, 3) for frame in frames)
        assert np.abs(np.stack(frames) - expected).max() <= 1  # 255 x + 0.5 in float32
        assert (np.stack(frames) == expected).mean() > 0.9999


def test_result_is_bit_identical_for_any_number_of_threads(scene):
    cameras = room_cameras(12, HEIGHT, WIDTH)
    serial = np.stack(list(iter_frames(scene, cameras, HEIGHT, WIDTH, workers=1)))
    threaded = np.stack(list(iter_frames(scene, cameras, HEIGHT, WIDTH, workers=6)))
    assert np.array_equal(serial, threaded)


def test_leaving_a_stream_early_leaves_no_threads(scene):
    frames = iter_frames(scene, room_cameras(50, HEIGHT, WIDTH), HEIGHT, WIDTH, workers=3)
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("render")]


def test_memory_does_not_grow_with_the_number_of_frames(scene):
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in iter_frames(scene, room_cameras(count, HEIGHT, WIDTH), HEIGHT, WIDTH, workers=2):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(8)  # first-use allocations
    assert peak(80) < 1.2 * peak(8) + 100_000


def test_depth_pictures_are_bright_near_dark_far_and_black_where_empty(front):
    near, far = one_gaussian((-0.5, 0.0, -2.0), opacity=1.0), one_gaussian((1.5, 0.0, -6.0), (0.6, 0.6, 0.6), 1.0)
    (frame,) = iter_frames(join(near, far), front, 64, 96, depth=True)
    assert frame.shape == (64, 96, 3)
    assert (frame[..., 0] == frame[..., 2]).all()
    near_grey, far_grey = int(frame[32, 29, 0]), int(frame[32, 67, 0])
    assert near_grey > far_grey > 0
    assert frame[0, 0, 0] == 0


def test_depth_scale_is_set_by_the_first_non_empty_picture(front):
    wall = one_gaussian(scale=(9.0, 9.0, 0.01), opacity=1.0)
    first = render(join(wall, one_gaussian((0, 0, -1.0))), front, 32, 48, want_depth=True)
    empty = render(wall[:0], front, 32, 48, want_depth=True)
    painter = DepthPainter()
    assert (painter.paint(empty) == 0).all()
    once = painter.paint(first)
    painter.paint(render(wall.scaled(0.1), front, 32, 48, want_depth=True))
    assert np.array_equal(painter.paint(first), once)


def test_signed_images_are_clamped_and_channel_first():
    rgb = torch.tensor([[[[0.0, 0.5, 2.0]], [[1.0, -1.0, 0.25]]]])
    signed = to_signed(rgb)
    assert signed.shape == (1, 3, 2, 1)
    assert signed[0, :, 0, 0].tolist() == [-1.0, 0.0, 1.0]
    assert signed[0, :, 1, 0].tolist() == [1.0, -1.0, -0.5]


# ---- processes and packages ----


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_renders(scene, rendering, request):
    threads = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(threads))
    torch.set_num_threads(2)
    torch.ones(1_000_000).exp().sum()  # torch's thread pool runs now; a forked child that touches it hangs
    cameras = room_cameras(40, HEIGHT, WIDTH)
    frames = list(iter_frames(scene, cameras, HEIGHT, WIDTH, workers=3))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)  # a hang must not outlive the test
            again = render(scene, room_cameras(3, HEIGHT, WIDTH), HEIGHT, WIDTH, want_depth=True)
            streamed = list(iter_frames(scene, cameras, HEIGHT, WIDTH, workers=3))
            same = np.array_equal(again.rgb.numpy(), rendering.rgb.numpy())
            code = 0 if same and all(map(np.array_equal, streamed, frames)) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_import_is_light():
    code = "import sys, flashworld.rendering; print({'numba', 'gsplat', 'gradio', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_kernels_compile_where_no_cache_folder_can_be_written(caplog):
    space: dict = {}
    exec("def double(x):\n    return 2 * x", space)  # has no file, so numba finds no folder for it either
    compiled = cpu_kernels._kernel("i8(i8)")(space["double"])
    assert compiled(21) == 42
    assert "compiled in every process" in caplog.text


def test_kernels_compile_on_a_full_disk(tmp_path):
    program = tmp_path / "full_disk.py"  # numba's cache lies beside it
    program.write_text(
        "import resource\n"
        "from flashworld.rendering.cpu_kernels import _kernel\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))\n"
        "@_kernel('i8(i8)')\n"
        "def double(x):\n    return 2 * x\n"
        "print(double(21))\n"
    )
    # -B: Python's own cache of modules would be truncated as well, and stay so.
    done = subprocess.run(
        [sys.executable, "-B", program], check=False, capture_output=True, text=True, env={"PYTHONPATH": "."}
    )
    assert done.stdout == "42\n", done.stderr


def test_missing_gsplat_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(DependencyError, match=r"pip install gsplat==1\.5\.3"):
        with_gsplat.load_gsplat()


def test_colours_for_gsplat_use_its_basis_from_the_camera_centre(scene, evaluate_sh):
    from gsplat.cuda._torch_impl import _spherical_harmonics

    gsplat = SimpleNamespace(spherical_harmonics=_spherical_harmonics)
    center = torch.tensor([0.3, -0.2, 1.0])
    direction = torch.nn.functional.normalize(scene.means - center, dim=1)
    wanted = (evaluate_sh(scene.sh, direction) + 0.5).clamp(min=0)
    torch.testing.assert_close(with_gsplat.colors_from(gsplat, scene, center), wanted, rtol=1e-4, atol=1e-5)


@given(gaussians=st.integers(0, 20_000_000), views=st.integers(1, 400), at_once=st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_gpu_batches_cover_all_views_within_the_memory_bound(gaussians, views, at_once):
    batches = cuda._batches(gaussians, views, at_once)
    assert [i for batch in batches for i in range(views)[batch]] == list(range(views))
    sizes = [batch.stop - batch.start for batch in batches]
    assert all(size == 1 or at_once * size * gaussians <= cuda.MAX_PROJECTIONS for size in sizes)
    assert max(sizes) <= cuda.MAX_VIEWS <= MAX_BATCH_VIEWS
