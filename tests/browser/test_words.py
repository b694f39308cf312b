"""A model with a limited vocabulary: what it understands is shown while typing, and nothing else is offered."""

from __future__ import annotations

import pytest
from conftest import served


@pytest.fixture(scope="module")
def server(tmp_path_factory, standin_log):
    with served(tmp_path_factory.mktemp("own-words") / "log.txt", standin_log, "own-words") as url:
        yield url


def test_understood_words_are_shown_while_typing(visit):
    page = visit()
    line = page.locator("#fw-words")
    page.locator("#fw-prompt textarea").press_sequentially("a red ball on gras")
    line.get_by_text("does not know gras").wait_for()
    page.locator("#fw-prompt textarea").press_sequentially("s")
    line.get_by_text("Understood: grass, red ball in the middle.").wait_for()
    assert "does not know" not in line.inner_text()
    page.fill("#fw-prompt textarea", "a photographer")
    line.get_by_text("chance").wait_for()
    page.fill("#fw-prompt textarea", "")
    page.wait_for_function("document.querySelector('#fw-words').innerText.trim() === ''")


def test_words_of_an_example_are_understood(visit):
    page = visit()
    page.locator("#fw-examples input[value=toy_world]").dispatch_event("click")
    page.locator("#fw-words").get_by_text("red ball in the middle").wait_for()
    assert "does not know" not in page.inner_text("#fw-words")


def test_link_with_text_shows_what_is_understood(visit):
    page = visit("?text=a%20blue%20cube")
    page.locator("#fw-words").get_by_text("blue cube in the middle").wait_for()
