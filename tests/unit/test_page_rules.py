"""Small rules of the page: numbers beyond a slider's end, where a result is shown, when it counts as older."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ui.components.slider import Slider
from ui.examples import OPENING_BYTES, opening_result
from ui.parts.plain import PlainSource
from ui.parts.result import landing, result_updates, stale_html


@pytest.mark.parametrize(("sent", "taken"), [(9999, 40), (-3, 5), (7, 7), (None, 5), (math.nan, 5), (math.inf, 40)])
def test_slider_clamps_numbers_to_its_range(sent, taken):
    assert Slider(5, 40, 10, step=1).preprocess(sent) == taken


def test_result_stays_in_the_chosen_tab_or_opens_in_the_most_suitable_one(tmp_path):
    with_scene = PlainSource(None, tmp_path / "scene.spz", None, 1.0)
    assert landing("video", with_scene).get("selected") is None
    assert landing("", with_scene).selected == "scene"
    assert landing("", PlainSource(None, None, None, 1.0)).selected == "video"


def test_result_is_marked_as_older_when_picture_or_text_has_changed():
    assert not stale_html(None, "a.jpg", "words")
    assert not stale_html(("a.jpg", "words"), "a.jpg", "words")
    assert stale_html(("a.jpg", "words"), "b.jpg", "words")
    assert stale_html(("a.jpg", "words"), "a.jpg", "")


def test_page_opens_on_a_shipped_scene_that_is_light():
    result = opening_result()
    assert result is not None
    assert result.files["viewer"].stat().st_size <= OPENING_BYTES


@pytest.mark.parametrize("complete", [True, False])
def test_a_result_without_its_film_does_not_keep_that_of_the_scene_before(complete):
    result = opening_result()
    files = {name: path for name, path in result.files.items() if name != "video"}
    film, *_ = result_updates(replace(result, files=files, complete=complete))
    assert film is None
