"""The guess at which way is up: right on grounds and rooms in any axes, silent where nothing tells."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks.scenes import room_scene
from flashworld.cameras import matrix_to_quat, quat_from_axis_angle, quat_multiply, quat_to_matrix
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import read_scene
from flashworld.scene_axes import guess_axes

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/result/scene.spz"))
TURN_TO = {
    "+y": (0.0, (1.0, 0.0, 0.0)), "-y": (180.0, (1.0, 0.0, 0.0)), "+z": (90.0, (1.0, 0.0, 0.0)),
    "-z": (-90.0, (1.0, 0.0, 0.0)), "+x": (-90.0, (0.0, 0.0, 1.0)), "-x": (90.0, (0.0, 0.0, 1.0)),
}  # fmt: skip
"""By the axis that points up afterwards: the rotation of a scene with y up, in degrees."""


def turned(scene: Gaussians, degrees: float, axis: tuple[float, float, float]) -> Gaussians:
    turn = quat_from_axis_angle(axis, torch.tensor(math.radians(degrees)))
    quats = quat_multiply(turn.expand(len(scene), 4), scene.quats_wxyz)
    return Gaussians(scene.means @ quat_to_matrix(turn).T, quats, scene.scales, scene.opacities, scene.sh)


def moved(scene: Gaussians, offset: tuple[float, float, float]) -> Gaussians:
    means = scene.means + torch.tensor(offset)
    return Gaussians(means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh)


def joined(*parts: Gaussians) -> Gaussians:
    return Gaussians(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def discs(means: torch.Tensor, normals: torch.Tensor, noise: float = 0.12) -> Gaussians:
    """Flat Gaussians with noise of that many radians on their normals and about the same on their shapes."""
    count = len(means)
    normals = torch.nn.functional.normalize(normals + noise * torch.randn(count, 3), dim=1)
    side = torch.nn.functional.normalize(torch.linalg.cross(normals, torch.randn(count, 3)), dim=1)
    quats = matrix_to_quat(torch.stack([side, torch.linalg.cross(normals, side), normals], dim=2))
    scales = torch.tensor([0.1, 0.1, 0.02]) * torch.exp(0.2 * torch.randn(count, 3))
    return Gaussians(means + 0.02 * torch.randn(count, 3), quats, scales, torch.rand(count), torch.zeros(count, 1, 3))


def rectangle(count: int, low: tuple[float, float, float], high: tuple[float, float, float]) -> Gaussians:
    """A flat rectangle across the axis in which its corners agree."""
    a, b = torch.tensor(low), torch.tensor(high)
    return discs(a + (b - a) * torch.rand(count, 3), (a == b).float().expand(count, 3))


def ball(count: int, centre: tuple[float, float, float], radius: float) -> Gaussians:
    """The surface of a sphere."""
    normals = torch.nn.functional.normalize(torch.randn(count, 3), dim=1)
    return discs(torch.tensor(centre) + radius * normals, normals)


def floaters(count: int, extent: float) -> Gaussians:
    means, quats = extent * (2 * torch.rand(count, 3) - 1), torch.randn(count, 4)
    scales = 0.1 * torch.exp(0.5 * torch.randn(count, 3))
    return Gaussians(means, quats, scales, torch.rand(count), torch.zeros(count, 1, 3))


def ground() -> Gaussians:
    """Ground with balls of different sizes on it, and haze, around the origin."""
    plain = rectangle(3000, (-4, -1, -4), (4, -1, 4))
    return joined(plain, ball(500, (1, -0.2, 1), 0.8), ball(500, (-2, -0.5, 0), 0.5), floaters(400, 2.0))


def room(*, ceiling: bool, front: bool = True) -> Gaussians:
    """Floor, walls and a table, around the origin; 5 x 2.6 x 4."""
    walls = [rectangle(650, (x, -1.3, -2), (x, 1.3, 2)) for x in (-2.5, 2.5)]
    walls += [rectangle(800, (-2.5, -1.3, z), (2.5, 1.3, z)) for z in ((-2, 2) if front else (-2,))]
    flat = [rectangle(1250, (-2.5, -1.3, -2), (2.5, -1.3, 2)), rectangle(100, (-1, -0.55, -0.4), (1, -0.55, 0.4))]
    above = [rectangle(1250, (-2.5, 1.3, -2), (2.5, 1.3, 2))] if ceiling else []
    return joined(*walls, *flat, *above, floaters(300, 1.3))


@pytest.mark.parametrize("up", TURN_TO)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [ground, lambda: room(ceiling=False)], ids=["ground", "room"])
def test_ground_tells_which_way_is_up_at_any_yaw(make, seed, up):
    torch.manual_seed(seed)
    yaw = 0.0 if seed == 0 else float(360 * torch.rand(1))
    scene = turned(turned(make(), yaw, (0.0, 1.0, 0.0)), *TURN_TO[up])
    guess = guess_axes(scene)
    assert (guess.up, guess.confidence) == (up, "likely"), guess.words
    assert len(guess.evidence) == 1 and "flat area faces along" in guess.evidence[0]
    assert bool(guess.advice) == (up != "+y")


@pytest.mark.parametrize("up", [up for up in TURN_TO if up != "+y"])
def test_advised_turn_puts_y_up(up):
    scene = turned(ground(), *TURN_TO[up])
    degrees, axis = guess_axes(scene).advice.partition("turn it by ")[2].split(" degrees about ")
    assert guess_axes(turned(scene, float(degrees), tuple(float(axis[0] == k) for k in "xyz"))).up == "+y"


@pytest.mark.parametrize("up", TURN_TO)
def test_room_with_a_ceiling_is_not_claimed_to_have_an_up_direction(up):
    guess = guess_axes(turned(turned(room(ceiling=True), 30, (0.0, 1.0, 0.0)), *TURN_TO[up]))
    assert (guess.up, guess.confidence) == ("", "none"), guess.words
    assert guess.words == "no clear up direction"


@pytest.mark.parametrize("yaw", [0, 90, 180, 20])
def test_wall_without_its_opposite_is_not_taken_for_ground(yaw):
    assert guess_axes(turned(room(ceiling=True, front=False), yaw, (0.0, 1.0, 0.0))).up == ""
    assert guess_axes(turned(room(ceiling=False, front=False), yaw, (0.0, 1.0, 0.0))).up in ("+y", "")


@pytest.mark.parametrize("seed", range(10))
def test_balls_clouds_and_cubes_have_no_up_direction(seed):
    torch.manual_seed(seed)
    sides = [
        rectangle(400, *([(s if k == axis else e) for k in range(3)] for e in (-1, 1)))
        for axis in range(3)
        for s in (-1, 1)
    ]
    for scene in (ball(2000, (0, 0, 0), 1.0), floaters(3000, 1.0), joined(*sides), floaters(1, 1.0), floaters(30, 1.0)):
        assert guess_axes(scene).confidence == "none", guess_axes(scene).words


@pytest.mark.parametrize("tilt", [35, 45, 60])
def test_up_between_the_axes_is_not_claimed_to_be_one_of_them(tilt):
    assert guess_axes(turned(ground(), tilt, (1.0, 0.0, 0.0))).up == ""


def test_position_and_ground_together_are_clear():
    scene = moved(ground(), (0, 0, -6))
    assert (guess_axes(scene).up, guess_axes(scene).confidence) == ("+y", "clear")
    over = turned(scene, 180, (1.0, 0.0, 0.0))
    guess = guess_axes(over)
    assert (guess.up, guess.confidence) == ("-y", "clear")
    assert guess.words.startswith("y down, clear: ") and "OpenCV" in guess.advice


def test_position_alone_is_likely():
    cloud = moved(floaters(2000, 1.0), (0, 0, -6))
    assert (guess_axes(cloud).up, guess_axes(cloud).confidence) == ("+y", "likely")
    assert guess_axes(cloud).words.startswith("y up (as read), likely: ")
    behind = guess_axes(turned(cloud, 180, (1.0, 0.0, 0.0)))
    assert (behind.up, behind.confidence) == ("-y", "likely")


def test_contradiction_is_reported_and_nothing_claimed():
    upside_down = guess_axes(moved(turned(ground(), 180, (0.0, 0.0, 1.0)), (0, 0, -6)))
    assert upside_down.up == "" and len(upside_down.evidence) == 2
    ground_or_wall = guess_axes(moved(turned(ground(), *TURN_TO["+z"]), (0, 0, -6)))
    assert ground_or_wall.up == "" and "ground or a wall" in ground_or_wall.words


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_guess_depends_neither_on_the_unit_nor_on_the_order(factor):
    scene = turned(ground(), *TURN_TO["+z"])
    assert guess_axes(scene.scaled(factor)).up == guess_axes(scene[torch.randperm(len(scene))]).up == "+z"


def test_few_enormous_gaussians_change_nothing():
    sky = floaters(100, 3.0)
    assert guess_axes(joined(ground(), Gaussians(**vars(sky) | {"scales": 1e3 * sky.scales}))).up == "+y"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parts[-3])
def test_examples_have_y_up_and_are_recognised_upside_down(file):
    scene = read_scene(file)
    guess, over = guess_axes(scene), guess_axes(turned(scene, *TURN_TO["-y"]))
    assert (guess.up, over.up) == ("+y", "-y") and guess.confidence == over.confidence != "none"


def test_closed_room_ahead_has_y_up_by_its_position():
    guess = guess_axes(room_scene(20_000))
    assert (guess.up, guess.confidence) == ("+y", "likely")


@pytest.mark.parametrize("height", [0.5, 2.0, 4.0, 7.0])
def test_wall_behind_the_ground_may_hide_the_answer_but_gives_no_wrong_one(height):
    wall = rectangle(int(375 * height), (-4, -1, -4), (4, height - 1, -4))
    assert guess_axes(joined(ground(), wall)).up == ("+y" if height <= 2 else "")


@pytest.mark.parametrize("extreme", [{"means": 1e30}, {"scales": 1e30}, {"scales": 1e-30}, {"opacities": 0.0}])
def test_extreme_numbers_are_no_error(extreme):
    scene = ground()
    for name, factor in extreme.items():
        scene = Gaussians(**vars(scene) | {name: getattr(scene, name) * factor})
    assert guess_axes(scene).up in ("+y", "")
