"""`.chan` files: order of lines and of rotations, and what the user is told about it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from flashworld.cli import main
from flashworld.errors import TrajectoryError
from flashworld.trajectories.chan import ORDERS, read_chan
from flashworld.trajectories.files import read_path_file
from flashworld.trajectories.json_forms import parse_trajectory
from tests.unit.test_path_forms import check, parse
from ui.events.camera_path import PathForm
from ui.events.path_files import files_as_text

ROLLED = "1 0 0 0 90 0 90 50\n2 0 0 0 0 0 0 50\n"
NOTE = (
    "the rotation order of the .chan file is assumed to be ZXY, Nuke's default: another one is read from the file's name, "
    "as in camera_XYZ.chan"
)


def rotation(text: str, name: str = "") -> np.ndarray:
    """The first camera's rotation. (3, 3)"""
    w, x, y, z = read_chan(text, name)["cameras"][0]["quaternion_wxyz"]  # type: ignore[index]
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def turn(axis: str, degrees: float) -> np.ndarray:
    """A right-handed rotation about one axis. (3, 3)"""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array({
        "X": [[1, 0, 0], [0, c, -s], [0, s, c]], "Y": [[c, 0, s], [0, 1, 0], [-s, 0, c]], "Z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis])  # fmt: skip


def test_lines_are_sorted_by_frame_number(tmp_path):
    fov = math.degrees(2 * math.atan(240 / 600))
    lines = [
        f"{i + 1}\t{0.3 * i:f}\t0.5\t-1\t0\t{math.degrees(0.15 * i):.9f}\t0\t{fov:.9f}"
        for i in (3, 0, 1, 2, 4, 5, 6, 7)
    ]
    file = tmp_path / "camera.chan"
    file.write_text("\n".join(lines) + "\n")
    check(parse(read_path_file(file)), world=np.eye(4))
    with pytest.raises(TrajectoryError, match=r"line 2 of a \.chan file must be 8 numbers"):
        read_chan("1 0 0 0 0 0 0 50\n2 0 0 0\n")


def test_nukes_order_rolls_first_and_pans_last():
    np.testing.assert_allclose(rotation(ROLLED) @ [0, 0, -1], [0, 1, 0], atol=1e-12)  # rolled about z, then up to +y
    np.testing.assert_allclose(rotation(ROLLED) @ [0, 1, 0], [-1, 0, 0], atol=1e-12)
    panned = rotation("1 0 0 0 10 20 30 50\n")
    np.testing.assert_allclose(panned, turn("Y", 20) @ turn("X", 10) @ turn("Z", 30), atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_in_the_files_name_is_used(order):
    angles = {"X": 10, "Y": 20, "Z": 30}
    first, second, third = (turn(axis, angles[axis]) for axis in order)
    for name in (f"shot_{order}_36x24.chan", f"{order}.chan", f"a-{order}-1.CHAN"):
        np.testing.assert_allclose(rotation("1 0 0 0 10 20 30 50\n", name), third @ second @ first, atol=1e-12)


@pytest.mark.parametrize("name", ["", "camera.chan", "fooXYZbar.chan", "xyz.chan", "XYZ_to_YXZ.chan"])
def test_names_that_state_no_single_order_mean_nukes(name):
    np.testing.assert_array_equal(rotation(ROLLED, name), rotation(ROLLED))
    assert parse_chan(ROLLED, name).notes == (NOTE,)


def parse_chan(text: str, name: str = ""):
    return parse_trajectory(read_chan(text, name), height=480, width=704, fov_y_deg=60.0)


def test_the_assumed_order_is_reported_where_it_matters():
    assert parse_chan(ROLLED).notes == (NOTE,)
    assert parse_chan(ROLLED, "camera_ZXY.chan").notes == ()
    assert parse_chan("1 0 0 0 0 20 0 50\n2 0 0 0 30 0 360 50\n").notes == (), "one axis at a time has no order"
    for value in ("up", 7, ["ZXY"], "XYZ"):
        with pytest.raises(TrajectoryError, match="assumed_rotation_order must be one of ZXY, "):
            parse({**read_chan(ROLLED), "assumed_rotation_order": value})


def test_the_note_reaches_the_command_line_and_the_page(tmp_path, capsys):
    file = tmp_path / "camera.chan"
    file.write_text(ROLLED)
    assert main(["trajectory", "convert", str(file), "--out", str(tmp_path / "out.json"), "--quiet"]) == 0
    assert f"note: {NOTE}" in capsys.readouterr().err
    _, notes = PathForm("file", "", file_text=files_as_text([file])).cameras(8, 96, 128, 60.0)
    assert notes == (NOTE,)
    named = file.rename(tmp_path / "camera_XYZ.chan")
    _, notes = PathForm("file", "", file_text=files_as_text([named])).cameras(8, 96, 128, 60.0)
    assert notes == ()
    assert json.loads(files_as_text([named])) == read_path_file(named)
