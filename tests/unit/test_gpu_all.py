"""The program that measures all figures of a GPU, at small size on the CPU, so that its errors show before GPU time is spent."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
import torch

from benchmarks import gpu_all
from benchmarks.gpu import calls, cold, graphs, memory, precision, scene
from benchmarks.gpu.options import parse
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.run import Run
from flashworld.errors import CompiledBlockError, InputError

SMALL = [
    "--model", "tiny", "--device", "cpu", "--minutes", "60", "--frames", "2", "--sizes", "64x64", "--commit", "abc",
    "--video-frames", "5", "--rounds", "1", "--blocks", "none",
]  # fmt: skip
HERE = "tests.unit.gpu_all_parts"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWORLD_AOT_DIR", str(tmp_path / "graphs"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # operations on a tiny scene are too short to split over threads
    yield Run(parse(SMALL), tmp_path / "part.json")
    torch.set_num_threads(threads)


def test_parts_that_crash_hang_or_raise_do_not_affect_the_others(tmp_path, monkeypatch):
    fakes = {
        "crash": Part(f"{HERE}:crash", 0, 120), "hang": Part(f"{HERE}:hang", 0, 3), "broken": Part(f"{HERE}:broken", 0, 120),
        "long": Part(f"{HERE}:well", 1e9, 1e9), "last": Part(f"{HERE}:well", 0, 120),
    }  # fmt: skip
    monkeypatch.setattr(gpu_all, "PARTS", fakes)
    assert gpu_all.main([*SMALL, "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]
    assert found["crash"]["exit"] == found["crash"]["error"] == "killed by SIGSEGV"
    assert "Segmentation fault" in found["crash"]["log"]
    assert found["hang"]["error"] == "not finished after 3 s"
    assert found["crash"]["found"] == found["hang"]["found"] == "before the end"
    assert "illegal memory access" in found["broken"]["error"]
    assert found["broken"]["exit"] == "exit code 1"
    assert "needs" in found["long"]["skipped"]
    assert found["last"]["model"] == "tiny"
    assert {row["commit"] for row in found.values()} == {"abc"}


def test_second_run_does_only_missing_parts(tmp_path, monkeypatch):
    done = []

    def part(name, *_rest):
        done.append((name, sorted(json.loads((tmp_path / gpu_all.REPORT).read_text())["parts"]) if done else []))
        return {"error": "no memory"} if name == "second" and len(done) == 2 else {"value": 1}

    monkeypatch.setattr(gpu_all, "run_part", part)
    monkeypatch.setattr(gpu_all, "PARTS", {name: Part("", 0, 0) for name in ("first", "second")})
    assert gpu_all.main([*SMALL, "--out", str(tmp_path)]) == 1
    assert done == [("first", []), ("second", ["first"])]  # written after every part
    assert gpu_all.main([*SMALL, "--out", str(tmp_path)]) == 0
    assert [name for name, _ in done] == ["first", "second", "second"]
    assert gpu_all.main([*SMALL, "--out", str(tmp_path), "--commit", "def"]) == 0  # figures of another commit are old
    assert [name for name, _ in done[3:]] == ["first", "second"]
    assert gpu_all.main([*SMALL, "--out", str(tmp_path), "--commit", "def", "--again"]) == 0
    assert len(done) == 7


def test_a_signal_ends_the_part_too(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_all, "PARTS", {"hang": Part(f"{HERE}:hang", 0, 120)})
    monkeypatch.setattr(gpu_all.subprocess.Popen, "wait", lambda child, *_: gpu_all.stop(signal.SIGTERM, None))
    ended = []
    monkeypatch.setattr(gpu_all, "end_session", ended.append)
    with pytest.raises(SystemExit):
        gpu_all.main([*SMALL, "--out", str(tmp_path)])
    monkeypatch.undo()
    gpu_all.end_session(ended[0])
    assert ended[0].poll() is not None


def test_unknown_part_is_refused():
    with pytest.raises(InputError, match="--only"):
        gpu_all.main([*SMALL, "--only", "coffee"])


def test_whole_scenes_come_before_parts_that_take_minutes():
    names = list(PARTS)
    assert names.index("scene_eager") < names.index("compile") < names.index("scene")  # graphs are compiled only once
    minutes = [name for name in names if PARTS[name].limit > 240 and name != "compile"]
    assert names.index("scene") < min(map(names.index, minutes))
    quick = sum(part.seconds for name, part in PARTS.items() if name not in minutes)
    assert quick <= 12 * 60  # two calls of nine minutes, graphs found


def test_every_job_is_listed():
    for part in PARTS.values():
        module, function = part.job.split(":")
        assert callable(
            getattr({m.__name__: m for m in (calls, cold, graphs, memory, precision, scene)}[module], function)
        )


def test_scene_video_and_timings_are_reported(run):
    found = scene.scene_eager(run)
    assert found["gaussians"] == 3 * 32 * 32 * 2
    assert found["warm_s"] > 0
    film = calls.video(run)
    assert film["frames"] == 5
    assert film["transfer_mb"] > 0
    assert list(run.result.parent.glob("*.mp4")) == []
    asked = calls.reserved(run)
    assert len(asked["rows"]) == calls.LEARNING_CALLS + calls.CALLS_AFTER
    assert asked["asked_over_used"] > 0
    assert len({row["kind"] for row in asked["rows"]}) > 2


def test_growth_is_measured_over_views_and_pixels(run):
    rows = scene.growth(run)["rows"]
    assert [(row["frames"], row["height"], row["width"]) for row in rows] == [(2, 64, 64), (3, 64, 64)]
    assert all(row["ms"]["scene, no video"] > 0 for row in rows)


def test_every_way_of_offloading(run):
    assert tuple(memory.offload(run)["modes"]) == memory.MODES
    assert json.loads(run.result.read_text())["modes"]["text"]["warm_s"] > 0
    assert run._networks is None, "networks besides those that are measured"


def test_rounding_of_every_precision(run):
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with precision.without_tf32():
        assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
    rows = precision.rounding(run)["rows"]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
    assert list(rows) == ["bfloat16", "fp8 per_row, emulated", "fp8 per_tensor, emulated", "int8 text"]
    assert 0 < rows["bfloat16"]["velocity"] < rows["fp8 per_row, emulated"]["velocity"] < 0.1
    assert 0 < rows["bfloat16"]["text"] < rows["int8 text"]["text"] < 0.1


def test_cold_start_in_parts(run):
    times = cold.cold_start(run)
    assert {"imports_s", "weights_s", "graphs_s", "first_scene_s", "second_scene_s"} <= times.keys()
    assert times["imports_s"] > 0.1


def test_cold_start_reads_a_folder(run, tmp_path):
    from flashworld.cli import main

    assert (
        main(["weights", "random", "--size", "tiny", "--device", "cpu", "--out", str(tmp_path / "w"), "--quiet"]) == 0
    )
    run.args.weights = tmp_path / "w"
    times = cold.cold_start(run)
    assert times["weights"] == "read"
    assert times["read_s"] > 0


def test_missing_graphs_are_an_error_not_eager_figures(run):
    run.args.blocks = "vae_encoder"
    with pytest.raises(CompiledBlockError, match="vae_encoder: eager"):
        scene.scene(run)


@pytest.mark.parametrize("code", [0, 1])
def test_graphs_are_compiled_by_one_command_and_failures_are_reported(run, monkeypatch, code):
    rows = [{"slug": f"{name}-torch2", "mb": 1.0, "seconds": {"compile": 1}} for name in ("transformer", "vae_encoder")]
    printed = json.dumps({"compiled": rows}) + "\n" + json.dumps({"error": "text_encoder: crashed"})
    done, asked = subprocess.CompletedProcess([], code, printed, "text_encoder: crashed with SIGSEGV"), []
    monkeypatch.setattr(graphs, "aot", lambda _run, _command, names, _options: asked.append(names) or done)
    names = ["transformer", "vae_encoder", "text_encoder"]
    found = graphs.compile_together(run, names, (), {})
    assert asked == [names]
    assert found["networks"].keys() == {"transformer", "vae_encoder"}
    assert f"exit {code}" in found["error"]
    assert "SIGSEGV" in found["error"]
