"""The run that gathers a GPU's figures, in small on the CPU: a lease is too short to find its mistakes in."""

from __future__ import annotations

import json

import pytest

from benchmarks import gpu_all, gpu_parts
from flashworld.errors import InputError

SMALL = [
    "--model", "tiny", "--device", "cpu", "--minutes", "60", "--frames", "2", "--sizes", "64x64",
    "--video-frames", "5", "--rounds", "1", "--blocks", "text_encoder",
]  # fmt: skip
WITHOUT_COMPILER = ("whole_scene", "video", "offload", "rounding")


def test_parts_run_and_every_figure_is_in_the_report(tmp_path):
    assert gpu_all.main([*SMALL, "--out", str(tmp_path), "--only", ",".join(WITHOUT_COMPILER)]) == 0
    parts = json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]
    assert tuple(parts) == WITHOUT_COMPILER
    assert parts["whole_scene"]["warm_s"] > 0
    assert parts["video"]["frames"] == 5
    assert parts["video"]["border_mb"] > 0
    assert list(parts["offload"]) == ["none", "text", "text,transformer", "text,vae,transformer", "seconds"]
    assert 0 < parts["rounding"]["bfloat16"]["velocity"] < 0.05
    assert list(tmp_path.glob("*.mp4")) == []


def test_failing_part_is_recorded_and_the_next_one_runs(tmp_path, monkeypatch):
    def broken(_run):
        raise RuntimeError("CUDA error: an illegal memory access")

    parts = {
        "first": gpu_parts.Part(broken, 0),
        "long": gpu_parts.Part(broken, 1e9),
        "last": gpu_parts.Part(lambda run: {"model": run.model}, 0),
    }
    monkeypatch.setattr(gpu_all, "PARTS", parts)
    assert gpu_all.main([*SMALL, "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]
    assert "illegal memory access" in found["first"]["error"]
    assert "needs" in found["long"]["skipped"]
    assert found["last"]["model"] == "tiny"


def test_report_is_written_after_every_part(tmp_path, monkeypatch):
    seen = []
    parts = {
        "first": gpu_parts.Part(lambda run: {"value": 1}, 0),
        "second": gpu_parts.Part(lambda run: seen.append((run.out / gpu_all.REPORT).read_text()) or {}, 0),
    }
    monkeypatch.setattr(gpu_all, "PARTS", parts)
    gpu_all.main([*SMALL, "--out", str(tmp_path)])
    assert json.loads(seen[0])["parts"]["first"]["value"] == 1


def test_unknown_part_is_refused():
    with pytest.raises(InputError, match="--only"):
        gpu_all.main([*SMALL, "--only", "coffee"])


def test_most_important_parts_come_first_and_fit_into_nine_minutes():
    names = list(gpu_parts.PARTS)
    assert names.index("device_tests") < names.index("stages_eager") < names.index("compile") < names.index("video")
    assert sum(part.seconds for part in gpu_parts.PARTS.values()) <= 9 * 60
