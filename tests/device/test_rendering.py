"""Both GPU renderers, our kernels and gsplat, against the CPU renderer and the float64 reference; batches; gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.scenes import room_cameras, room_scene
from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.rendering import cuda, iter_frames, render
from tests.reference_raster import psnr_db, render_reference

pytestmark = pytest.mark.requires_cuda
HEIGHT, WIDTH = 240, 352
ENOUGH_DB = 80.0


@pytest.fixture(params=["own kernels", "gsplat"])
def either(request, monkeypatch) -> str:
    """Renders with each of the two renderers."""
    if request.param == "gsplat":
        monkeypatch.setattr(cuda, "kernels_on", lambda device: None)
    else:
        monkeypatch.setattr(cuda, "load_gsplat", lambda: pytest.fail("gsplat was loaded"))
    return request.param


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return room_cameras(3, HEIGHT, WIDTH)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gpu_and_cpu_renderer_and_reference_agree(either, cameras, degree):
    scene = room_scene(20_000, seed=degree, sh_degree=degree)
    lens = torch.tensor([[0.71, 1.03, 0.46, 0.55], [1.3, 0.9, 0.61, 0.38], [0.7, 1.0, 0.5, 0.5]])
    cameras = replace(cameras, intrinsics=lens.expand(len(cameras), 4))
    on_gpu = render(scene.to("cuda"), cameras, HEIGHT, WIDTH, want_depth=True)
    on_cpu = render(scene, cameras, HEIGHT, WIDTH, want_depth=True)
    exact = render_reference(scene, cameras, HEIGHT, WIDTH)
    assert on_gpu.rgb.is_cuda
    for name, reference in zip(("rgb", "alpha", "depth"), exact, strict=True):
        peak = max(1.0, float(np.max(reference)))
        gpu, cpu = getattr(on_gpu, name).cpu() / peak, getattr(on_cpu, name) / peak
        assert psnr_db(gpu, reference / peak) >= ENOUGH_DB, name
        assert psnr_db(cpu, reference / peak) >= ENOUGH_DB, name
        assert psnr_db(gpu, cpu) >= ENOUGH_DB, name


@pytest.mark.parametrize("want_depth", [False, True])
def test_batches_do_not_change_the_result(either, monkeypatch, want_depth):
    scene, cameras = room_scene(20_000).to("cuda"), room_cameras(7, HEIGHT, WIDTH)
    together = render(scene, cameras, HEIGHT, WIDTH, want_depth=want_depth)
    monkeypatch.setattr(cuda, "MAX_PROJECTIONS", 6 * len(scene))  # two or three batches
    apart = render(scene, cameras, HEIGHT, WIDTH, want_depth=want_depth)
    assert torch.equal(together.rgb, apart.rgb)
    assert torch.equal(together.alpha, apart.alpha)
    assert together.depth is None if not want_depth else torch.equal(together.depth, apart.depth)


def test_views_of_a_flat_tensor_render_like_copies(either, cameras):
    scene = room_scene(5000).to("cuda")
    flat = Gaussians.from_vectors(scene.to_vectors())
    assert torch.equal(render(flat, cameras, HEIGHT, WIDTH).rgb, render(scene, cameras, HEIGHT, WIDTH).rgb)


def test_gradients_reach_every_field(cameras):
    scene = room_scene(5000).to("cuda")
    fields = [getattr(scene, n).clone().requires_grad_() for n in ("means", "quats_wxyz", "scales", "opacities", "sh")]
    got = render(Gaussians(*fields), cameras, HEIGHT, WIDTH, want_depth=True)
    (got.rgb.square().mean() + got.alpha.mean() + got.depth.mean()).backward()
    for field in fields:
        assert torch.isfinite(field.grad).all()
        assert (field.grad != 0).any()


def test_gradient_of_colour_matches_a_finite_difference():
    scene, camera = room_scene(2000, sh_degree=0), room_cameras(1, 64, 96)
    sh = scene.sh.to("cuda").requires_grad_()
    on_gpu = scene.to("cuda")

    def loss(values: torch.Tensor) -> torch.Tensor:
        changed = Gaussians(on_gpu.means, on_gpu.quats_wxyz, on_gpu.scales, on_gpu.opacities, values)
        return render(changed, camera, 64, 96).rgb.double().square().sum()

    (gradient,) = torch.autograd.grad(loss(sh), sh)
    direction = torch.randn(sh.shape, generator=torch.Generator().manual_seed(0)).to("cuda")
    step = 1e-2
    with torch.no_grad():
        difference = (loss(sh + step * direction) - loss(sh - step * direction)) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-2)


@pytest.mark.parametrize("field", ["means", "quats_wxyz", "scales", "opacities", "sh"])
def test_gaussians_that_are_not_finite_are_left_out_and_get_no_gradient(monkeypatch, cameras, field):
    monkeypatch.setattr(cuda, "kernels_on", lambda device: None)
    scene, broken = room_scene(2000), room_scene(50, seed=9)
    getattr(broken, field).view(50, -1)[:, -1] = float("nan")
    names = ("means", "quats_wxyz", "scales", "opacities", "sh")
    both = [torch.cat([getattr(broken, n), getattr(scene, n)]).to("cuda").requires_grad_() for n in names]
    got = render(Gaussians(*both), cameras, HEIGHT, WIDTH)
    assert torch.equal(got.rgb, render(scene.to("cuda"), cameras, HEIGHT, WIDTH).rgb)
    got.rgb.sum().backward()
    for tensor in both:
        assert torch.isfinite(tensor.grad[50:]).all()


def test_empty_scene_shows_the_background(cameras):
    empty = room_scene(10).to("cuda")[:0]
    got = render(empty, cameras, 32, 48, background=(0.1, 0.2, 0.3), want_depth=True)
    assert (got.rgb == torch.tensor([0.1, 0.2, 0.3], device="cuda")).all()
    assert (got.alpha == 0).all()


@pytest.mark.parametrize("depth", [False, True])
def test_frames_of_gpu_and_cpu_agree(either, depth):
    scene, cameras = room_scene(20_000), room_cameras(9, HEIGHT, WIDTH)
    gpu = np.stack(list(iter_frames(scene.to("cuda"), cameras, HEIGHT, WIDTH, depth=depth))).astype(int)
    cpu = np.stack(list(iter_frames(scene, cameras, HEIGHT, WIDTH, depth=depth))).astype(int)
    assert gpu.shape == (9, HEIGHT, WIDTH, 3)
    assert (np.abs(gpu - cpu) <= 1).mean() > 0.999


@pytest.mark.parametrize("field", ["means", "quats_wxyz", "scales", "opacities", "sh"])
def test_own_kernels_leave_out_what_is_not_finite(cameras, field):
    scene, broken = room_scene(2000), room_scene(50, seed=9)
    getattr(broken, field).view(50, -1)[:, -1] = float("nan")
    names = ("means", "quats_wxyz", "scales", "opacities", "sh")
    both = Gaussians(*(torch.cat([getattr(broken, n), getattr(scene, n)]).to("cuda") for n in names))
    assert torch.equal(render(both, cameras, HEIGHT, WIDTH).rgb, render(scene.to("cuda"), cameras, HEIGHT, WIDTH).rgb)


def test_own_kernels_are_deterministic():
    scene, cameras = room_scene(300_000).to("cuda"), room_cameras(8, 480, 704)
    first = render(scene, cameras, 480, 704, want_depth=True)
    for _ in range(3):
        again = render(scene, cameras, 480, 704, want_depth=True)
        assert torch.equal(again.rgb, first.rgb)
        assert torch.equal(again.depth, first.depth)


def test_both_gpu_renderers_agree_at_full_size(monkeypatch):
    scene, cameras = room_scene(4_055_040).to("cuda"), room_cameras(4, 480, 704)
    own = render(scene, cameras, 480, 704)
    monkeypatch.setattr(cuda, "kernels_on", lambda device: None)
    other = render(scene, cameras, 480, 704)
    assert psnr_db(own.rgb.cpu(), other.rgb.cpu().numpy()) >= ENOUGH_DB
