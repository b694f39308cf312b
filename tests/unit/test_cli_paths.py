"""`render` and `convert --count` along path files: all their cameras, the right world, and never a blank picture in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from flashworld.cameras import intrinsics_from_fov, normalize
from flashworld.cli import main
from flashworld.gaussians import Gaussians
from flashworld.io import video
from flashworld.io.scenes import write_scene
from flashworld.trajectories import from_first_camera, resample
from flashworld.trajectories.json_forms import parse_trajectory, trajectory_to_json
from flashworld.trajectories.resolve import build_path

HEIGHT, WIDTH = 32, 48
SIZE = ("--size", f"{HEIGHT}x{WIDTH}", "--quiet", "--device", "cpu")


def chan(folder: Path, count: int, *, height: float = 0.0, yaw_deg: float = 0.0, shake: float = 0.0) -> Path:
    """A camera at (0, height, 5), turned by `yaw_deg`, that sways by `shake` units with a period of ten frames."""
    file = folder / f"camera{count}.chan"
    rows = [f"{i} {shake * math.sin(math.pi * i / 5)} {height} {5 - 0.001 * i} 0 {yaw_deg} 0 60" for i in range(count)]
    file.write_text("\n".join(rows))
    return file


@pytest.fixture()
def ball(tmp_path) -> Path:
    """A black ball five units in front of the origin's camera."""
    scene = Gaussians(
        torch.tensor([[0.0, 0, -5]]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.6), torch.tensor([0.99]),
        torch.full((1, 1, 3), -1.7),
    )  # fmt: skip
    write_scene(scene, tmp_path / "ball.ply")
    return tmp_path / "ball.ply"


@pytest.fixture()
def rendered(monkeypatch, tmp_path):
    """A function (scene, *options) -> the frames that the encoder receives, grey. (N, H, W)"""

    def run(scene: Path, *words: str) -> np.ndarray:
        taken: list[np.ndarray] = []
        monkeypatch.setattr(video, "write_video", lambda frames, *args, **more: taken.extend(frames))
        assert main(["render", str(scene), "--out", str(tmp_path / "v.mp4"), *SIZE, *words]) == 0
        return np.stack(taken).mean(axis=-1)

    return run


def test_render_shows_every_camera_of_a_file(tmp_path, ball, rendered, capsys):
    path = chan(tmp_path, 200, shake=1.0)
    frames = rendered(ball, "--trajectory", str(path))
    assert len(frames) == 200
    middles = [float((255 - f).sum(axis=0) @ np.arange(WIDTH) / (255 - f).sum()) for f in frames]
    focal_px = 0.5 * HEIGHT / math.tan(math.radians(30))
    wanted = [WIDTH / 2 - 0.5 - focal_px * math.sin(math.pi * i / 5) / (10 - 0.001 * i) for i in range(200)]
    assert np.abs(np.array(middles) - wanted).max() < 0.25, "the whole sway, 2.8 pixels, is there"
    assert "hardly anything" not in capsys.readouterr().err


def test_a_file_of_few_cameras_still_gives_six_seconds(tmp_path, ball, capsys):
    words = ["render", str(ball), "--out", str(tmp_path / "v.mp4"), "--json", "--trajectory", str(chan(tmp_path, 3))]
    assert main([*words, *SIZE, "--fps", "5"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 30


def test_a_length_that_skips_cameras_is_said(tmp_path, ball, rendered, capsys):
    frames = rendered(ball, "--trajectory", str(chan(tmp_path, 40)), "--seconds", "1", "--fps", "10")
    assert len(frames) == 10
    assert "note: 10 frames do not show all 40 cameras of the path" in capsys.readouterr().err


def test_converted_paths_keep_their_cameras(tmp_path):
    assert main(["trajectory", "convert", str(chan(tmp_path, 40)), "--out", str(tmp_path / "p.json"), "--quiet"]) == 0
    assert len(json.loads((tmp_path / "p.json").read_text())["cameras"]) == 40


def test_a_path_without_a_count_has_its_own(tmp_path):
    lens = intrinsics_from_fov(60, HEIGHT, WIDTH)
    sizes = {"height": HEIGHT, "width": WIDTH, "intrinsics": lens}
    preset, _ = build_path("forward", {}, frames=None, **sizes)
    assert len(preset) == 24
    again, _ = build_path(trajectory_to_json(preset[:7], height=HEIGHT, width=WIDTH), {}, frames=None, **sizes)
    assert torch.equal(again.to_vectors(), preset[:7].to_vectors())


def test_a_generated_scene_is_seen_by_the_path_it_was_generated_from(tmp_path, ball, rendered, capsys):
    """Its world is that of the first camera, which in the file stands elsewhere and looks elsewhere."""
    path = chan(tmp_path, 12, height=40, yaw_deg=150)
    blank = rendered(ball, "--trajectory", str(path))
    said = capsys.readouterr().err
    assert blank.min() == 255
    assert said.startswith("note: hardly anything of the scene is in view") and "--from-first-camera" in said
    seen = rendered(ball, "--trajectory", str(path), "--from-first-camera")
    assert seen.min(axis=(1, 2)).max() < 60
    assert capsys.readouterr().err == ""


def test_convert_says_that_its_views_see_nothing(tmp_path, make_scene, capsys):
    write_scene(make_scene(300), tmp_path / "a.ply")
    path = chan(tmp_path, 12, height=4000)
    words = ["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.ply"), "--count", "100", "--trajectory", str(path)]
    assert main([*words, "--quiet"]) == 0
    assert "note: hardly anything of the scene is in view" in capsys.readouterr().err
    assert main([*words, "--quiet", "--from-first-camera"]) == 0
    assert capsys.readouterr().err == ""


def test_a_preset_that_sees_nothing_is_said_too(tmp_path, rendered, capsys):
    scene = Gaussians(
        torch.tensor([[0.0, 0, 5]]), torch.tensor([[1.0, 0, 0, 0]]), torch.full((1, 3), 0.1), torch.tensor([0.9]),
        torch.zeros(1, 1, 3),
    )  # fmt: skip
    write_scene(scene, tmp_path / "behind.ply")
    rendered(tmp_path / "behind.ply", "--trajectory", "forward", "--seconds", "1", "--fps", "5")
    assert "a preset starts at the scene's origin" in capsys.readouterr().err


def test_moved_paths_are_those_of_the_result(tmp_path):
    """Bit by bit what generation computes from the same cameras."""
    data = json.loads((Path(__file__).parents[2] / "examples" / "simple_trajectory.json").read_text())
    cameras = resample(parse_trajectory(data, height=480, width=704, fov_y_deg=60.0).cameras, 24)
    normalized, normalization = normalize(cameras)
    saved = normalization.to_scene_units(normalized)
    moved = from_first_camera(cameras)
    assert torch.equal(moved.to_vectors(), saved.to_vectors())
    torch.testing.assert_close(moved.c2w[0], torch.eye(4), atol=1e-6, rtol=0)
