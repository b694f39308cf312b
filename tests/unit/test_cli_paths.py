"""`render` and `convert --count` along path files: all their cameras, the right world, and never a blank picture in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from flashworld.cameras import intrinsics_from_fov
from flashworld.cli import main
from flashworld.gaussians import Gaussians
from flashworld.io import video
from flashworld.io.scenes import write_scene
from flashworld.trajectories.json_forms import trajectory_to_json
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
