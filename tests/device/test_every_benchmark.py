"""All parts of the GPU benchmark in sequence, at small size, on this machine's GPU: takes minutes."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks import gpu_all
from benchmarks.gpu.parts import PARTS
from docs.gpu_tables import TABLES

pytestmark = pytest.mark.slow
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def test_every_part_gives_its_figures_and_every_table_shows_them(tmp_path):
    options = [
        "--model", "tiny", "--device", DEVICE, "--minutes", "60", "--frames", "2", "--sizes", "64x64", "--rounds", "1",
        "--video-frames", "5", "--blocks", "gaussian_decoder", "--graphs", str(tmp_path / "graphs"), "--commit", "abc",
    ]  # fmt: skip
    assert gpu_all.main([*options, "--out", str(tmp_path)]) == 0
    parts = json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]
    assert tuple(parts) == tuple(PARTS)
    assert parts["compile"]["networks"]["gaussian_decoder"]["state"] == "compiled"
    assert list(parts["scene"]["calls"]["gaussian_decoder"]) != ["eager"]
    for name, (part, make) in TABLES.items():
        text = "\n".join(make(parts))
        assert part in parts
        assert "commit abc" in text, name
        assert text.count("not measured") == 0, text
    assert gpu_all.main([*options, "--out", str(tmp_path), "--again", "--only", "compile"]) == 0
    again = json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]["compile"]
    assert again["networks"]["gaussian_decoder"]["state"] == "found"
