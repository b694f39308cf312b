"""The page for those who use no mouse, no sight, less motion or another theme."""

from __future__ import annotations

from pathlib import Path

import pytest
from steps import (
    DONE,
    NAMELESS,
    PATH_STAGE,
    SCENE_STAGE,
    generate_and_wait,
    open_tab,
    show_scene,
    wait_for_stage,
)

WEAK_TEXT = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_can_be_read_against_its_background(visit, theme):
    page = visit(color_scheme=theme)
    wait_for_stage(page, PATH_STAGE)
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    assert page.evaluate(WEAK_TEXT) == []
    page.get_by_text("What it is not good at").click()
    page.get_by_text("More settings").click()
    generate_and_wait(page)
    page.wait_for_timeout(400)  # the folds have opened
    assert page.evaluate(WEAK_TEXT) == []
    page.fill("#fw-prompt textarea", "")
    page.locator("#fw-generate").dispatch_event("click")
    page.wait_for_selector("#fw-refusal .fw-bad")
    assert page.evaluate(WEAK_TEXT) == []


def test_every_control_of_a_finished_scene_has_a_name(visit):
    page = visit()
    generate_and_wait(page)
    assert page.evaluate(NAMELESS) == []
    show_scene(page)
    page.locator(SCENE_STAGE).get_by_text("Record a path by hand").click()
    page.locator(SCENE_STAGE).get_by_role("button", name="Add keyframe").click()
    assert page.evaluate(NAMELESS) == []
    for tab in ("By hand", "From a file"):
        open_tab(page, tab)
        assert page.evaluate(NAMELESS) == []


def test_less_motion_means_still_thumbnails_and_a_video_that_waits(visit):
    moving, calm = visit(reduced_motion="no-preference"), visit(reduced_motion="reduce")
    sources = "[...document.querySelectorAll('#fw-presets img')].map((i) => i.src)"
    assert not any(".still." in source for source in moving.evaluate(sources))
    assert all(".still.webp" in source for source in calm.evaluate(sources))
    generate_and_wait(calm)
    open_tab(calm, "Film")
    calm.wait_for_function(f"document.querySelector('{DONE}')?.readyState >= 2")
    calm.wait_for_timeout(300)
    assert calm.evaluate(f"document.querySelector('{DONE}').paused")
    calm.emulate_media(reduced_motion="no-preference")
    calm.wait_for_function(f"{sources}.every((source) => !source.includes('.still.'))")
