"""Examples: one click fills the form and shows the shipped result, without running anything."""

from __future__ import annotations

import base64
import re

from steps import DONE, SCENE_STAGE, note_result, open_tab, show_scene, stage_js, wait_for_result, wait_for_result_tab

from ui.examples import load_examples, opening_result


def choose(page, name: str) -> None:
    note_result(page)
    page.locator(f"#fw-examples input[value={name}]").dispatch_event("click")
    page.wait_for_selector(f"#fw-examples input[value={name}]:checked", state="attached")
    wait_for_result(page)
    wait_for_result_tab(page)


def test_click_fills_the_form_and_shows_the_result_without_a_run(visit, standin_log):
    example = next(e for e in load_examples() if e.picture and e.result and "viewer" in e.result.files)
    runs = standin_log.read_text().count("begun") if standin_log.exists() else 0
    page = visit()
    choose(page, example.name)
    page.wait_for_function("document.querySelector('#fw-image img')?.naturalWidth > 0")
    assert page.input_value("#fw-prompt textarea") == example.request["text"]
    assert page.input_value("#fw-seed input") == str(example.request["seed"])
    assert not page.locator("#fw-randomize input").is_checked()
    open_tab(page, "Film")
    page.wait_for_function(f"document.querySelector('{DONE}')?.readyState >= 2")
    assert f"Seed {example.result.seed}" in page.inner_text("#fw-facts")
    assert re.match(r"SPZ · [\d.]+ (kB|MB)", page.inner_text("#fw-download-spz"))
    assert page.locator("#fw-download-ply").is_disabled()
    show_scene(page)
    assert (standin_log.read_text().count("begun") if standin_log.exists() else 0) == runs


def test_every_example_can_be_chosen_and_says_when_its_scene_is_not_shipped(visit):
    page = visit()
    found = load_examples()
    assert len(found) >= 8
    for example in found:
        open_tab(page, "Film")  # drawing every scene in software would take minutes
        choose(page, example.name)
        page.wait_for_function(
            f"document.querySelector('#fw-prompt textarea').value === {example.request.get('text', '')!r}"
        )
        if not example.result.files.get("viewer"):
            open_tab(page, "Fly")
            page.locator(f"{SCENE_STAGE} .fw-over-note").get_by_text("Press Generate to make its scene").wait_for()
            assert page.evaluate(f"!{stage_js(SCENE_STAGE)}.slot.mesh")


def test_own_picture_after_an_example_clears_its_text_and_marks_its_scene_as_older(visit, photo):
    examples = [e for e in load_examples() if e.picture and e.request.get("text")]
    page = visit()
    choose(page, examples[0].name)
    page.wait_for_function("document.querySelector('#fw-prompt textarea').value !== ''")
    assert page.locator("#fw-stale .fw-stale").count() == 0
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_function("document.querySelector('#fw-prompt textarea').value === ''")
    page.wait_for_selector("#fw-examples input:checked", state="detached")
    page.locator("#fw-stale").get_by_text("made from an earlier picture").wait_for()
    choose(page, examples[1].name)
    page.wait_for_selector("#fw-stale .fw-stale", state="detached")
    page.fill("#fw-prompt textarea", "words of the visitor's own")
    page.locator("#fw-stale").get_by_text("made from an earlier picture").wait_for()
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_selector("#fw-examples input:checked", state="detached")
    assert page.input_value("#fw-prompt textarea") == "words of the visitor's own"


def test_scene_of_an_example_can_be_downloaded_as_a_web_page(visit, tmp_path):
    page = visit()
    choose(page, "coffee")
    page.wait_for_selector("#fw-download-html:not([disabled])")
    with page.expect_download() as saved:
        page.locator("#fw-download-html").click()
    saved.value.save_as(tmp_path / "scene.html")
    written = (tmp_path / "scene.html").read_text(encoding="utf-8")
    assert "fw-viewer" in written
    assert base64.b64encode(opening_result().files["viewer"].read_bytes()[:300]).decode() in written
