"""The CUDA kernels, run as plain C++: sorting, tile lists, rasterization, projection."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import pytest
import torch

from benchmarks.scenes import room_cameras, room_scene
from flashworld.cameras import Cameras
from flashworld.errors import DependencyError
from flashworld.gaussians import Gaussians
from flashworld.kernels import program as programs
from flashworld.kernels.compilation import KERNELS, compiled
from flashworld.kernels.program import prepare
from flashworld.limits import MAX_RENDER_SIDE_PX
from flashworld.rendering import cuda, render, splats
from flashworld.rendering.splats import BATCHES_AT_ONCE, KEY_BITS, TILE, Renderer, camera_table, groups, take_turns
from flashworld.rendering.views import FAR, NEAR, build_views
from tests.reference_raster import psnr_db
from tests.unit.kernels_on_cpu import CpuProgram, have_compiler

needs_compiler = pytest.mark.skipif(not have_compiler(), reason="no g++")
HEIGHT, WIDTH = 50, 84
"""No multiples of a tile."""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return CpuProgram(tmp_path_factory.mktemp("kernels"))


class OneBatch(Renderer):
    def drawn(self, batch, *, want_depth):
        (found,) = self.render([batch], want_depth=want_depth)
        return found


def renderer(program, scene, cameras, background=(1.0, 1.0, 1.0), height=HEIGHT, width=WIDTH):
    views = build_views(cameras, height, width, background, 0.01, 1000.0)
    return OneBatch(program, scene, views, camera_table(views))


@needs_compiler
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_kernels_agree_with_the_cpu_renderer(program, degree):
    scene, cameras = room_scene(3000, seed=degree, sh_degree=degree), room_cameras(2, HEIGHT, WIDTH)
    found = renderer(program, scene, cameras, (0.2, 0.5, 1.0)).drawn(slice(0, 2), want_depth=True)
    wanted = render(scene, cameras, HEIGHT, WIDTH, background=(0.2, 0.5, 1.0), want_depth=True)
    for name in ("rgb", "alpha", "depth"):
        peak = max(1.0, float(getattr(wanted, name).max()))
        assert psnr_db(getattr(found, name) / peak, (getattr(wanted, name) / peak).numpy()) > 85, name


@needs_compiler
def test_a_batch_equals_its_views_rendered_alone(program, monkeypatch):
    scene, cameras = room_scene(2000), room_cameras(3, HEIGHT, WIDTH)
    whole = renderer(program, scene, cameras).drawn(slice(0, 3), want_depth=False)
    monkeypatch.setattr(splats, "MAX_HITS", 1)  # every view in its own group
    apart = renderer(program, scene, cameras).drawn(slice(0, 3), want_depth=False)
    alone = renderer(program, scene, cameras).drawn(slice(1, 2), want_depth=False)
    assert torch.equal(whole.rgb, apart.rgb)
    assert torch.equal(whole.rgb[1:2], alone.rgb)
    assert whole.depth is None


@needs_compiler
def test_gaussians_behind_opaque_tiles_are_not_listed_and_the_result_is_unchanged(program, monkeypatch):
    scene, cameras = room_scene(4000, seed=5), room_cameras(2, HEIGHT, WIDTH)
    solid = replace(scene, scales=4 * scene.scales, opacities=scene.opacities.clamp(min=0.9))
    listed: list[int] = []
    draw = Renderer._draw

    def counted(self, projected, slab, counts, hits, totals, group, count, *rest, **options):
        listed.append(count)
        draw(self, projected, slab, counts, hits, totals, group, count, *rest, **options)

    monkeypatch.setattr(Renderer, "_draw", counted)
    slabs = renderer(program, solid, cameras).drawn(slice(0, 2), want_depth=True)
    in_slabs = sum(listed)
    listed.clear()
    monkeypatch.setattr(splats, "SLABS", ((0, 256),))
    whole = renderer(program, solid, cameras).drawn(slice(0, 2), want_depth=True)
    assert in_slabs < 0.8 * sum(listed)
    for name in ("rgb", "alpha", "depth"):
        assert torch.equal(getattr(slabs, name), getattr(whole, name))


@needs_compiler
def test_views_that_become_opaque_in_different_slabs_are_drawn_as_if_alone(program, monkeypatch):
    """The first view is covered by its nearest splats, the second looks past the side of the room, the third at empty space."""
    room, cameras = room_scene(6000, seed=3), room_cameras(3, HEIGHT, WIDTH)
    solid = replace(room, scales=4 * room.scales, opacities=room.opacities.clamp(min=0.9))
    facing = Cameras(cameras.quats_wxyz[:1].expand(3, 4), cameras.positions[:1] + torch.tensor([[0.0, 0, 0], [7, 0, 0], [50, 0, 0]]),
                     cameras.intrinsics)  # fmt: skip
    found = renderer(program, solid, facing).drawn(slice(0, 3), want_depth=True)
    monkeypatch.setattr(splats, "SLABS", ((0, 256),))
    wanted = renderer(program, solid, facing).drawn(slice(0, 3), want_depth=True)
    covered = (found.alpha > 0.9).float().mean((1, 2))
    assert covered[0] > 0.99 and 0.05 < covered[1] < 0.95 and covered[2] < 0.05
    for name in ("rgb", "alpha", "depth"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))


def test_tile_rows_of_the_largest_picture_fit():
    text = (files("flashworld.kernels") / "source/tiles.cu").read_text()
    assert f"MAX_TILE_ROWS = {MAX_RENDER_SIDE_PX // TILE};" in text


def test_two_jobs_at_a_time_take_turns_and_results_stay_in_order():
    log = []

    def job(name):
        for part in range(2):
            log.append(f"{name}{part}")
            yield
        log.append(f"{name}2")
        return name

    assert list(take_turns((job(name) for name in "abc"), 2)) == list("abc")
    assert log == "a0 b0 a1 b1 a2 c0 b2 c1 c2".split()


@needs_compiler
def test_non_finite_and_transparent_gaussians_are_left_out(program):
    scene, cameras = room_scene(2000), room_cameras(1, HEIGHT, WIDTH)
    bad = Gaussians(*(getattr(scene, n).clone() for n in ("means", "quats_wxyz", "scales", "opacities", "sh")))
    bad.means[0::10] = torch.nan
    bad.scales[1::10] = torch.inf
    bad.opacities[2::10] = torch.nan
    bad.quats_wxyz[3::10] = torch.inf
    bad.sh[4::10, 3, 1] = torch.nan
    bad.opacities[5::10] = 0.003
    kept = torch.arange(2000) % 10 > 5
    found = renderer(program, bad, cameras).drawn(slice(0, 1), want_depth=False)
    assert torch.equal(found.rgb, renderer(program, scene[kept], cameras).drawn(slice(0, 1), want_depth=False).rgb)


@needs_compiler
def test_a_scene_out_of_view_leaves_the_background(program):
    scene, cameras = room_scene(50), room_cameras(2, HEIGHT, WIDTH)
    behind = replace(scene, means=scene.means + torch.tensor([0.0, 0.0, 100.0]))
    found = renderer(program, behind, cameras, (0.25, 0.5, 0.75)).drawn(slice(0, 2), want_depth=True)
    assert torch.equal(found.rgb, torch.tensor([0.25, 0.5, 0.75]).expand(2, HEIGHT, WIDTH, 3))
    assert not found.alpha.any()
    assert not found.depth.any()


@needs_compiler
@pytest.mark.parametrize(
    ("count", "bits", "dtype"), [(1, 8, torch.int16), (9000, 11, torch.int16), (5000, 20, torch.int32)]
)
def test_sort_is_stable(program, count, bits, dtype):
    keys = torch.randint(2 ** min(bits, 15), (1, count), dtype=dtype, generator=torch.Generator().manual_seed(count))
    values = torch.arange(count, dtype=torch.int32)[None]
    order = torch.sort(keys[0], stable=True)
    sorter = renderer(program, room_scene(1), room_cameras(1, HEIGHT, WIDTH))
    found, moved = sorter._sort(keys.clone(), values.clone(), bits, lengths=None, want_keys=True)
    assert torch.equal(found[0], order.values)
    assert torch.equal(moved[0].long(), order.indices)


HIDDEN = -1
"""All ones, as an int32."""


@needs_compiler
def test_rows_are_sorted_separately_and_hidden_keys_dropped(program):
    keys = torch.randint(2**31 - 1, (3, 9000), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    keys[0, ::3] = HIDDEN
    keys[1] = HIDDEN
    lengths = torch.full((3,), -1, dtype=torch.int32)
    sorter = renderer(program, room_scene(1), room_cameras(1, HEIGHT, WIDTH))
    _, order = sorter._sort(keys.clone(), None, KEY_BITS, lengths=lengths, want_keys=False)
    assert lengths.tolist() == [6000, 0, 9000]
    for row in range(3):
        wanted = torch.sort(keys[row].long() & 0xFFFFFFFF, stable=True).indices[: lengths[row]] + row * 9000
        assert torch.equal(order[row, : lengths[row]].long(), wanted)


@needs_compiler
@pytest.mark.parametrize("depth", [0.011, 1.7, 990.0])
def test_neighbouring_depths_are_in_order_and_equal_ones_in_that_of_the_gaussians(program, depth):
    steps = torch.tensor([3, 1, 0, 1, 2, 0], dtype=torch.int32)
    depths = (torch.tensor(depth).view(torch.int32) + steps).view(torch.float32)
    ones, facing = torch.ones(len(depths)), torch.tensor([1.0, 0, 0, 0])
    means = depths[:, None] * torch.tensor([0.0, 0, -1])
    scene = Gaussians(
        means,
        facing.repeat(len(depths), 1),
        1e-3 * depths[:, None].repeat(1, 3),
        0.9 * ones,
        torch.zeros(len(depths), 1, 3),
    )
    camera = Cameras(facing[None], torch.zeros(1, 3), torch.tensor([[1.0, 1.0, 0.5, 0.5]]))
    views = build_views(camera, HEIGHT, WIDTH, (1.0, 1.0, 1.0), NEAR, FAR)
    renderer = Renderer(program, scene, views, camera_table(views))
    projected = renderer._project(renderer.cameras)
    assert projected.order[0, : projected.lengths[0]].tolist() == [2, 5, 1, 3, 4, 0]


@needs_compiler
def test_the_renderer_draws_with_the_kernels_in_batches(program, monkeypatch):
    scene, cameras = room_scene(2000), room_cameras(3, HEIGHT, WIDTH)
    views = build_views(cameras, HEIGHT, WIDTH, (1.0, 1.0, 1.0), 0.01, 1000.0)
    monkeypatch.setattr(cuda, "kernels_on", lambda device: program)
    monkeypatch.setattr(cuda, "MAX_PROJECTIONS", 2 * BATCHES_AT_ONCE * len(scene))
    flat = Gaussians.from_vectors(scene.to_vectors())  # strided
    found = cuda.render(flat, views, want_depth=True)
    whole = renderer(program, scene, cameras).drawn(slice(0, 3), want_depth=True)
    for name in ("rgb", "alpha", "depth"):
        assert torch.equal(getattr(found, name), getattr(whole, name))
    streamed = list(cuda.stream(scene, views, want_depth=False))
    assert [len(part.rgb) for part in streamed] == [2, 1]
    assert torch.equal(torch.cat([part.rgb for part in streamed]), whole.rgb)


def use_gsplat(*_):
    raise DependencyError("gsplat was asked for")


@pytest.mark.parametrize("why", ["gradients", "degree 4", "no kernels"])
def test_gsplat_renders_what_the_kernels_do_not_support(monkeypatch, why):
    scene, views = room_scene(20), build_views(room_cameras(1, 32, 32), 32, 32, (1.0, 1.0, 1.0), 0.01, 1000.0)
    monkeypatch.setattr(cuda, "load_gsplat", use_gsplat)
    monkeypatch.setattr(cuda, "kernels_on", lambda device: "kernels" if why != "no kernels" else None)
    if why == "gradients":
        scene.sh.requires_grad_()
    if why == "degree 4":
        scene = replace(scene, sh=torch.zeros(20, 25, 3))
    with pytest.raises(DependencyError, match="gsplat was asked for"):
        cuda.render(scene, views, want_depth=False)


def test_unavailable_kernels_are_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(programs, "CudaProgram", use_gsplat)
    programs._program_on.cache_clear()
    assert [programs.kernels_on(torch.device("cuda", 7)) for _ in range(2)] == [None, None]
    assert caplog.text.count("falling back to slower ones") == 1
    assert programs.kernels_on(torch.device("cpu")) is None
    programs._program_on.cache_clear()


def test_an_unknown_architecture_gives_one_sentence():
    pytest.importorskip("cuda.bindings")
    with pytest.raises(DependencyError, match="sm_1"):
        compiled("sm_1")


@pytest.mark.parametrize(("capability", "reason"), [((9, 0), None), ((0, 1), "sm_01")])
def test_kernels_are_prepared_before_the_device_is_present(monkeypatch, capability, reason):
    pytest.importorskip("cuda.bindings")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = prepare("cuda")
    assert found is None if reason is None else reason in found


def test_groups_stay_within_the_limit():
    assert groups([3, 3, 3, 9, 0, 1], 7) == [slice(0, 2), slice(2, 3), slice(3, 4), slice(4, 6)]
    assert groups([0], 7) == [slice(0, 1)]


@pytest.mark.parametrize("arch", ["sm_90", "sm_120"])
def test_kernels_compile_without_a_gpu(arch):
    pytest.importorskip("cuda.bindings")
    binary, names = compiled(arch)
    assert len(binary) > 10_000
    assert set(names) == set(KERNELS)


def test_preparing_keeps_nvrtc_out_of_a_process_that_will_fork():
    """NVRTC initialises CUDA: a worker forked from such a process cannot use the GPU."""
    pytest.importorskip("cuda.bindings")
    program = """
import torch
torch.cuda.get_device_capability = lambda device: (9, 0)
from flashworld.kernels import program
assert program.prepare("cuda") is None
binary, names = program._made["sm_90"]
assert len(binary) > 10_000 and len(names) == len(program.KERNELS)
import sys
assert "cuda.bindings.nvrtc" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
