"""Share links are untrusted: values the controls cannot show are left out, and no link breaks the page."""

from __future__ import annotations

import base64
import json
import math
import zlib
from urllib.parse import parse_qsl

import numpy as np
import pytest

from flashworld.limits import MAX_FRAMES, MAX_SEED
from ui.share import MAX_LINK_CHARS, Shared, pack, read_parameters, read_query, share_query, unpack


@pytest.mark.parametrize("fov", ["nan", "inf", "-inf", "1e308", "0", "4.9", "151", "x", "\ud800"])
def test_invalid_angles_are_left_out(fov):
    assert read_query({"fov": fov}).fov is None


@pytest.mark.parametrize("number", ["-1", "9" * 400, "9" * 5000, "1e3", "nan", "", "²"])
def test_invalid_numbers_are_left_out(number):
    assert read_query({"seed": number, "frames": number}) == Shared()


def test_valid_values_are_kept():
    shared = read_query({"fov": "60", "seed": str(MAX_SEED), "frames": str(MAX_FRAMES), "path": "forward"})
    assert (shared.fov, shared.seed, shared.frames, shared.path) == (60.0, MAX_SEED, MAX_FRAMES, "forward")


@pytest.mark.parametrize(
    "parameters", ["[" * 100_000, '{"amplitude":' * 50_000, "9" * 5000, '{"amplitude": NaN}', "[]", "7", "\0"]
)
def test_invalid_parameters_give_the_defaults(parameters):
    values = read_parameters(Shared(path="forward", parameters=parameters))
    assert values == {"amplitude": 0.5} and all(math.isfinite(value) for value in values.values())


def test_path_round_trips_through_a_link():
    keys = [{"position": [0.1234567, 0, -1.5], "quat_wxyz": [1, 0, 0, 0], "fov_y_deg": 60.0}] * 12
    query, whole = share_query(Shared(text="a room & a hall", keys=pack({"keyframes": keys, "loop": True})))
    assert whole
    back = read_query(dict(parse_qsl(query)))
    assert back.text == "a room & a hall"
    assert json.loads(unpack(back.keys))["keyframes"][0]["position"] == [0.12346, 0, -1.5]


def test_path_too_long_for_a_link_is_left_out_and_the_rest_kept():
    rows = np.random.default_rng(0).random((500, 8)).tolist()
    query, whole = share_query(Shared(text="a room", seed=7, cameras=pack(rows)))
    assert not whole
    assert len(query) <= MAX_LINK_CHARS
    assert read_query(dict(parse_qsl(query))) == Shared(text="a room", seed=7)


def test_long_text_is_truncated_and_the_rest_kept():
    query, whole = share_query(Shared(text="森" * 2000, seed=7, path="forward", size="192x288"))
    assert not whole
    assert 0.9 * MAX_LINK_CHARS < len(query) <= MAX_LINK_CHARS
    back = read_query(dict(parse_qsl(query)))
    assert set(back.text) == {"森"}
    assert (back.seed, back.path, back.size) == (7, "forward", "192x288")


BOMB = base64.urlsafe_b64encode(zlib.compress(b"[" * 10_000_000)).decode()


@pytest.mark.parametrize("packed", ["x", "====", "\ud800", "€", BOMB, pack([])[:-3], base64.b64encode(b"abc").decode()])
def test_invalid_packed_path_gives_empty_text(packed):
    assert unpack(packed) == ""
