"""Captions of nano's worlds and their tokenizer."""

from __future__ import annotations

import re

import pytest
from flashworld.nano.training.grammar import (
    COLOUR_WORDS,
    SHAPE_WORDS,
    SKY_WORDS,
    build_tokenizer,
    caption,
    split_words,
    vocabulary,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.config import TEXT_PREFIX
from flashworld.models.networks import random_networks
from flashworld.models.text_encoder import EOS_ID, UNKNOWN_ID
from flashworld.nano.sizes import NANO, TINY
from flashworld.nano.training.worlds import sample_spec

SEEDS = range(300)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_captions_hold_no_unknown_word_and_fit(tokenizer):
    for seed in SEEDS:
        for variant in range(3):
            ids = tokenizer.encode(TEXT_PREFIX + caption(sample_spec(seed, 0.0), variant)).ids
            assert UNKNOWN_ID not in ids, caption(sample_spec(seed, 0.0), variant)
            assert ids[-1] == EOS_ID and len(ids) <= NANO.text.max_tokens


def test_paraphrases_differ_and_repeat():
    for seed in SEEDS:
        spec = sample_spec(seed, 0.0)
        texts = [caption(spec, variant) for variant in range(8)]
        assert len(set(texts)) >= 4, texts
        assert texts == [caption(spec, variant) for variant in range(8)]


def test_captions_name_every_colour_shape_and_sky():
    for seed in SEEDS:
        spec = sample_spec(seed, 0.0)
        text = caption(spec, 1)
        words = split_words(text)
        for thing in spec.objects:
            assert set(COLOUR_WORDS[thing.colour]) & set(words), (thing, text)
            assert set(SHAPE_WORDS[thing.shape]) & set(words), (thing, text)
        if spec.sky:
            assert any(phrase in text for phrase in SKY_WORDS[spec.sky]), (spec.sky, text)
        assert text == text.lower() and not re.search(r"\s\s|^\s|[;,.\s]$", text)


def test_a_gallery_has_no_caption():
    galleries = [spec for spec in map(sample_spec, SEEDS) if spec.setting == "gallery"]
    assert galleries and all(caption(spec, 0) == "" for spec in galleries)


def test_the_tokenizer_is_small(tokenizer):
    assert tokenizer.get_vocab_size() == len(vocabulary()) + 3 <= NANO.text.vocab_size
    assert len(tokenizer.to_str().encode()) < 10_000


def test_a_strange_word_leaves_the_others_as_they_are(tokenizer):
    plain = tokenizer.encode("a red ball on grass").ids
    strange = tokenizer.encode("a Shimmering red ball on grass").ids
    assert strange.count(UNKNOWN_ID) == 1 and [i for i in strange if i != UNKNOWN_ID] == plain
    assert tokenizer.encode("A RED ball,  on GRASS").ids == tokenizer.encode("a red ball, on grass").ids


@pytest.fixture(scope="module")
def text(tokenizer):
    return random_networks(TINY, 1, tokenizer=tokenizer).text


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_encoded(text, prompt):
    embedding = text(prompt)
    assert embedding.shape[-2:] == (TINY.text.max_tokens, TINY.text.d_model)
    assert bool(embedding.isfinite().all())


def test_a_long_text_is_cut_and_words_matter(text):
    assert bool(text("a red ball " * 200).isfinite().all())
    assert not text("a red ball").equal(text("a blue ball"))
    assert text("a qwertz ball").equal(text("a asdfgh ball")), "all unknown words are one word"
