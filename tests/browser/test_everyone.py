"""Accessibility: keyboard, screen readers, reduced motion, contrast in both themes."""

from __future__ import annotations

from pathlib import Path

import pytest
from steps import (
    DONE,
    NAMELESS,
    PATH_STAGE,
    SCENE_STAGE,
    generate_and_wait,
    open_accordion,
    open_tab,
    show_scene,
    wait_for_stage,
)

WEAK_TEXT = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_enough_contrast_with_its_background(visit, theme):
    page = visit(color_scheme=theme)
    wait_for_stage(page, PATH_STAGE)
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    assert page.evaluate(WEAK_TEXT) == []
    open_accordion(page, "What it is not good at")
    open_accordion(page, "More settings")
    generate_and_wait(page)
    page.wait_for_timeout(400)  # the accordions have opened
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


def test_template_tile_is_animated_only_on_hover_or_focus_and_fetched_only_then(visit):
    page = visit(reduced_motion="no-preference")
    moving = "performance.getEntriesByType('resource').map((e) => e.name).filter((n) => /paths\\/\\w+\\.webp$/.test(n))"
    source = "(name) => document.querySelector(`#fw-presets input[value=${name}]`).closest('.fw-tile').querySelector('img').src"
    page.wait_for_function(f"({source})('forward').endsWith('forward.still.webp')")
    page.wait_for_timeout(500)
    assert page.evaluate(moving) == []
    page.locator("#fw-presets .fw-tile", has=page.locator("input[value=forward]")).hover()
    page.wait_for_function(f"({source})('forward').endsWith('/forward.webp')")
    page.locator("#fw-presets input[value=left]").focus()
    page.wait_for_function(f"({source})('left').endsWith('/left.webp')")
    page.locator("h1").hover()
    page.wait_for_function(f"({source})('forward').endsWith('forward.still.webp')")
    assert {name.split("/")[-1] for name in page.evaluate(moving)} == {"forward.webp", "left.webp"}
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"({source})('left').endsWith('left.still.webp')")


def test_reduced_motion_disables_autoplay_of_the_video(visit):
    calm = visit(reduced_motion="reduce")
    generate_and_wait(calm)
    open_tab(calm, "Film")
    calm.wait_for_function(f"document.querySelector('{DONE}')?.readyState >= 2")
    calm.wait_for_timeout(300)
    assert calm.evaluate(f"document.querySelector('{DONE}').paused")
