"""Camera paths as other programs write them: nerfstudio, INRIA, COLMAP, Blender; their order, and hints about it."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import torch

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.cli import main
from flashworld.errors import TrajectoryError
from flashworld.inputs import build_request
from flashworld.trajectories.files import read_path_file
from flashworld.trajectories.json_forms import parse_trajectory
from flashworld.trajectories.ordering import jump_note, natural_key
from flashworld.trajectories.resolve import build_path

HEIGHT, WIDTH = 480, 704
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
COUNT = 8


def arc(index: int) -> np.ndarray:
    """Camera-to-world, OpenGL axes, on an arc."""
    c, s = math.cos(0.15 * index), math.sin(0.15 * index)
    return np.array([[c, 0, s, 0.3 * index], [0, 1, 0, 0.5], [-s, 0, c, -1], [0, 0, 0, 1]])


def parse(data: object) -> object:
    return parse_trajectory(data, height=HEIGHT, width=WIDTH, fov_y_deg=50.0)  # type: ignore[arg-type]


def check(parsed, focal_px: float = 600.0, count: int = COUNT, world: np.ndarray = FLIP) -> None:
    """The arc, in order, with the lens; `world` turns the file's world to this project's."""
    wanted = torch.from_numpy(np.stack([world @ arc(i) for i in range(count)])).float()
    torch.testing.assert_close(parsed.cameras.c2w, wanted, atol=2e-6, rtol=0)
    lens = parsed.cameras.intrinsics * torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    torch.testing.assert_close(lens, torch.tensor([focal_px, focal_px, 352, 240]).expand(count, 4), atol=1e-2, rtol=0)


SHUFFLED = [5, 0, 7, 2, 6, 1, 4, 3]


def transforms(order=SHUFFLED, name="images/frame_{:05d}.png") -> dict:
    frames = [{"file_path": name.format(i + 1), "transform_matrix": arc(i).tolist()} for i in order]
    return {"w": WIDTH, "h": HEIGHT, "fl_x": 600, "k1": 0.01, "frames": frames}


def test_frames_are_sorted_by_name_and_the_user_is_told():
    parsed = parse(transforms())
    check(parsed)
    assert parsed.notes == ("the file's cameras were sorted by the names of their images",)
    length = float((parsed.cameras.positions[1:] - parsed.cameras.positions[:-1]).norm(dim=1).sum())
    assert length == pytest.approx(2.1, rel=1e-5)
    check(parse(transforms(name="a/{}.jpg")))
    assert parse(transforms(range(COUNT))).notes == ()


def test_numbers_in_names_sort_numerically():
    names = ["b", "frame_10.png", "frame_2.png", "a1b2", "a1b10", "1"]
    assert sorted(names, key=natural_key) == ["1", "a1b2", "a1b10", "b", "frame_2.png", "frame_10.png"]


def test_shuffled_frames_without_names_keep_their_order_and_get_a_hint():
    data = transforms()
    for frame in data["frames"]:
        del frame["file_path"]
    parsed = parse(data)
    torch.testing.assert_close(parsed.cameras.positions[0], torch.tensor((FLIP @ arc(5))[:3, 3]).float())
    assert len(parsed.notes) == 1 and parsed.notes[0].endswith("is the order right?")


def test_only_paths_that_jump_get_a_hint():
    def path(xs):
        places = torch.tensor([[float(x), 0, 0] for x in xs])
        return Cameras(
            torch.tensor([[1.0, 0, 0, 0]]).expand(len(xs), 4), places, intrinsics_from_fov(60, 4, 4).expand(len(xs), 4)
        )

    assert jump_note(path(range(10))) is None and jump_note(path([0] * 10)) is None
    assert jump_note(path([0, 1, 2, 3, 4, 3, 2, 1, 0])) is None, "a path that returns does not jump"
    assert "cameras 3 and 4" in (jump_note(path([0, 1, 2, 3, 90, 91, 92])) or "")


def test_notes_reach_the_request_and_the_command_line(tmp_path, capsys):
    path = build_request(text="a room", trajectory=transforms(), seed=0).path
    assert path.notes[0].startswith("the file's cameras were sorted")
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps(transforms()))
    assert main(["trajectory", "convert", str(file), "--out", str(tmp_path / "out.json"), "--quiet"]) == 0
    assert "note: the file's cameras were sorted" in capsys.readouterr().err


def camera_path(matrix=lambda i: arc(i).flatten().tolist(), **fields) -> dict:
    fov = math.degrees(2 * math.atan(240 / 600))
    views = [{"camera_to_world": matrix(i), "fov": fov, "aspect": 1} for i in range(COUNT)]
    return {"keyframes": [], "camera_type": "perspective", "render_height": HEIGHT, "render_width": WIDTH,
            "camera_path": views, "fps": 24, "seconds": 4, "is_cycle": False, **fields}  # fmt: skip


def test_nerfstudio_camera_path():
    parsed = parse(camera_path())
    check(parsed)
    assert parsed.source_format == "camera_path.json" and parsed.notes == ()
    check(parse(camera_path(lambda i: arc(i).tolist())))
    with pytest.raises(TrajectoryError, match="camera path: camera_type must be one of"):
        parse(camera_path(camera_type="equirectangular"))
    with pytest.raises(TrajectoryError, match="camera 0: camera_to_world must be 16 numbers by rows, got list of 5"):
        parse(camera_path(lambda i: [1] * 5))


def inria(order=SHUFFLED) -> list:
    return [{"id": n, "img_name": f"{i:05d}", "width": WIDTH, "height": HEIGHT, "position": arc(i)[:3, 3].tolist(),
             "rotation": (arc(i) @ FLIP)[:3, :3].tolist(), "fx": 600.0, "fy": 600.0} for n, i in enumerate(order)]  # fmt: skip


def test_inria_cameras():
    parsed = parse(inria())
    check(parsed)
    assert parsed.source_format == "cameras.json"
    check(parse(json.dumps(inria())))
    cameras, _ = build_path(inria(), {}, frames=COUNT, height=HEIGHT, width=WIDTH,
                            intrinsics=intrinsics_from_fov(60, HEIGHT, WIDTH))  # fmt: skip
    torch.testing.assert_close(cameras.positions, parsed.cameras.positions)


def colmap(folder, kind: str, model: str = "PINHOLE", params=(600.0, 600.0, 352.0, 240.0), code: int = 1) -> None:
    """A model as COLMAP writes it; poses are world-to-camera in OpenCV axes."""
    poses = []
    for index in SHUFFLED:
        w2c = np.linalg.inv(arc(index) @ FLIP)
        trace = w2c[:3, :3]
        w = math.sqrt(max(0.0, 1 + trace.trace())) / 2
        if w < 0.1:  # half a turn: the vector part comes from R + I
            axis = np.sqrt(np.maximum((np.diag(trace) + 1) / 2, 0))
            largest = int(axis.argmax())
            xyz = (trace + np.eye(3))[largest] / (2 * axis[largest])
            w = np.array([trace[2, 1] - trace[1, 2], trace[0, 2] - trace[2, 0], trace[1, 0] - trace[0, 1]])[largest] / (
                4 * xyz[largest]
            )
        else:
            xyz = np.array([trace[2, 1] - trace[1, 2], trace[0, 2] - trace[2, 0], trace[1, 0] - trace[0, 1]]) / (4 * w)
        poses.append((index, (w, *xyz), w2c[:3, 3]))
    if kind == "txt":
        (folder / "cameras.txt").write_text(f"# Camera list\n3 {model} {WIDTH} {HEIGHT} {' '.join(map(str, params))}\n")
        lines = [f"{i + 1} {' '.join(map(repr, map(float, (*q, *t))))} 3 frame {i:04d}.jpg\n{'1.0 2.0 -1 ' * (i % 3)}\n"
                 for i, q, t in poses]  # fmt: skip
        (folder / "images.txt").write_text("# Image list\n#   POINTS2D[]\n" + "".join(lines))
    else:
        (folder / "cameras.bin").write_bytes(
            struct.pack("<QiiQQ", 1, 3, code, WIDTH, HEIGHT) + struct.pack(f"<{len(params)}d", *params)
        )
        images = [struct.pack("<i7di", i + 1, *q, *t, 3) + f"frame {i:04d}.jpg".encode() + b"\0"
                  + struct.pack("<Q", i % 3) + struct.pack("<ddq", 1, 2, -1) * (i % 3) for i, q, t in poses]  # fmt: skip
        (folder / "images.bin").write_bytes(struct.pack("<Q", len(images)) + b"".join(images))


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_colmap_models(kind, tmp_path):
    colmap(tmp_path, kind)
    for name in (tmp_path, tmp_path / f"images.{kind}"):
        check(parse(read_path_file(name)))
    with pytest.raises(TrajectoryError, match="a COLMAP model is cameras and images"):
        (tmp_path / f"cameras.{kind}").unlink()
        read_path_file(tmp_path)


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_colmap_lenses(kind, tmp_path):
    colmap(tmp_path, kind, "SIMPLE_RADIAL", (600.0, 352.0, 240.0, -0.2), 2)
    parsed = parse(read_path_file(tmp_path))
    check(parsed)
    assert "lens distortion is ignored (k1 = -0.2): cameras are treated as pinholes" in parsed.notes
    colmap(tmp_path, kind, "OPENCV_FISHEYE", (600.0, 600.0, 352.0, 240.0, 0, 0, 0, 0), 5)
    with pytest.raises(TrajectoryError, match=r"model must be one of .* got 'OPENCV_FISHEYE'"):
        read_path_file(tmp_path)


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_damaged_colmap_models_are_refused(kind, tmp_path):
    colmap(tmp_path, kind)
    file = tmp_path / f"images.{kind}"
    whole = file.read_bytes()
    for end in range(70, len(whole) - 200, 97):
        file.write_bytes(whole[:end])
        try:
            parsed = parse(read_path_file(tmp_path))
        except TrajectoryError:
            continue
        assert kind == "txt" and len(parsed.cameras) < COUNT, "a text file may be truncated between two images"


def test_colmap_text_without_the_lines_of_observations_keeps_every_image(tmp_path):
    colmap(tmp_path, "txt")
    file = tmp_path / "images.txt"
    lines = file.read_text().splitlines()
    poses = [line for line in lines if line.endswith(".jpg")]
    file.write_text("\n".join(poses) + "\n")
    check(parse(read_path_file(tmp_path)))
    file.write_text("\n".join(line.replace("frame ", "") for line in poses))  # 10 words, the usual names
    check(parse(read_path_file(tmp_path)))
    file.write_text("\n".join([poses[0], "1 2 -1 3 4 77", *poses[1:]]))
    check(parse(read_path_file(tmp_path)))


def test_a_line_of_colmap_text_that_is_neither_pose_nor_observations_is_refused(tmp_path):
    colmap(tmp_path, "txt")
    file = tmp_path / "images.txt"
    poses = [line for line in file.read_text().splitlines() if line.endswith(".jpg")]
    for stray in ("1.0 2.0", "1 2 3 4", "1.0 2.0 -1.5", "a b 3 x"):
        file.write_text("\n".join([poses[0], stray, *poses[1:]]))
        with pytest.raises(TrajectoryError, match=r"images\.txt: expected 9 numbers in a line, got '"):
            read_path_file(tmp_path)
