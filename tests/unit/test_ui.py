"""The page's parts that need no browser."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flashworld.errors import InputError, TrajectoryError, WriteError
from flashworld.progress import STAGE_TITLES, Progress
from flashworld.trajectories import PRESETS
from ui import examples, share
from ui.components import thumbnails
from ui.components.pictures import crop_html, remarks_html
from ui.components.progress_view import message_html, plain_text, progress_html
from ui.events.camera_path import PathForm, check_recording, parse_path_text
from ui.events.path_files import files_as_text
from ui.events.waiting import about, place_text, seconds_left
from ui.parts.run import read_settings
from ui.sessions import LONGEST_SECONDS, Sessions

KEY = {"position": [0, 0, 0], "quat_wxyz": [1, 0, 0, 0], "fov_y_deg": 60}
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["keyframes", "position", "mode"]), inner)
    ),
    max_leaves=12,
)


@given(data=anything)
@settings(max_examples=60, deadline=None)
def test_any_recording_is_accepted_or_refused_with_a_message(data):
    try:
        assert set(check_recording(data)) == {"keyframes", "mode", "loop", "origin"}
    except TrajectoryError as error:
        assert str(error)


def test_recording_becomes_a_path_and_one_keyframe_does_not():
    moved = {**KEY, "position": [1, 0, 0]}
    form = PathForm("record", "orbit_right", recording=check_recording({"keyframes": [KEY, moved], "mode": "linear"}))
    cameras, _ = form.cameras(5, 96, 128, 60.0)
    np.testing.assert_allclose(cameras.positions[:, 0], [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    with pytest.raises(TrajectoryError, match="at least 2"):
        PathForm("record", "", recording=check_recording({"keyframes": [KEY]})).trajectory()


def test_too_many_keyframes_and_invalid_numbers_are_refused():
    with pytest.raises(TrajectoryError, match="at most 64"):
        check_recording({"keyframes": [KEY] * 65})
    form = PathForm("record", "", recording=check_recording({"keyframes": [{**KEY, "position": ["a", 0, 0]}, KEY]}))
    with pytest.raises(TrajectoryError, match="keyframe 0"):
        form.cameras(4, 96, 128, 60.0)


@pytest.mark.parametrize("text", ["", "  ", "1", "{", '{"cameras": NaN}'])
def test_path_text_that_is_not_a_path_is_refused(text):
    with pytest.raises(TrajectoryError):
        parse_path_text(text)


def test_uploaded_path_of_any_format_becomes_text_with_notes(tmp_path):
    chan = tmp_path / "camera.chan"
    chan.write_text("1 0 0 0 0 0 0 50\n2 0 0 -1 0 0 0 50\n")
    cameras, notes = PathForm("file", "", file_text=files_as_text([chan])).cameras(3, 96, 128, 60.0)
    np.testing.assert_allclose(cameras.positions[:, 2], [0, -0.5, -1], atol=1e-6)
    frames = [
        {"file_path": f"{name}.png", "transform_matrix": np.eye(4).tolist(), "camera_angle_x": 1.0} for name in (2, 1)
    ]
    shuffled = tmp_path / "transforms.json"
    shuffled.write_text(json.dumps({"frames": frames}))
    _, notes = PathForm("file", "", file_text=files_as_text([shuffled])).cameras(3, 96, 128, 60.0)
    assert notes
    assert "<li>" in remarks_html(notes)
    assert remarks_html(()) == ""


def test_sweep_removes_old_folders_but_never_one_in_use(tmp_path):
    sessions = Sessions(tmp_path / "root", keep_seconds=60)
    with sessions.new_folder("old visitor") as first:
        pass
    with sessions.new_folder("gone visitor") as second:
        pass
    sessions.close("gone visitor")
    with sessions.new_folder("busy visitor") as third:
        for folder in (first, second, third):
            os.utime(folder, (0, 0))
        assert sessions.sweep() == [second]
        assert first.exists(), "its page is still open"
        assert third.exists(), "it is being written"
    with sessions.new_folder("old visitor"):
        pass
    os.utime(first, (0, 0))
    assert first in sessions.sweep(), "a newer result has replaced it"


def test_failed_and_stopped_jobs_leave_no_folder(tmp_path):
    sessions = Sessions(tmp_path / "root")
    for error in (RuntimeError, GeneratorExit):
        with pytest.raises(error), sessions.new_folder("visitor") as folder:
            (folder / "half.ply").write_text("ply")
            raise error
        assert not folder.exists()


def test_results_of_api_clients_expire(tmp_path):
    sessions = Sessions(tmp_path / "root", keep_seconds=60)
    with sessions.new_folder() as folder:
        os.utime(folder, (0, 0))
        assert sessions.sweep() == [], "it is being written"
    assert sessions.sweep() == [folder]
    assert sessions._visitors == {}


def test_page_that_never_disconnects_is_forgotten_after_a_day(tmp_path):
    sessions = Sessions(tmp_path / "root", keep_seconds=60)
    with sessions.new_folder("silent visitor") as folder:
        pass
    assert sessions.sweep(now=time.time() + 3600) == []
    assert sessions.sweep(now=time.time() + LONGEST_SECONDS + 60) == [folder]
    assert sessions._visitors == {}


def test_root_removed_while_the_app_runs_is_recreated(tmp_path):
    sessions = Sessions(tmp_path / "root")
    shutil.rmtree(sessions.root)
    assert sessions.sweep() == []
    with sessions.new_folder("visitor") as folder:
        assert folder.is_dir()
    assert sessions.root.stat().st_mode & 0o077 == 0


def test_folder_that_cannot_be_made_is_an_error_that_leaves_nothing(tmp_path):
    sessions = Sessions(tmp_path / "root")
    sessions.root.rmdir()
    sessions.root.write_text("a file is in the way")
    with pytest.raises(WriteError, match="no folder"), sessions.new_folder("visitor"):
        pass
    assert all(not visitor.writing for visitor in sessions._visitors.values())


def test_folder_names_cannot_be_guessed_or_chosen(tmp_path):
    sessions = Sessions(tmp_path / "root")
    with sessions.new_folder("../../etc/passwd") as folder:
        assert folder.parent == sessions.root
    assert sessions.root.stat().st_mode & 0o077 == 0


def test_share_link_round_trip():
    shared = share.Shared("a <hall> & more", "spiral", share.parameters_text({"turns": 3.0}), 7, 45.5, 12, "704×480")
    from urllib.parse import parse_qsl

    query, whole = share.share_query(shared)
    back = share.read_query(dict(parse_qsl(query)))
    assert whole
    assert back == shared
    assert share.read_parameters(back)["turns"] == 3
    assert share.read_query({"size": "704×480 landscape"}).size == "704×480"  # as in older links
    assert share.read_query({"path": "spiral", "knobs": '{"turns":3}'}).parameters == '{"turns":3}'


@pytest.mark.parametrize(
    "query", [{"path": "nope"}, {"seed": "x"}, {"seed": "-5"}, {"parameters": "[", "path": "spiral"}, {"fov": ""}]
)
def test_invalid_links_are_tolerated(query):
    shared = share.read_query(query)
    assert shared.seed is None
    if shared.path:
        assert share.read_parameters(shared)


def test_every_template_has_its_own_still_and_animation():
    assert thumbnails.KEY_FILE.read_text().strip() == thumbnails.current_key(), "run: python -m ui.build_tiles"
    choices = thumbnails.preset_choices()
    assert {choice.name for choice in choices} == set(PRESETS)
    assert len({choice.moving.read_bytes() for choice in choices}) == len(choices)
    for choice in choices:
        with Image.open(choice.moving) as moving:
            assert moving.n_frames > thumbnails.FRAMES // 2  # identical views are stored once
            assert (moving.height, moving.width) == thumbnails.SIZE
        with Image.open(choice.still) as still:
            assert (still.height, still.width) == thumbnails.SIZE
    assert sum(choice.still.stat().st_size for choice in choices) < 60_000  # fetched with the page
    assert max(choice.moving.stat().st_size for choice in choices) < 60_000


def test_examples_load_and_credit_their_pictures():
    found = examples.load_examples()
    assert len(found) >= 8
    assert len({json.dumps(e.request["trajectory"]) for e in found}) >= 5
    for example in found:
        if example.picture is not None:
            assert example.caption.count(".") >= 1


def test_an_example_tells_no_time_of_another_machine():
    results = [example.result for example in examples.load_examples() if example.result is not None]
    assert results
    assert not any(result.timings for result in results)


def test_damaged_example_is_left_out(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "request.json").write_text("{")
    assert examples.load_examples(tmp_path) == []


def test_progress_escapes_and_marks_one_step():
    html = progress_html(Progress("denoise", 0.5, 2, 4), None, 12.34)
    assert 'data-seconds="12.3"' in html
    assert "step 2 of 4" in html
    assert html.count("aria-current") == 1
    assert html.count("<li") == len(STAGE_TITLES)
    assert "<b>" not in message_html("<b>", bad=True)


def test_progress_says_that_a_request_waits_for_a_worker():
    waiting = Progress("text", 0.0, waiting=True)
    assert waiting.message in progress_html(waiting, None, None)
    assert "aria-current" not in progress_html(waiting, None, None)
    assert waiting.message not in progress_html(Progress("text", 0.0), None, None)


def test_messages_lose_tags_but_keep_their_text():
    quota = "You have exceeded your GPU quota (60s requested vs. 0s left). <a href='https://x'>Sign in</a> for more"
    assert plain_text(quota) == "You have exceeded your GPU quota (60s requested vs. 0s left). Sign in for more"
    assert plain_text("camera 3: &lt;b&gt;this&lt;/b&gt; &amp; 2 &lt; 3") == "camera 3: <b>this</b> & 2 < 3"


def test_queue_position_is_shown_as_text():
    assert place_text(None, 20, 1) == ""
    assert plain_text(place_text(0, 20, 1)) == "You are next"
    assert plain_text(place_text(1, 20, 1)) == "1 person ahead of you · about 20 s"
    assert plain_text(place_text(4, 20, 2)) == "4 people ahead of you · about 40 s"
    assert [plain_text(about(s)) for s in (0, 4.9, 5, 88, 91, 170)] == [
        "a few seconds", "a few seconds", "about 5 s", "about 90 s", "about 2 min", "about 3 min",
    ]  # fmt: skip


@given(elapsed=st.floats(0, 1e4), fraction=st.floats(0, 1), estimate=st.floats(0, 1e4))
def test_time_left_is_between_the_estimate_and_the_measured_pace(elapsed, fraction, estimate):
    left = seconds_left(elapsed, fraction, estimate)
    by_estimate = max(estimate - elapsed, 0)
    by_pace = elapsed * (1 - fraction) / fraction if fraction else by_estimate
    assert min(by_estimate, by_pace) - 1e-6 <= left <= max(by_estimate, by_pace) * (1 + 1e-9) + 1e-6
    assert seconds_left(elapsed, 1.0, estimate) == 0


def test_crop_is_drawn_only_if_it_removes_something():
    from flashworld.io.images.reading import read_picture

    def html(rows: int, columns: int) -> str:
        return crop_html(read_picture(np.zeros((rows, columns, 3), np.uint8)), 96, 128)

    assert "whole picture" in html(240, 320)
    assert "<img" not in html(240, 330)
    assert "left and right" in html(240, 330)
    assert "<img" in html(240, 600)
    assert "top and bottom" in html(400, 320)


def test_facts_use_user_facing_names():
    from ui.parts.result import facts_html

    result = examples.load_examples()[0].result
    html = facts_html(dataclasses.replace(result, timings={"vae_encoder": 4.9, "text": 0.0, "total": 26.1}))
    assert "made in 26.1 s" in plain_text(html)
    assert "picture 4.9 s" in plain_text(html)
    assert "vae_encoder" not in plain_text(html)
    assert html.count("<li>") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": None}, "picture size"),
        ({"frames": math.nan}, "frames must be a whole number"),
        ({"fps": math.nan}, "fps"),
    ],
)
def test_settings_no_control_can_send_are_refused_with_a_message(change, said):
    values = {"size": "96×64", "frames": 8, "fps": 24, "seconds": 2, "quality": "high", **change}
    with pytest.raises(InputError, match=said):
        read_settings(*values.values())
