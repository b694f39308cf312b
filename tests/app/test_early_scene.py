"""A large scene is shown before its large files are written."""

from __future__ import annotations

import pytest
import torch

from flashworld.inputs import VideoSettings, build_request
from flashworld.progress import Progress
from flashworld.serving import transfer
from flashworld.serving.light import light_scene

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="importing the app would load the full model")
FEW = 400
"""What counts as small enough for a phone in this test."""


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["video", "no video"])
def test_scene_comes_early_with_what_the_viewer_needs_then_with_the_video_then_complete(monkeypatch, tmp_path, seconds):
    import app

    monkeypatch.setattr(transfer, "light_scene", lambda result: light_scene(result, FEW))
    video = VideoSettings(fps=2, seconds=seconds or None, enabled=bool(seconds))
    request = build_request(text="grass", frames=2, height=64, width=64, seed=1, video=video)
    steps = list(app.Service(app.MODEL).generate(request, session_dir=tmp_path))
    early, *with_video, last = (step for step in steps if not isinstance(step, Progress))
    assert not early.complete and early.files.keys() == {"path", "poster", "viewer"}
    assert ["video" in step.files and not step.complete for step in with_video] == [True] * bool(seconds)
    assert last.complete and last is steps[-1] and {"ply", "spz", "zip"} <= last.files.keys()
    assert 0 < last.light_gaussians <= FEW < last.gaussians
    following = steps[steps.index(early) + 1 :]
    assert any(isinstance(step, Progress) for step in following), "the page hears of the files that are still written"
    assert {**vars(early), "files": None, "complete": True} == {**vars(last), "files": None}


def test_scene_small_enough_for_a_phone_comes_once(tmp_path):
    import app

    video = VideoSettings(fps=2, seconds=1.0)
    request = build_request(text="grass", frames=2, height=64, width=64, seed=1, video=video)
    steps = list(app.Service(app.MODEL).generate(request, session_dir=tmp_path))
    (result,) = (step for step in steps if not isinstance(step, Progress))
    assert result.complete and "viewer" not in result.files
