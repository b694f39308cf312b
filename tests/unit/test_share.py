"""Links come from anyone: what the controls cannot show is left out, and no link breaks the page."""

from __future__ import annotations

import math

import pytest

from flashworld.limits import MAX_FRAMES, MAX_SEED
from ui.share import Shared, read_knobs, read_query


@pytest.mark.parametrize("fov", ["nan", "inf", "-inf", "1e308", "0", "4.9", "151", "x", "\ud800"])
def test_impossible_angles_are_left_out(fov):
    assert read_query({"fov": fov}).fov is None


@pytest.mark.parametrize("number", ["-1", "9" * 400, "9" * 5000, "1e3", "nan", "", "²"])
def test_impossible_numbers_are_left_out(number):
    assert read_query({"seed": number, "frames": number}) == Shared()


def test_possible_values_stay():
    shared = read_query({"fov": "60", "seed": str(MAX_SEED), "frames": str(MAX_FRAMES), "path": "forward"})
    assert (shared.fov, shared.seed, shared.frames, shared.path) == (60.0, MAX_SEED, MAX_FRAMES, "forward")


@pytest.mark.parametrize(
    "knobs", ["[" * 100_000, '{"amplitude":' * 50_000, "9" * 5000, '{"amplitude": NaN}', "[]", "7", "\0"]
)
def test_knobs_that_are_none_give_the_defaults(knobs):
    values = read_knobs(Shared(path="forward", knobs=knobs))
    assert values == {"amplitude": 0.5} and all(math.isfinite(value) for value in values.values())
