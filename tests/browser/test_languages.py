"""The page in Portuguese and Chinese: what Gradio translates, what our HTML contains, and what our scripts show."""

from __future__ import annotations

import pytest
from steps import DONE, PATH_STAGE, SCENE_STAGE, generate_and_wait, stage_js, wait_for_stage

from ui.texts import TEXTS

ENGLISH_JS = """(texts) => {
  const seen = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const said = walk.currentNode.textContent.trim();
    if (texts.includes(said) && walk.currentNode.parentElement.offsetParent) seen.push(said);
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder]")) {
    for (const name of ["aria-label", "title", "placeholder"]) {
      if (texts.includes(element.getAttribute(name))) seen.push(`${name}: ${element.getAttribute(name)}`);
    }
  }
  return seen;
}"""
"""What is still said in English on the page."""


def untranslated(page, language: str) -> list[str]:
    texts = [said for key, said in TEXTS["en"].items() if TEXTS[language][key] != said]
    return page.evaluate(ENGLISH_JS, texts)


@pytest.mark.parametrize(("locale", "language"), [("pt-BR", "pt"), ("zh-CN", "zh")])
def test_page_is_in_the_visitors_language(visit, locale, language):
    said = TEXTS[language]
    page = visit(locale=locale)
    page.wait_for_selector(f"{SCENE_STAGE} canvas")
    assert page.locator("#fw-generate").inner_text() == said["run.generate"]
    assert page.get_by_role("tab", name=said["tab.fly"], exact=True).is_visible()
    assert page.locator("#fw-prompt textarea").get_attribute("placeholder") == said["inputs.placeholder"]
    assert said["header.line"] in page.locator(".fw-header").inner_text()
    left = page.locator("#fw-presets .fw-tile", has=page.locator("input[value=orbit_left]"))
    assert left.inner_text().strip() == said["preset.orbit_left"]
    assert left.locator("input").get_attribute("aria-label").startswith(said["preset.orbit_left"])
    left.click()
    page.wait_for_function(
        "(said) => document.querySelector('#fw-form').innerText.includes(said)", arg=said["preset.orbit_left.caption"]
    )
    # Not the whole text: Gradio's clock of a running update stands before it for a moment.
    page.locator("#fw-parameter-angle_deg").get_by_text(said["parameter.angle"]).wait_for()
    assert said["run.about_gpu"].split("<b>")[0].strip() in page.locator("#fw-estimate").inner_text()
    wait_for_language_of_stage(page, said)
    assert untranslated(page, language) == []


def wait_for_language_of_stage(page, said: dict[str, str]) -> None:
    page.get_by_role("tab", name=said["tab.path"], exact=True).click()
    page.wait_for_function(f"{stage_js(PATH_STAGE)}?.path?.length > 0")
    toolbar = page.locator(f"{PATH_STAGE} .fw-toolbar")
    assert toolbar.get_by_role("button", name=said["viewer.play"]).is_visible()
    assert page.locator(f"{PATH_STAGE} .fw-recorder summary").inner_text().startswith(said["record.title"])


@pytest.mark.parametrize(("locale", "language"), [("pt-BR", "pt"), ("zh-CN", "zh")])
def test_messages_of_a_run_are_in_the_visitors_language(visit, locale, language):
    said = TEXTS[language]
    page = visit(locale=locale)
    page.fill("#fw-prompt textarea", "slow room")
    page.locator("#fw-generate").click()
    page.wait_for_function(
        "(said) => document.querySelector('#fw-progress').innerText.includes(said)", arg=said["stage.denoise"]
    )
    assert page.locator("#fw-stop").inner_text() == said["run.stop"]
    page.locator("#fw-stop").click()
    page.wait_for_function(
        "(said) => document.querySelector('#fw-progress').innerText.includes(said)", arg=said["run.stopped"]
    )
    generate_and_wait(page)
    page.wait_for_function(
        "(said) => document.querySelector('#fw-facts').innerText.includes(said)", arg=said["result.times"]
    )
    assert said["result.gaussians"].split("</b>")[1].strip() in page.locator("#fw-facts").inner_text()
    assert page.locator("#fw-download-path").inner_text().startswith(said["tab.path"])
    assert untranslated(page, language) == []


def test_other_languages_get_english(visit):
    page = visit(locale="de-DE")
    assert page.locator("#fw-generate").inner_text() == TEXTS["en"]["run.generate"]
    wait_for_stage(page, PATH_STAGE)
    assert page.locator(DONE).count() == 0
