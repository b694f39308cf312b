"""Batches on Ray: real actors on the local cores, one of which is killed during the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from flashworld.batch.cluster import RayWorkers
from flashworld.batch.requests import RequestSettings
from flashworld.batch.results import read_table
from flashworld.batch.rows import Row
from flashworld.batch.scenes import BatchSettings
from flashworld.nano.sizes import NANO
from flashworld.serving.options import ModelOptions

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SIZES = {"frames": 2, "height": 64, "width": 64}
COUNT = 8


def test_rows_are_taken_one_by_one_for_a_single_checker(tmp_path):
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    settings = BatchSettings(ModelOptions("nano", device="cpu"), str(tmp_path), ("ply",), RequestSettings(".", NANO))
    taken = 0

    def broken_rows():
        nonlocal taken
        for number in range(1, 7):
            taken += 1
            yield Row(f"s{number}", number, {}, problem="no row")

    for made, outcome in enumerate(RayWorkers(settings).outcomes(broken_rows())):  # also shuts Ray down
        assert outcome.state == "failed" and taken - made <= 1


def test_a_killed_worker_loses_no_scene_and_no_row(tmp_path):
    rows = [{"id": f"s{i}", "text": f"scene {i}", **SIZES} for i in range(COUNT)] + [{"id": "bad", "image": "none.jpg"}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out"
    words = ["batch", str(tmp_path / "m.jsonl"), "--out", str(out), "--model", "nano", "--spz", "--no-video", "--json",
             "--workers", "2" if (os.cpu_count() or 1) > 1 else "1"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "flashworld", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (marks := list(out.glob("*/result.json"))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        killed = json.loads(marks[0].read_text())["worker"]
        os.kill(int(killed.rpartition("/")[2]), signal.SIGKILL)
        said, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    summary = json.loads(said)
    table = {row.id: row for row in read_table((out / "results.parquet").read_bytes())}
    assert (summary["made"], summary["total"], process.returncode) == (COUNT, COUNT + 1, 1), errors
    assert Counter(row.state for row in table.values()) == {"done": COUNT, "failed": 1}
    assert table["bad"].error == "picture 'none.jpg' is not a file on this machine"
    assert {p.parent.name for p in out.glob("*/result.json")} == {f"s{i}" for i in range(COUNT)}
    assert all((out / file).is_file() for row in table.values() for file in row.files)
    assert len({row.worker for row in table.values() if row.worker}) >= 2  # another worker took over
