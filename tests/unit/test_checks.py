"""User input quoted in messages: short, on one line, with nothing that a terminal or page would interpret."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flashworld.checks import MAX_ECHO_CHARS, MAX_NAME_CHARS, echo, file_name, one_line, real_number
from flashworld.errors import InputError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", r"'a\nb'"),
        ("\u202egnp.exe", r"'\u202egnp.exe'"),
        ("\ud800", r"'\ud800'"),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        (None, "None"),
        (-0.0, "-0.0"),
        (10**400, "a huge number"),
        ([1, 2, 3], "list of 3"),
        (np.zeros((3, 1)), "ndarray"),  # its repr takes three lines
        (torch.zeros(3), "Tensor"),
        (object(), "object"),
    ],
)
def test_values_are_quoted_on_one_line(value, shown):
    assert echo(value) == shown


def test_long_texts_are_truncated_before_escaping():
    assert echo("\U0001f600" * 10**6) == ascii("\U0001f600" * 40)[: MAX_ECHO_CHARS - 3] + "..."
    assert len(echo("a" * 38)) == MAX_ECHO_CHARS
    assert echo("a" * 39).endswith("...")


def test_names_of_files_lose_folders_and_control_characters():
    assert file_name("/home/me/a\nb\u202e\x1b.ply") == "a?b??.ply"
    assert file_name("/home/me/\udcff.ply") == "?.ply"  # bytes that are not UTF-8
    assert file_name("ü 1.ply") == "ü 1.ply"
    assert len(file_name("x" * 300)) == MAX_NAME_CHARS
    assert one_line("a" * 9, 8) == "aaaaa..."


def test_refusals_of_arrays_stay_on_one_line():
    with pytest.raises(InputError, match=r"^seed must be a number from 0 to 1, got ndarray$"):
        real_number(np.zeros((2, 2)), "seed", 0, 1)
