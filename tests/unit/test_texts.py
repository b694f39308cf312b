"""The page's texts: every language has every text, English agrees with the library, and no text is unused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flashworld.progress import STAGE_TITLES, WAITING
from flashworld.trajectories import EASINGS, PRESETS
from ui.examples import load_examples
from ui.parts.path import parameter_key
from ui.texts import LANGUAGES, TEXTS, Html, attributes, english, html, text

UI = Path(__file__).parents[2] / "ui"
FAMILIES = (
    "preset.", "parameter.", "example.", "stage.", "time.", "about.", "crop.bright_", "crop.", "path.", "run.", "tab.",
)  # fmt: skip
"""Keys that the code puts together; the tests below and a run of the page ask for each of them."""
USE = re.compile(r"""["'](?P<key>[a-z]+\.[a-z_]+)["']""")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_values_and_tags(language):
    assert list(TEXTS[language]) == list(TEXTS["en"])
    for key, said in TEXTS[language].items():
        assert said.strip(), key
        for mark in (r"\{\w+\}", r"</?\w+>", r"\]\(\S+\)", r"```[^`]+```"):
            assert sorted(re.findall(mark, said)) == sorted(re.findall(mark, TEXTS["en"][key])), f"{language}: {key}"


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_texts_are_translated(language):
    same = {key for key, said in TEXTS[language].items() if said == TEXTS["en"][key]}
    assert same <= {"words.placeholder", "parameter.zoom", "example.coffee"}  # the last is the same word


def test_english_agrees_with_the_library_and_the_examples():
    for name, preset in PRESETS.items():
        assert (english(f"preset.{name}"), english(f"preset.{name}.caption")) == (preset.title, preset.caption)
        for param in preset.params:
            unit = "" if param.unit == param.title.lower() else f" ({param.unit})"
            assert english(parameter_key(param)) == param.title + unit
    for name, title in STAGE_TITLES.items():
        assert english(f"stage.{name}") == title
    assert english("progress.worker") == WAITING
    for easing in EASINGS:
        assert english(f"path.{easing}")
    for example in load_examples():
        assert not example.said("title").startswith("="), f"{example.name} has no texts"
        assert not example.said("caption").startswith("=")


def test_keys_in_the_code_have_texts_and_all_texts_are_used():
    code = [*UI.rglob("*.py"), *(UI / "assets").glob("*.js"), *(UI / "viewer" / "src").glob("*.js")]
    named = {found["key"] for file in code for found in USE.finditer(file.read_text(encoding="utf-8"))}
    beginnings = {key.split(".")[0] for key in TEXTS["en"]}
    files = (".js", ".json", ".html", ".css", ".splat", ".spz", ".webp", ".jpg")
    unknown = {
        key for key in named
        if key.split(".")[0] in beginnings and key not in TEXTS["en"] and not key.endswith(files)
    }  # fmt: skip
    assert not unknown
    assert not {key for key in TEXTS["en"] if key not in named and not key.startswith(FAMILIES)}


def test_html_escapes_values_but_not_html():
    said = html("words.understood", words="<i>")
    assert "&lt;i&gt;" in said
    assert "<i>" not in said
    assert "<b>ball</b>" in html("words.understood", words=Html("<b>ball</b>"))
    values = re.search(r'data-fw-values="([^"]+)"', html("run.about_here", seconds=3))[1]
    assert json.loads(values.replace("&quot;", '"')) == {"seconds": "3"}


def test_attributes_join_sentences():
    said = attributes(aria_label=["preset.forward", "preset.forward.caption", '=Photo "x"'])
    assert said.startswith('aria-label="Forward. The camera moves straight ahead into the scene. Photo &quot;x&quot;" ')


@pytest.mark.parametrize("ask", [text, english, html])
def test_unknown_text_is_an_error(ask):
    with pytest.raises(KeyError):
        ask("no.such")
