"""What the device does during a scene, from a profiler trace."""

from __future__ import annotations

import json

import pytest

from benchmarks import trace


def mark(name: str, ts: float, dur: float) -> dict:
    return {"ph": "X", "cat": "user_annotation", "name": f"stage:{name}", "ts": ts, "dur": dur, "tid": 1}


def launch(ts: float, correlation: int) -> dict:
    return {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": ts, "dur": 1, "tid": 1,
            "args": {"correlation": correlation}}  # fmt: skip


def kernel(name: str, ts: float, dur: float, correlation: int) -> dict:
    return {
        "ph": "X",
        "cat": "kernel",
        "name": name,
        "ts": ts,
        "dur": dur,
        "tid": 7,
        "args": {"correlation": correlation},
    }


EVENTS = [
    mark("scene", 0, 100), mark("gaussian_decoder", 0, 40), mark("geometry", 30, 10), mark("render", 50, 10),
    launch(5, 1), launch(31, 2), launch(45, 3), launch(55, 4), launch(56, 5),
    kernel("conv", 1000, 2000, 1), kernel("exp", 3500, 500, 2), kernel("sum", 4000, 1000, 3),
    kernel("splat", 9000, 1000, 4), kernel("splat", 10000, 3000, 5),
]  # fmt: skip


def test_kernels_belong_to_the_innermost_stage_that_launched_them():
    assert [(p.name, p.stage) for p in trace.pieces_of(EVENTS)] == [
        ("conv", "gaussian_decoder"), ("exp", "geometry"), ("sum", "other"), ("splat", "render"), ("splat", "render"),
    ]  # fmt: skip


def test_idle_time_is_named_after_the_adjacent_stages():
    found = trace.summary(trace.pieces_of(EVENTS), top=1)
    assert found["device_ms"] == pytest.approx(12.0)
    assert found["idle_ms"] == pytest.approx(4.5)
    assert [(g["from"], g["to"], g["ms"]) for g in found["gaps_between_stages"]] == [
        ("other", "render", 4.0), ("gaussian_decoder", "geometry", 0.5),
    ]  # fmt: skip
    assert [(g["ms"], g["at_ms"], g["after"], g["before"]) for g in found["longest_gaps"]] == [
        (4.0, 4.0, "other: sum", "render: splat"), (0.5, 2.0, "gaussian_decoder: conv", "geometry: exp"),
    ]  # fmt: skip
    assert found["stages"]["render"]["kernels"] == [{"name": "splat", "ms": pytest.approx(4.0), "calls": 2}]
    assert list(found["stages"]) == ["render", "gaussian_decoder", "other", "geometry"]


def test_overlapping_streams_are_not_idle():
    pieces = trace.pieces_of(
        [kernel("long", 0, 10_000, 1), kernel("copy", 1000, 1000, 2), kernel("next", 10_000, 1000, 3)]
    )
    assert trace.summary(pieces, top=3)["idle_ms"] == 0


def test_trace_without_work_is_an_error():
    with pytest.raises(ValueError, match="no work"):
        trace.summary([], top=3)


def test_a_real_scene_shows_every_stage(tmp_path, capsys):
    path = tmp_path / "trace.json"
    assert trace.main(["--model", "tiny", "--device", "cpu", "--top", "3", "--json", str(path)]) == 0
    stages = json.loads(path.read_text())["stages"]
    assert {"text", "text_context", "transformer", "gaussian_decoder", "geometry", "render", "vae_encoder"} <= set(
        stages
    )
    assert all(row["ms"] > 0 and 0 < len(row["kernels"]) <= 3 for row in stages.values())
    assert "idle from" in capsys.readouterr().out
