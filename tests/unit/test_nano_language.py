"""Nano's language: free text to scene descriptions, and scene descriptions to captions and tokens."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.config import TEXT_PREFIX
from flashworld.models.networks import random_networks
from flashworld.models.text_encoder import EOS_ID, UNKNOWN_ID
from flashworld.nano.language import SceneWords, Thing, nano_prompt, phrase, understood, words
from flashworld.nano.language.lexicon import lexicon
from flashworld.nano.language.phrasing import vocabulary
from flashworld.nano.language.scene import MAX_THINGS
from flashworld.nano.sizes import NANO, TINY
from flashworld.nano.training.captions import caption
from flashworld.nano.training.specs import sample_spec
from flashworld.nano.training.tokenizer import build_tokenizer

SEEDS = range(400)


def words_of(spec) -> SceneWords:
    return SceneWords(**{field.name: getattr(spec, field.name) for field in fields(SceneWords)})


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_every_caption_is_read_back_as_its_scene():
    for seed in SEEDS:
        spec = sample_spec(seed, 0.0)
        for text in (caption(spec, variant) for variant in range(3)):
            found = understood(text)
            assert found.scene == words_of(spec), text
            assert not found.unknown, text
            assert nano_prompt(text) == phrase(spec), text


def test_scenes_have_the_same_words_only_if_they_are_the_same():
    scenes = [words_of(sample_spec(seed, 0.0)) for seed in SEEDS]
    assert len({phrase(scene) for scene in scenes}) == len(set(scenes))
    thing = Thing("ball", "red", "plain", "small", "left", "near")
    scene = replace(scenes[0], things=(thing,))
    changes = {"shape": "cube", "colour": "blue", "pattern": "rough", "size": "large", "column": "right", "row": "far"}
    others = [phrase(replace(scene, things=(replace(thing, **{name: value}),))) for name, value in changes.items()]
    assert len({phrase(scene), *others}) == 1 + len(changes)


def test_paraphrases_differ_and_repeat():
    for seed in SEEDS:
        spec = sample_spec(seed, 0.0)
        texts = [caption(spec, variant) for variant in range(8)]
        assert len(set(texts)) >= 4, texts
        assert texts == [caption(spec, variant) for variant in range(8)]


@pytest.mark.parametrize(
    ("text", "phrases", "unknown"),
    [
        ("a red ball on grass under a clear blue sky", ("grass", "clear sky", "red ball in the middle"), ()),
        ("A dragon over the sea", ("water",), ("dragon",)),
        (
            "a cozy living room with a green sofa, a lamp on the left and a painting",
            ("room", "picture", "yellow lamp on the left", "green sofa in the middle"), ("cozy",),
        ),
        ("mountain lake at sunset", ("water", "sunset sky", "mountains"), ()),
        ("two trees and a house by night", (
            "night sky", "green tree on the left", "green tree in the middle", "white house on the right"), ()),
        ("on the left stands a tall striped red tower", ("large striped red tower on the left",), ()),
        ("the ball is red, the walls are blue", ("blue walls", "red ball in the middle"), ()),
        ("a little couch and a fir at the back", ("small blue sofa in the middle", "green pine in the middle at the back"), ()),
        ("a snowy road in fog", ("snow", "mist", "road"), ()),
        ("walls of golden brick, wooden floor", ("wood", "yellow brick walls"), ()),
        ("a hut's roof", ("yellow hut in the middle",), ("roof",)),
        ("", (), ()),
        ("!!! 42", (), ()),
    ],
)  # fmt: skip
def test_common_prompts_are_understood(text, phrases, unknown):
    found = understood(text)
    assert (found.phrases, found.unknown) == (phrases, unknown)


@pytest.mark.parametrize("word", ["sofa", "tree", "house", "mountain", "lake", "road", "night", "sunset", "forest", "village",
                                  "beach", "desert", "snow", "fog", "window", "river", "chair", "lamp", "kitchen", "castle"])  # fmt: skip
def test_common_words_are_understood_or_reported(word):
    found = understood(f"a {word}")
    assert bool(found.phrases) != bool(found.unknown), (word, found)


def test_every_synonym_means_its_choice():
    for table, category in (
        (words.COLOURS, "colour"), (words.SHAPES, "shape"), (words.SIZES, "size"), (words.PATTERNS, "pattern"),
        (words.SKIES, "sky"), (words.GROUNDS, "ground"), (words.EXTRAS, "extra"), (words.SETTINGS, "setting"),
    ):  # fmt: skip
        for choice, synonyms in table.items():
            for text in (choice, *synonyms):
                assert (category, choice) in lexicon()[text], (text, choice)


def test_no_phrase_has_two_meanings_in_a_category():
    for text, meanings in lexicon().items():
        categories = [category for category, _ in meanings]
        assert len(set(categories)) == len(categories), (text, meanings)


def test_unspecified_attributes_have_defaults_and_distinct_places():
    found = understood("a ball, a cube, a cone, a tree, a table, a hut")
    assert len({thing.place for thing in found.scene.things}) == MAX_THINGS
    assert understood("a ball").scene == understood("a medium plain red ball in the middle in front").scene
    assert "a further ball" in understood("six cubes and a ball").unknown


def test_a_place_applies_to_the_object_next_to_it():
    scene = understood("a red ball on the left and on the right a blue cube").scene
    assert {(t.shape, t.colour, t.column) for t in scene.things} == {("ball", "red", "left"), ("cube", "blue", "right")}


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("a ball on grass before a brick wall, sunset", "sunset sky in a room"),
        ("a room with a white wall in the mist", "mist in a room"),
        ("outdoors, a white wall", "outdoors"),
        ("a white wall and mountains", "mountains in a room"),
        ("a river and a road under a clear sky", "river beside road"),
        ("a window under a sunset sky", "window outdoors"),
    ],
)
def test_known_words_that_the_scene_cannot_show_are_reported(text, left_out):
    found = understood(text)
    assert left_out in found.unknown
    assert not any(left_out.split()[0] in phrase for phrase in found.phrases)


def test_a_gallery_has_no_sentence():
    galleries = [spec for spec in map(sample_spec, SEEDS) if spec.setting == "gallery"]
    assert galleries and all(phrase(spec) == caption(spec, 0) == "" for spec in galleries)


def test_the_tokenizer_knows_every_word_and_is_small(tokenizer):
    assert tokenizer.get_vocab_size() <= NANO.text.vocab_size
    assert set(vocabulary()) <= set(tokenizer.get_vocab())
    for seed in SEEDS:
        ids = tokenizer.encode(TEXT_PREFIX + phrase(sample_spec(seed, 0.0))).ids
        assert UNKNOWN_ID not in ids and ids[-1] == EOS_ID and len(ids) <= NANO.text.max_tokens


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_into_a_scene_that_has_words(text):
    found = understood(text)
    assert set(phrase(found.scene).split()) <= set(vocabulary())
    assert all(isinstance(word, str) and word for word in (*found.phrases, *found.unknown))


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_encoded(prompt):
    text = random_networks(TINY, 1, tokenizer=build_tokenizer()).text
    text.read_prompt = nano_prompt
    embedding = text(prompt)
    assert embedding.shape[-2:] == (TINY.text.max_tokens, TINY.text.d_model)
    assert bool(embedding.isfinite().all())


def test_unknown_words_change_nothing(tokenizer):
    assert nano_prompt("a Shimmering RED ball,  on GRASS") == nano_prompt("a red ball on grass")
    assert nano_prompt("qwertz") == ""
