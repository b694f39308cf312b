"""Values found by hypothesis: anything JSON can hold in any field, any text, any number, any bytes."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flashworld import checks, limits
from flashworld.errors import InputError, PromptError
from flashworld.inputs import build_request, clean_text
from flashworld.io.images.reading import read_picture
from flashworld.io.json_text import read_json
from flashworld.io.request_json import request_from_json
from flashworld.io.scenes import read_scene
from flashworld.trajectories.json_forms import parse_trajectory
from tests.fuzz.hostile import NUMBERS, STRINGS
from tests.fuzz.law import Case, check_sentence, judge
from tests.fuzz.pictures import check_photo
from tests.fuzz.requests_and_paths import HEIGHT, SMALL, WIDTH, check_request
from tests.fuzz.scenes import check_scene
from tests.fuzz.targets import TALLY, wanted_cases

EXAMPLES = max(30, wanted_cases() // 40)
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
texts = st.text() | st.sampled_from(STRINGS) | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L"]))
usual = st.floats(-9, 99) | st.integers(0, 64)
numbers = usual | st.integers() | st.floats() | st.sampled_from(NUMBERS)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts | st.lists(usual, min_size=3, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
REQUEST = {"format": "flashworld-request", "version": 1, "text": "a room", "seed": 1}
PATH = {
    "format": "flashworld-trajectory",
    "version": 1,
    "cameras": [{"position": [0, 0, 0], "quaternion_wxyz": [1, 0, 0, 0]}] * 2,
}


def count(name: str, case: Case) -> None:
    TALLY.add(name, judge(case))


@fuzz
@given(field=st.sampled_from(["image", "text", "image_index", "frames", "height", "width", "seed", "fov_y_deg", "trajectory", "video"]),
       value=anything)  # fmt: skip
def test_any_value_in_any_field_of_a_request(field, value):
    count(
        "values, request fields",
        Case(lambda: request_from_json(REQUEST | {field: value}, defaults=SMALL), check_request),
    )


@fuzz
@given(field=st.sampled_from(["position", "quaternion_wxyz", "fov_y_deg", "intrinsics"]), value=anything)
def test_any_value_in_any_field_of_a_camera(field, value):
    path = PATH | {"cameras": [PATH["cameras"][0], PATH["cameras"][0] | {field: value}]}
    sizes = {"height": HEIGHT, "width": WIDTH, "fov_y_deg": 60.0}
    count("values, camera fields", Case(lambda: parse_trajectory(path, **sizes), lambda parsed: None))


@fuzz
@given(
    data=st.binary(max_size=60)
    | st.text(st.sampled_from('{}[]",:0123456789eE+-.tfnul\\ \ud800'), max_size=60)
    | anything.map(json.dumps)
)
def test_any_text_as_json(data):
    count("values, JSON text", Case(lambda: read_json(data, "request"), lambda value: None))


@fuzz
@given(text=texts, times=st.sampled_from([1, 1, 40, 100_000]))
def test_any_prompt(text, times):
    def check(request: Any) -> None:
        assert 0 < len(request.text) <= limits.MAX_PROMPT_CHARS
        assert not [c for c in request.text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
        assert not [c for c in request.text if unicodedata.bidirectional(c) in BIDI_CONTROLS]
        assert "\u061c" not in request.text and clean_text(request.text) == request.text

    prompt = text * times if len(text) * times < 2_000_000 else text
    arguments = {"trajectory": "forward", "frames": 2, "height": 64, "width": 64, "seed": 0}
    count("values, prompts", Case(lambda: build_request(text=prompt, **arguments), check, (PromptError,)))


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@fuzz
@given(value=anything, low=st.sampled_from([0.0, -1e6, 5.0]), high=st.sampled_from([5.0, 1e6]))
def test_any_value_as_a_number(value, low, high):
    def check(number: Any) -> None:
        assert type(number) in (int, float) and math.isfinite(number) and low <= number <= high
        assert not isinstance(value, bool) and number == value

    count("values, numbers", Case(lambda: checks.real_number(value, "angle of view", low, high), check))
    count("values, numbers", Case(lambda: checks.whole_number(value, "number of views", int(low), int(high)), check))


@fuzz
@given(value=anything | st.binary() | st.sets(st.integers()))
def test_any_value_can_be_named_in_a_message(value):
    check_sentence(f"this is what came: {checks.echo(value)}")
    assert len(checks.echo(value)) <= checks.MAX_ECHO_CHARS


@fuzz
@given(name=texts)
def test_any_name_of_a_file_can_stand_in_a_message(name):
    shown = checks.file_name(f"/a/{name}")
    check_sentence(f"the file cannot be read: {shown}")
    assert len(shown) <= checks.MAX_NAME_CHARS


READERS: dict[str, Callable[[Any], Any]] = {
    ".ply": read_scene,
    ".spz": read_scene,
    ".splat": read_scene,
    ".sog": read_scene,
    ".png": read_picture,
}
STARTS = (
    b"",
    b"ply\n",
    b"ply\nformat ascii 1.0\nelement vertex 1\n",
    b"\x1f\x8b\x08\0",
    b"NGSP\x04\0\0\0",
    b"PK\x03\x04",
    b"PK\x05\x06" + bytes(18),
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
)


@pytest.mark.parametrize("suffix", READERS)
@fuzz
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200) | st.binary(min_size=32, max_size=32))
def test_any_bytes_in_any_file(suffix, start, rest, tmp_path):
    file = tmp_path / f"a{suffix}"
    file.write_bytes(start + rest)
    check = check_photo if suffix == ".png" else check_scene
    count(f"values, {suffix} bytes", Case(lambda: READERS[suffix](file), check, (InputError,)))
