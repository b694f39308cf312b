""".splat files: the bytes viewers expect, in order of importance, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import SH_C0
from flashworld.io.scenes.chunks import CHUNK_ROWS
from flashworld.io.scenes.splat import ROW, read_splat, write_splat


def test_rows_are_32_bytes_rotated_and_quantised(make_scene, tmp_path):
    scene = make_scene(count=1)
    scene.means[:] = torch.tensor([[1.0, 2.0, 3.0]])
    scene.quats_wxyz[:] = torch.tensor([[0.0, 0.0, 2.0, 0.0]])  # not normalised
    scene.sh[:, 0] = torch.tensor([[0.0, 0.5 / SH_C0, -9.0]])
    scene.opacities[:] = 0.2
    write_splat(scene, tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    assert len(data) == ROW.itemsize == 32
    row = np.frombuffer(data, ROW)[0]
    assert row["mean"].tolist() == [1.0, -2.0, -3.0]
    np.testing.assert_array_equal(row["scale"], scene.scales[0])
    assert row["rgba"].tolist() == [128, 255, 0, 51]
    assert row["quat"].tolist() == [128, 128, 0, 128]  # y is negated by the half turn about x


@pytest.mark.parametrize("count", [50, CHUNK_ROWS + 9])
def test_most_important_gaussians_come_first_and_are_read_back(count, make_scene, tmp_path):
    scene = make_scene(count=count)
    scene.opacities[3] = 0  # importance of minus infinity, last
    write_splat(scene, tmp_path / "a.splat")
    found = read_splat(tmp_path / "a.splat")
    where = {tuple(mean): i for i, mean in enumerate(found.means.tolist())}
    back = torch.tensor([where[tuple(mean)] for mean in scene.means.tolist()])
    importance = (scene.opacities * scene.scales.prod(dim=1))[back.argsort()]
    assert (importance[1:] <= importance[:-1] * (1 + 1e-5)).all()
    assert back[3] == count - 1
    found = found[back]
    torch.testing.assert_close(found.scales, scene.scales, rtol=0, atol=0)
    assert (found.opacities - scene.opacities).abs().max() <= 1 / 510 + 1e-6
    expected = (0.5 + SH_C0 * scene.sh[:, 0]).clamp(0, 1)
    assert (0.5 + SH_C0 * found.sh[:, 0] - expected).abs().max() <= 1 / 510 + 1e-6
    assert 1 - (found.quats_wxyz * scene.quats_wxyz).sum(dim=1).abs().min() < 2e-4
    assert found.sh_degree == 0


def test_bad_scenes_leave_no_file(make_scene, tmp_path):
    scene = make_scene()
    scene.sh[7, 0, 0] = float("nan")
    for bad, words in ((scene, "sh of the scene"), (scene[:0], "no Gaussians")):
        with pytest.raises(SceneError, match=words):
            write_splat(bad, tmp_path / "a.splat")
    assert list(tmp_path.iterdir()) == []


def test_viewers_zero_quaternion_is_the_identity(make_scene, tmp_path):
    write_splat(make_scene(count=1), tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    (tmp_path / "a.splat").write_bytes(data[:28] + bytes([128] * 4))
    assert read_splat(tmp_path / "a.splat").quats_wxyz.tolist() == [[1, 0, 0, 0]]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_scene_or_a_scene_file_error(data, tmp_path):
    (tmp_path / "a.splat").write_bytes(data)
    try:
        scene = read_splat(tmp_path / "a.splat")
    except SceneFileError:
        return
    assert len(scene) * 32 == len(data)
    assert (scene.scales > 0).all()
    torch.testing.assert_close(scene.quats_wxyz.norm(dim=1), torch.ones(len(scene)))


def test_huge_values_are_clamped_without_warnings(make_scene, tmp_path):
    scene = make_scene(2)
    scene.sh[:, 0] = torch.tensor([3e38, -3e38, 0.0])
    scene.quats_wxyz[:] = torch.tensor([3e30, 0.0, 4e30, 0.0])
    with np.errstate(all="raise"):
        write_splat(scene, tmp_path / "a.splat")
    row = np.frombuffer((tmp_path / "a.splat").read_bytes(), ROW)[0]
    assert row["rgba"][:3].tolist() == [255, 0, 128]
    assert row["quat"].tolist() == [round(128 + 128 * 0.6), 128, round(128 - 128 * 0.8), 128]


def test_files_of_other_formats_are_named(make_scene, tmp_path):
    from flashworld.io.scenes import write_scene

    for suffix in (".ply", ".spz", ".sog"):
        write_scene(make_scene(count=64), tmp_path / f"a{suffix}")
        (tmp_path / "a.splat").write_bytes((tmp_path / f"a{suffix}").read_bytes())
        with pytest.raises(SceneFileError, match=rf"a\.splat: this begins as a \{suffix} file does"):
            read_splat(tmp_path / "a.splat")


@pytest.mark.parametrize(("field", "value", "words"), [
    ("mean", np.nan, "means must be finite"), ("mean", 1e10, "reach beyond 1e"), ("scale", -1e20, "reach beyond 1e"),
    ("scale", np.inf, "scales must be finite"),
])  # fmt: skip
def test_implausible_values_are_refused(field, value, words, make_scene, tmp_path):
    write_splat(make_scene(count=9), tmp_path / "a.splat")
    rows = np.frombuffer((tmp_path / "a.splat").read_bytes(), ROW).copy()
    rows[field][4, 1] = value
    (tmp_path / "a.splat").write_bytes(rows.tobytes())
    with pytest.raises(SceneFileError, match=words):
        read_splat(tmp_path / "a.splat")


def test_random_bytes_of_a_valid_length_are_refused(tmp_path):
    table = np.zeros(200, dtype=ROW)  # finite positions and sizes: all else is noise
    noise = np.random.default_rng(0)
    table["mean"], table["scale"] = noise.normal(size=(2, 200, 3))
    table["rgba"], table["quat"] = noise.integers(0, 256, (2, 200, 4))
    (tmp_path / "a.splat").write_bytes(table.tobytes())
    with pytest.raises(SceneFileError, match="rotations are not of length 1"):
        read_splat(tmp_path / "a.splat")
