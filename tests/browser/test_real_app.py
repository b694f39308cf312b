"""The app itself in the browser, with the small model: from text to files by keyboard alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from steps import DONE, SCENE_STAGE, SMALL, camera_of, open_plain, open_tab, stage_js, wait_for_result

from flashworld.io.scenes import read_scene
from tests.app.running import RunningApp

MOST_STOPS = 60
SIGNS_JS = """() => {
  const kept = ["outline", "boxShadow", "borderColor", "backgroundColor", "textDecoration", "opacity"];
  const styles = (element) => {
    const found = [];
    const around = [element.parentElement?.parentElement?.parentElement, ...(element.parentElement?.parentElement?.querySelectorAll("*") ?? [])];
    for (const at of around.filter(Boolean))
      for (const part of [null, "::before", "::after"]) {
        const style = getComputedStyle(at, part);
        found.push(...kept.map((name) => style[name]));
      }
    return JSON.stringify(found);
  };
  const element = document.activeElement;
  if (!element || element === document.body) return true;
  const focused = styles(element);
  element.blur();
  const blurred = styles(element);
  element.focus({ preventScroll: true });
  return focused !== blurred;
}"""
"""Does the element with the focus look different from what it looks like without?"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Instead of the stand-in: `python app.py --model nano`."""
    with RunningApp(tmp_path_factory.mktemp("real")) as app:
        yield app.url + "/"


def focused(page) -> str:
    return page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def tab_to(page, selector: str) -> None:
    """Press Tab until the element has the focus; every stop on the way must be seen."""
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        assert page.evaluate(SIGNS_JS), f"no sign of the focus on {focused(page)}"
        if page.evaluate(f"document.activeElement.matches({selector!r})"):
            return
    raise AssertionError(f"{selector} was not reached, at the end: {focused(page)}")


def test_keyboard_alone_suffices_from_text_to_a_scene_and_its_file(visit, tmp_path):
    page = visit()
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    tab_to(page, "#fw-prompt textarea")
    page.keyboard.type("a green meadow under a blue sky")
    tab_to(page, "#fw-presets input")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#fw-presets input:checked')?.value === 'orbit_up'")
    tab_to(page, "#fw-generate")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('#fw-stop')")
    wait_for_result(page)
    page.wait_for_function("document.activeElement.matches('#fw-generate')")
    tab_to(page, "[role=tab][data-tab-id=scene]")
    page.keyboard.press("Enter")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")
    tab_to(page, f"{SCENE_STAGE} canvas")
    before = camera_of(page, SCENE_STAGE)
    page.keyboard.down("ArrowLeft")
    page.wait_for_function(
        f"(old) => {stage_js(SCENE_STAGE)}.world.camera.position.toArray().some((v, k) => v !== old[k])", arg=before[:3]
    )
    page.keyboard.up("ArrowLeft")
    page.keyboard.press("Escape")
    tab_to(page, "#fw-download-ply")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    file = tmp_path / "scene.ply"
    saved.value.save_as(file)
    shown = page.locator("#fw-facts").text_content()
    assert f"{len(read_scene(file)):,}".replace(",", " ") in shown


def test_a_photo_becomes_a_scene_in_every_tab(visit, photo: Path):
    page = visit(viewport=SMALL)
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")
    assert "/coffee/" in page.evaluate(f"{stage_js(SCENE_STAGE)}.slot.url"), "the example that the page opens on"
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_selector("#fw-crop img")
    page.locator("#fw-generate").click()
    page.wait_for_selector("#fw-progress img", state="attached")  # the picture while it is being made
    wait_for_result(page)
    open_tab(page, "Film")
    page.wait_for_function(f"document.querySelector('{DONE}')?.readyState >= 2")
    open_tab(page, "Fly")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")
    open_plain(page)
