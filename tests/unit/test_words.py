"""What the page says about a prompt when the model has a limited vocabulary, and which examples it offers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from flashworld.nano.language import understood
from ui.examples import load_examples
from ui.parts.examples import within_reach
from ui.parts.words import known_words, understood_html
from ui.texts import TEXTS


def said(text: str) -> str:
    return understood_html(understood(text), text)


def test_understood_and_unknown_words_are_listed_separately_and_escaped():
    line = said("a red ball on grass beside a photographer and a <script>")
    assert "Understood: <b>grass</b>, <b>red ball" in line
    assert "<b>photographer</b>" in line
    assert "<script>" not in line
    assert "does not know" not in said("a red ball on grass")
    assert said("  ") == ""
    assert "fw-bad" in said("zzz qqq")
    assert "and more" in said(" ".join(f"zz{chr(97 + k)}" for k in range(20)))


def test_placeholder_and_listed_words_are_in_the_vocabulary():
    assert understood(TEXTS["en"]["words.placeholder"]).unknown == ()
    assert "ball" in known_words()


def test_examples_with_unknown_words_are_not_offered():
    some, all_words = SimpleNamespace(understood=understood), SimpleNamespace(understood=None)
    shipped = load_examples()
    assert all(within_reach(example, some) for example in shipped)
    without_picture = next(example for example in shipped if example.picture is None)
    strange = replace(without_picture, request={**without_picture.request, "text": "a red ball beside a photographer"})
    assert not within_reach(strange, some)
    assert within_reach(strange, all_words)
    with_picture = next(example for example in shipped if example.picture)
    assert within_reach(replace(with_picture, request=strange.request), some)
