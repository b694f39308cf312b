"""The public API's answers, without a server: a service that makes no scene, and real requests."""

from __future__ import annotations

import json

import pytest

from flashworld.inputs import VideoSettings
from tests.unit.test_lenses import MOVED, POSE
from ui.api import path_form, run_call
from ui.contract import Defaults, Result
from ui.parts.run import SceneSettings
from ui.sessions import Sessions

SIZE = SceneSettings(2, 64, 96, VideoSettings(fps=4, seconds=1))


class NoScene:
    """A service whose results have no files."""

    defaults = Defaults()

    def generate(self, request, *, session_dir):
        yield Result({}, request.seed, 0, request.cameras, request.height, request.width)


def answered(tmp_path, path: str = "orbit_right", path_json: object = None) -> dict:
    text = "" if path_json is None else json.dumps(path_json)
    call = (lambda: path_form(path, "", text)), SIZE, 60.0, 0, 1
    return run_call(NoScene(), Sessions(tmp_path), None, "a room", *call)


def test_an_answer_says_what_was_changed_or_assumed_about_the_path(tmp_path):
    frames = [{"file_path": f"{9 - i}.png", "transform_matrix": pose} for i, pose in enumerate((POSE, MOVED))]
    answer = answered(tmp_path, path_json={"frames": frames, "k1": 0.1})
    assert answer["notes"] == [
        "the file's cameras were sorted by the names of their images",
        "lens distortion is ignored (k1 = 0.1): cameras are treated as pinholes",
        "the path has no lens: using a vertical field of view of 60 degrees",
    ]
    json.dumps(answer)


def test_an_answer_without_remarks_has_an_empty_list(tmp_path):
    assert answered(tmp_path)["notes"] == []


@pytest.mark.parametrize("name", ["generate", "generate_from_text"])
def test_the_descriptions_of_the_tools_name_the_notes(name, tmp_path, monkeypatch):
    from ui import api

    found = {}
    monkeypatch.setattr(api.gr, "api", lambda function, **_: found.update({function.__name__: function.__doc__}))
    service = NoScene()
    service.concurrency = 1
    api.connect_api(service, Sessions(tmp_path))
    assert "notes" in found[name]
