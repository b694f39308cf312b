"""Examples: one click fills the form and shows the shipped result; nothing runs, nothing is spent."""

from __future__ import annotations

import re

from steps import DONE, SCENE_STAGE, open_tab, show_scene, stage_js, wait_for_tab

from ui.examples import load_examples


def choose(page, name: str) -> None:
    page.locator(f"#fw-examples input[value={name}]").dispatch_event("click")
    page.wait_for_selector(f"#fw-examples input[value={name}]:checked", state="attached")
    page.wait_for_selector(DONE, state="attached")


def test_click_fills_everything_and_shows_the_result_without_a_run(visit, standin_log):
    example = next(e for e in load_examples() if e.picture and e.result and "viewer" in e.result.files)
    runs = standin_log.read_text().count("begun") if standin_log.exists() else 0
    page = visit()
    choose(page, example.name)
    page.wait_for_function("document.querySelector('#fw-image img')?.naturalWidth > 0")
    assert page.input_value("#fw-prompt textarea") == example.request["text"]
    assert page.input_value("#fw-seed input") == str(example.request["seed"])
    assert not page.locator("#fw-randomize input").is_checked()
    page.wait_for_function(f"document.querySelector('{DONE}').readyState >= 2")
    assert f"Seed {example.result.seed}" in page.inner_text("#fw-facts")
    assert re.match(r"SPZ · [\d.]+ MB", page.inner_text("#fw-download-spz"))
    assert page.locator("#fw-download-ply").is_disabled()
    show_scene(page)
    assert (standin_log.read_text().count("begun") if standin_log.exists() else 0) == runs


def test_every_example_can_be_chosen_and_says_when_its_scene_is_not_shipped(visit):
    page = visit()
    found = load_examples()
    assert len(found) >= 8
    open_tab(page, "3D")
    for example in found:
        choose(page, example.name)
        page.wait_for_function(
            f"document.querySelector('#fw-prompt textarea').value === {example.request.get('text', '')!r}"
        )
        if not example.result.files.get("viewer"):
            wait_for_tab(page, "Video")  # the result's updates come after the form's
            open_tab(page, "3D")
            page.locator(f"{SCENE_STAGE} .fw-over-note").get_by_text("Press Generate to make its scene").wait_for()
            assert page.evaluate(f"!{stage_js(SCENE_STAGE)}.slot.mesh")
            open_tab(page, "Video")
