"""Case i: threshold, scene scale, logit and logarithm as the original project writes them to its files.

Its layout differs from ours on purpose (all SH under f_dc_*, no axis conversion, infinite logits, SPZ quaternions in a wrong
order), so values are compared after mapping: PLY columns exactly, SPZ to the precision of its bytes.
Tolerance 1e-5 of the largest magnitude, as stated with the data.
"""

from __future__ import annotations

import json

import numpy as np
import plyfile
import pytest
import torch
from safetensors.numpy import load_file

from flashworld.gaussians import Gaussians, prune_by_opacity
from flashworld.io.scenes.activations import MAX_LOGIT, log_scales, opacity_logits
from flashworld.io.scenes.ply import read_ply, write_ply
from flashworld.io.scenes.spz import read_spz, write_spz

TOLERANCE = 1e-5
THRESHOLDS = {"thr0": 0.0, "thr25e-5": 0.00025}


@pytest.fixture(scope="module")
def data(golden_dir) -> dict[str, np.ndarray]:
    return load_file(golden_dir / "i_export.safetensors")


@pytest.fixture(params=THRESHOLDS)
def case(request, data, golden_dir) -> tuple[Gaussians, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Our scene after threshold and scale, the original's PLY columns by name and its SPZ arrays by name."""
    scene = prune_by_opacity(Gaussians.from_vectors(torch.from_numpy(data["in.gaussians"])), THRESHOLDS[request.param])
    scene = scene.scaled(float(data["in.T_norm"][0]))
    names = json.loads((golden_dir / "config.json").read_text())["ply_column_names_upstream"]
    expected = data[f"out.{request.param}.ply_columns"]
    spz_names = ("positions", "scales", "rotations", "alphas", "colors", "sh")
    spz = {name: data[f"out.{request.param}.spz_{name}"] for name in spz_names}
    return scene, {name: bounded(expected[:, i]) for i, name in enumerate(names)}, spz


def bounded(values: np.ndarray) -> np.ndarray:
    """The original writes minus infinity for opacity 0; we write the bound."""
    return np.where(np.isinf(values), np.sign(values) * MAX_LOGIT, values)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_same_gaussians_pass_the_threshold(case, data):
    scene, expected, _ = case
    assert len(scene) == len(expected["x"])
    assert len(scene) in (120, 109)


def test_ply_columns(case, tmp_path):
    scene, expected, _ = case
    write_ply(scene, tmp_path / "a.ply")
    table = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    signs = {"y": -1, "z": -1, "rot_2": -1, "rot_3": -1}  # half a turn about x
    for name in ("x", "y", "z", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"):
        assert_close(table[name] * signs.get(name, 1), expected[name])
    sh_signs = (1, -1, -1, 1, -1, 1, 1, -1, 1)
    for k in range(9):
        for channel in range(3):
            ours = f"f_dc_{channel}" if k == 0 else f"f_rest_{channel * 8 + k - 1}"
            assert_close(table[ours] * sh_signs[k], expected[f"f_dc_{3 * k + channel}"])


def test_file_as_the_original_writes_it_reads_as_the_same_scene(case, data, request, tmp_path):
    scene, expected, _ = case
    table = np.zeros(len(scene), dtype=[(name, "f4") for name in expected])
    for name, values in expected.items():
        table[name] = values
    plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")]).write(str(tmp_path / "a.ply"))
    found = read_ply(tmp_path / "a.ply")
    for field in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert_close(getattr(found, field).numpy(), getattr(scene, field).numpy())


def test_arrays_passed_to_spz(case):
    scene, _, expected = case
    assert_close(scene.means.numpy().ravel(), expected["positions"])
    assert_close(log_scales(scene.scales.numpy()).ravel(), expected["scales"])
    assert_close(opacity_logits(scene.opacities.numpy()), bounded(expected["alphas"]))
    assert_close(scene.sh[:, 0].numpy().ravel(), expected["colors"])
    assert_close(scene.sh[:, 1:].numpy().ravel(), expected["sh"])
    assert_close(scene.quats_wxyz[:, [3, 0, 1, 2]].numpy().ravel(), expected["rotations"])  # their order is a defect


def test_spz_file_holds_the_arrays_to_its_precision(case, tmp_path):
    scene, _, expected = case
    write_spz(scene, tmp_path / "a.spz")
    found = read_spz(tmp_path / "a.spz")
    assert np.abs(found.means.numpy().ravel() - expected["positions"]).max() < 2e-6
    assert np.abs(np.log(found.scales.numpy()).ravel() - expected["scales"]).max() < 1 / 32 + 1e-5
    opacities = 1 / (1 + np.exp(-bounded(expected["alphas"]).astype(np.float64)))
    assert np.abs(found.opacities.numpy() - opacities).max() < 1 / 510 + 1e-6
    assert np.abs(found.sh[:, 0].numpy().ravel() - expected["colors"]).max() < 0.0131
    clamped = expected["sh"].clip(-1, 127 / 128)
    assert np.abs(found.sh[:, 1:].numpy().ravel() - clamped).max() <= 1 / 256 + 1e-6
    wxyz = torch.from_numpy(expected["rotations"].reshape(-1, 4)[:, [1, 2, 3, 0]].copy())
    assert ((found.quats_wxyz * wxyz).sum(dim=1).abs() > 1 - 1e-5).all()
