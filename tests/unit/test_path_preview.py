"""Previews of camera paths: they show every preset, distinguish left from right, and work for any path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.errors import TrajectoryError
from flashworld.trajectories import PRESETS, build_trajectory
from flashworld.trajectories.animation import FADE_FRAMES, HOLD_FRAMES
from flashworld.trajectories.preview import animate_path, draw_path, frusta_lines

LENS = intrinsics_from_fov(60, 480, 704)
SMALL = {"size": (44, 64), "frames": 6}


def build(name: str, **options: object) -> Cameras:
    return build_trajectory(name, frames=24, intrinsics=LENS, **options)


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


@pytest.mark.parametrize("name", [*PRESETS])
def test_every_presets_animation_moves(name: str) -> None:
    views = animate_path(build(name), **SMALL)
    assert {(view.mode, view.size) for view in views} == {("RGB", (64, 44))}
    assert max(difference(views[0], view) for view in views) > 2
    rest = 0 if PRESETS[name].closed else HOLD_FRAMES + FADE_FRAMES
    assert len(views) == 6 + rest


def test_animations_loop_without_a_jump() -> None:
    views = animate_path(build("orbit_right"), size=(44, 64), frames=16)
    jump = difference(views[15], views[0])
    assert all(difference(a, b) < 0.5 * jump for a, b in zip(views, [*views[1:], views[0]], strict=True))
    views = animate_path(build("lemniscate"), size=(44, 64), frames=16)
    steps = [difference(a, b) for a, b in zip(views, [*views[1:], views[0]], strict=True)]
    assert steps[-1] < 1.5 * max(steps[:-1])


def test_opposite_moves_look_different() -> None:
    for one, other in (
        ("left", "right"),
        ("orbit_left", "orbit_right"),
        ("pan_left", "pan_right"),
        ("zoom_in", "zoom_out"),
    ):
        assert difference(animate_path(build(one), **SMALL)[5], animate_path(build(other), **SMALL)[5]) > 3
        assert difference(draw_path(build(one)), draw_path(build(other))) > 0.5


def test_pictures_do_not_depend_on_where_the_path_starts() -> None:
    start = Cameras(torch.tensor([[0.5, -0.5, 0.5, 0.5]]), torch.tensor([[3.0, 1.0, -2.0]]), LENS[None])
    here, there = build("orbit_up"), build("orbit_up", start=start)
    assert difference(draw_path(here), draw_path(there)) < 0.1
    assert difference(animate_path(here, **SMALL)[3], animate_path(there, **SMALL)[3]) < 0.1


def test_the_moving_camera_sees_what_it_should() -> None:
    """The gate keeps its size under a dolly zoom, and the horizon tips when the camera rolls."""
    first, *_, last = animate_path(build("dolly_zoom_in"), size=(110, 160), frames=8)[:8]
    middle = (slice(40, 70), slice(0, 160))

    def gate(view: Image.Image) -> np.ndarray:
        pixels = np.asarray(view, dtype=int)[middle]
        columns = np.nonzero(((pixels[..., 0] - pixels[..., 2]) > 70).mean(axis=0) > 0.8)[0]
        return columns[[0, -1]]

    assert np.abs(gate(first) - gate(last)).max() <= 3
    rolled = np.asarray(animate_path(build("roll", angle_deg=180.0), size=(44, 64), frames=3)[2], dtype=int)
    assert rolled[-1, 0, 2] - rolled[-1, 0, 0] > rolled[0, 0, 2] - rolled[0, 0, 0]  # blue sky at the bottom


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PRESETS])
def test_every_presets_drawing_has_lines(name: str, theme: str) -> None:
    image = draw_path(build(name), size=(110, 160), theme=theme)
    assert (image.mode, image.size) == ("RGB", (160, 110))
    pixels = np.asarray(image, dtype=int)
    assert (np.ptp(pixels, axis=2) > 40).mean() > 0.01  # coloured lines
    assert (np.asarray(image.convert("L")).mean() < 90) == (theme == "dark")


def unusual_paths() -> dict[str, Cameras]:
    source = torch.Generator().manual_seed(5)
    still = Cameras(torch.tensor([[1.0, 0, 0, 0]]).expand(3, 4), torch.zeros(3, 3), LENS.expand(3, 4))
    wild = Cameras(torch.randn(40, 4, generator=source), 1e5 * torch.randn(40, 3, generator=source), LENS.expand(40, 4))
    pair = Cameras(
        torch.tensor([[2.0, 0, 0, 0], [0, 0, 0.1, 0]]), torch.tensor([[0.0, 0, 0], [0, -9, 0]]), LENS.expand(2, 4)
    )
    return {"still": still, "wild": wild, "pair": pair}


@pytest.mark.parametrize("name", ["still", "wild", "pair"])
def test_unusual_paths_can_be_drawn(name: str) -> None:
    cameras = unusual_paths()[name]
    assert draw_path(cameras, size=(60, 90)).size == (90, 60)
    assert len(animate_path(cameras, **SMALL)) >= 6


def test_a_single_camera_cannot_be_drawn() -> None:
    one = build("forward")[0]
    for draw in (draw_path, animate_path):
        with pytest.raises(TrajectoryError, match="at least 2 cameras, got 1"):
            draw(one)


def test_frustum_lines_end_at_the_corners_of_the_picture() -> None:
    lens = torch.tensor([[0.8, 1.2, 0.4, 0.55]])
    camera = Cameras(torch.tensor([[0.9, 0.1, -0.3, 0.2]]), torch.tensor([[1.0, 2.0, 3.0]]), lens)
    segments = frusta_lines(camera, depth=0.5)
    assert segments.shape == (1, 10, 2, 3)
    assert segments.dtype == np.float32
    assert np.allclose(segments[0, :4, 0], [1, 2, 3])
    corners = torch.from_numpy(segments[0, :4, 1]) - camera.positions
    local = corners @ camera.c2w[0, :3, :3]
    assert torch.allclose(local[:, 2], torch.tensor(-0.5), atol=1e-6)
    u = lens[0, 2] + lens[0, 0] * local[:, 0] / 0.5
    v = lens[0, 3] - lens[0, 1] * local[:, 1] / 0.5
    assert torch.allclose(u, torch.tensor([0.0, 1, 1, 0]), atol=1e-5)
    assert torch.allclose(v, torch.tensor([0.0, 0, 1, 1]), atol=1e-5)
    assert np.allclose(segments[0, 8, 1], segments[0, 9, 0])  # the roof has one tip
