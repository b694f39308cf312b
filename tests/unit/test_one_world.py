"""A scene of another tool and the cameras of the same training belong to one world: a blob is drawn where that tool draws it.

Everything foreign is written here with numpy and plyfile, and projected here by the foreign convention: OpenCV axes,
pixel = K (R X + t) with X as it is in the file.
"""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from plyfile import PlyData, PlyElement

from flashworld.cameras import Cameras, intrinsics_from_fov, invert_rigid
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import read_scene, write_scene
from flashworld.rendering import render
from flashworld.trajectories.files import read_path_file
from flashworld.trajectories.json_forms import to_transforms_json, trajectory_to_json
from flashworld.trajectories.resolve import build_path
from tests.unit.test_path_forms import HEIGHT, WIDTH

FOCAL_PX = 500.0
SH_C0 = 0.28209479177387814
BLOBS = np.array([[0.5, 1.0, 5.0], [-0.7, 0.4, 4.0], [0.2, -0.6, 6.0]])
"""Centres of a red, a green and a blue blob in the trainer's world: y down, z forward of a camera without rotation."""
CAMERA_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenCV to OpenGL axes of a camera, on the right of camera-to-world."""
FORMS = ("cameras.json", "colmap/txt", "colmap/bin", "camera_path.json", "transforms.json")
SCENES = ("scene.ply", "scene.splat")


def turn(axis: int, angle: float) -> np.ndarray:
    """A rotation about x, y or z (axis 1, 2, 3) as a quaternion wxyz."""
    quat = np.zeros(4)
    quat[0], quat[axis] = np.cos(angle / 2), np.sin(angle / 2)
    return quat


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.array([scalar, *(a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:]))])


def matrix(quat: np.ndarray) -> np.ndarray:
    w, v = quat[0], quat[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


WORLD_TO_CAMERA = [
    (
        multiply(turn(3, 0.2 * i), multiply(turn(1, -0.04 * i), turn(2, 0.15 * i - 0.1))),
        np.array([0.1 * i, -0.2, 0.3 * i]),
    )
    for i in range(4)
]
"""Quaternion wxyz and translation of four cameras, as COLMAP stores them."""


def camera_to_world(quat: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """OpenCV camera axes. (4, 4)"""
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = matrix(quat).T, -matrix(quat).T @ translation
    return c2w


def projected() -> np.ndarray:
    """Pixels (x, y) of the blobs in the cameras, as the trainer draws them. (4, 3, 2)"""
    local = np.stack([BLOBS @ matrix(quat).T + translation for quat, translation in WORLD_TO_CAMERA])
    assert (local[..., 2] > 1).all()
    return FOCAL_PX * local[..., :2] / local[..., 2:] + [WIDTH / 2, HEIGHT / 2]


def write_foreign_scene(folder, name: str) -> None:
    colours = np.eye(3)
    if name.endswith(".splat"):
        rows = np.zeros(3, dtype=[("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
        rows["mean"], rows["scale"] = BLOBS, 0.04
        rows["rgba"], rows["quat"] = np.c_[colours * 255, [255] * 3], [255, 128, 128, 128]
        (folder / name).write_bytes(rows.tobytes())
        return
    values = {f"f_dc_{c}": (colours[:, c] - 0.5) / SH_C0 for c in range(3)}
    values |= dict(zip("xyz", BLOBS.T, strict=True))
    values |= {f"scale_{axis}": np.full(3, np.log(0.04)) for axis in range(3)}
    values |= {"opacity": np.full(3, 4.0), "rot_0": np.ones(3), **{f"rot_{k}": np.zeros(3) for k in (1, 2, 3)}}
    table = np.zeros(3, dtype=[(column, "<f4") for column in values])
    for column, numbers in values.items():
        table[column] = numbers
    PlyData([PlyElement.describe(table, "vertex")]).write(str(folder / name))


def write_foreign_path(folder, form: str):
    """The four cameras in one of the forms; returns the path's file or folder."""
    poses = [camera_to_world(*pose) for pose in WORLD_TO_CAMERA]
    if form.startswith("colmap"):
        return write_colmap(folder, form.removeprefix("colmap/"))
    if form == "cameras.json":
        data: object = [
            {"id": i, "img_name": f"{i}", "width": WIDTH, "height": HEIGHT, "fx": FOCAL_PX, "fy": FOCAL_PX,
             "rotation": c2w[:3, :3].tolist(), "position": c2w[:3, 3].tolist()} for i, c2w in enumerate(poses)
        ]  # fmt: skip
    elif form == "camera_path.json":
        fov = float(np.degrees(2 * np.arctan(0.5 * HEIGHT / FOCAL_PX)))
        views = [{"camera_to_world": (c2w @ CAMERA_AXES).flatten().tolist(), "fov": fov} for c2w in poses]
        data = {"render_height": HEIGHT, "render_width": WIDTH, "camera_path": views}
    else:
        frames = [
            {"file_path": f"{i}.png", "transform_matrix": (c2w @ CAMERA_AXES).tolist()} for i, c2w in enumerate(poses)
        ]
        data = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL_PX, "fl_y": FOCAL_PX, "frames": frames}
    (folder / form).write_text(json.dumps(data))
    return folder / form


def write_colmap(folder, kind: str):
    lens = (FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2)
    if kind == "txt":
        (folder / "cameras.txt").write_text(f"1 PINHOLE {WIDTH} {HEIGHT} {' '.join(map(str, lens))}\n")
        rows = [f"{i + 1} {' '.join(repr(float(v)) for v in (*q, *t))} 1 {i}.jpg\n\n"
                for i, (q, t) in enumerate(WORLD_TO_CAMERA)]  # fmt: skip
        (folder / "images.txt").write_text("".join(rows))
    else:
        (folder / "cameras.bin").write_bytes(struct.pack("<QiiQQ4d", 1, 1, 1, WIDTH, HEIGHT, *lens))
        rows = [struct.pack("<i7di", i + 1, *q, *t, 1) + f"{i}.jpg".encode() + b"\0" + struct.pack("<Q", 0)
                for i, (q, t) in enumerate(WORLD_TO_CAMERA)]  # fmt: skip
        (folder / "images.bin").write_bytes(struct.pack("<Q", len(rows)) + b"".join(rows))
    return folder


def read_cameras(path, frames: int = 4) -> Cameras:
    lens = intrinsics_from_fov(60, HEIGHT, WIDTH)
    return build_path(read_path_file(path), {}, frames=frames, height=HEIGHT, width=WIDTH, intrinsics=lens)[0]


def drawn(scene: Gaussians, cameras: Cameras) -> np.ndarray:
    """Centres of the red, green and blue light in our render, pixels (x, y). (N, 3, 2)"""
    rgb = render(scene, cameras, HEIGHT, WIDTH, background=(0, 0, 0)).rgb.numpy().astype(float)
    light = np.clip(rgb - 0.05, 0, None)  # 8 bits a colour leave a trace of red in the green blob
    total = light.sum(axis=(1, 2))
    assert (total > 10).all(), "a blob is missing"
    x = np.einsum("nhwc,w->nc", light, np.arange(WIDTH) + 0.5) / total
    y = np.einsum("nhwc,h->nc", light, np.arange(HEIGHT) + 0.5) / total
    return np.stack([x, y], axis=-1)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("form", FORMS)
def test_a_trained_scene_is_seen_by_the_cameras_of_its_training(form, scene, tmp_path):
    write_foreign_scene(tmp_path, scene)
    cameras = read_cameras(write_foreign_path(tmp_path, form))
    # a small ball's image is an ellipse whose centre is off the image of its centre by less than this
    np.testing.assert_allclose(drawn(read_scene(tmp_path / scene), cameras), projected(), atol=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_motion_from_the_first_camera_is_that_of_the_file(form, tmp_path):
    """All that a generated scene depends on: its path is made relative to the first camera."""
    cameras = read_cameras(write_foreign_path(tmp_path, form))
    poses = np.stack([camera_to_world(*pose) @ CAMERA_AXES for pose in WORLD_TO_CAMERA])
    relative = (invert_rigid(cameras.c2w[0]) @ cameras.c2w).numpy()
    np.testing.assert_allclose(relative, np.linalg.inv(poses[0]) @ poses, atol=2e-6)


@pytest.mark.parametrize("scene", ["scene.ply", "scene.spz"])
def test_own_path_and_the_scene_beside_it_belong_to_one_world(scene, tmp_path):
    write_foreign_scene(tmp_path, "foreign.ply")
    whole, cameras = read_scene(tmp_path / "foreign.ply"), read_cameras(write_foreign_path(tmp_path, "cameras.json"))
    write_scene(whole, tmp_path / scene)
    (tmp_path / "path.json").write_text(json.dumps(trajectory_to_json(cameras, height=HEIGHT, width=WIDTH)))
    found = drawn(read_scene(tmp_path / scene), read_cameras(tmp_path / "path.json"))
    np.testing.assert_allclose(found, projected(), atol=0.05)


def test_written_transforms_fit_the_ply_written_beside_them(tmp_path):
    """As another tool reads both: the numbers of the PLY, and OpenGL cameras in their world."""
    write_foreign_scene(tmp_path, "foreign.ply")
    cameras = read_cameras(write_foreign_path(tmp_path, "colmap/bin"))
    write_scene(read_scene(tmp_path / "foreign.ply"), tmp_path / "scene.ply")
    vertex = PlyData.read(str(tmp_path / "scene.ply"))["vertex"]
    centres = np.stack([np.array(vertex[axis], dtype=float) for axis in "xyz"], axis=1)
    order = np.argmax([vertex[f"f_dc_{c}"] for c in range(3)], axis=1)
    data = json.loads(json.dumps(to_transforms_json(cameras, height=HEIGHT, width=WIDTH)))
    for frame, wanted in zip(data["frames"], projected(), strict=True):  # type: ignore[arg-type]
        w2c = np.linalg.inv(np.array(frame["transform_matrix"]) @ CAMERA_AXES)
        local = centres[order] @ w2c[:3, :3].T + w2c[:3, 3]
        pixels = frame["fl_x"] * local[:, :2] / local[:, 2:] + [frame["cx"], frame["cy"]]
        np.testing.assert_allclose(pixels, wanted, atol=1e-2)


def test_an_animation_states_the_world_of_this_project(tmp_path):
    """y up, as the exporters of `.chan` write it: no scene format goes with it, so nothing is turned."""
    (tmp_path / "a.chan").write_text("1 1 2 3 0 0 0 50\n2 1 2 4 0 0 0 50\n")
    cameras = read_cameras(tmp_path / "a.chan", frames=2)
    torch.testing.assert_close(cameras.positions, torch.tensor([[1.0, 2, 3], [1, 2, 4]]))
    torch.testing.assert_close(cameras.quats_wxyz, torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4))
