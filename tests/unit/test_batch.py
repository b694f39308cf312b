"""A batch makes each missing scene once, wherever it writes and however it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from aot.cli import build_parser as build_graph_parser
from flashworld.batch import cluster
from flashworld.batch.local import LocalWorker
from flashworld.batch.manifest import open_manifest
from flashworld.batch.places import Place
from flashworld.batch.progress import BatchProgress, duration_text
from flashworld.batch.requests import RequestSettings
from flashworld.batch.results import Outcome, read_table
from flashworld.batch.rows import Row
from flashworld.batch.run import run_batch
from flashworld.batch.scenes import BatchSettings
from flashworld.cli import build_parser, main
from flashworld.errors import DependencyError, InputError, PlaceError
from flashworld.io.request_json import load_request_file
from flashworld.io.scenes import read_scene
from flashworld.pipeline import FlashWorldPipeline
from flashworld.serving.options import ModelOptions
from tests.unit.test_lenses import MOVED, POSE

ROOT = Path(__file__).parents[2]
SIZES = {"frames": 3, "height": 64, "width": 96, "video": {"fps": 2, "seconds": 1}}


def rows(count):
    return [{"id": f"s{i}", "text": f"scene {i}", **SIZES} for i in range(count)]


@pytest.fixture
def batch(tmp_path, tiny_config, tiny_networks):
    """A function (rows, place, outputs) that runs a batch with the tiny network; returns summary, table and log lines."""
    pipeline = FlashWorldPipeline(tiny_networks, name="tiny")

    def run(table, place=tmp_path / "out", outputs=("ply", "request")):
        file = tmp_path / "m.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in table))
        manifest, place, said = open_manifest(str(file)), Place(str(place)), []
        place.require_access()
        settings = BatchSettings(
            ModelOptions("nano", device="cpu"), place.url, outputs, RequestSettings(manifest.folder, tiny_config)
        )
        work = LocalWorker(settings, lambda: pipeline).outcomes
        summary = run_batch(manifest, place, settings, work, said.append)
        with fsspec.open(f"{place.url}/results.parquet") as table_file:
            return summary, {row.id: row for row in read_table(table_file.read())}, said

    return run


def test_every_scene_has_files_a_request_and_a_row(batch, tmp_path, tiny_config):
    summary, table, _ = batch(rows(2), outputs=("ply", "video", "preview", "request"))
    assert (summary.total, summary.made, summary.failed) == (2, 2, ())
    for name, row in table.items():
        assert row.files == tuple(f"{name}/{f}" for f in ("scene.ply", "video.mp4", "preview.jpg", "request.json"))
        assert all((tmp_path / "out" / file).stat().st_size for file in row.files)
        assert len(read_scene(tmp_path / "out" / name / "scene.ply")) == row.gaussians
        request = load_request_file(tmp_path / "out" / name / "request.json", defaults=tiny_config)
        assert (request.seed, row.state, row.error, row.model) == (row.seed, "done", None, "tiny")
    assert table["s0"].seed != table["s1"].seed


def test_an_invalid_row_does_not_stop_the_batch(batch, tmp_path):
    summary, table, said = batch([rows(1)[0], {"id": "bad", "image": "none.jpg"}, {"id": "last", "text": "x", **SIZES}])
    assert [row.state for row in table.values()] == ["done", "failed", "done"]
    assert table["bad"].error == "picture 'none.jpg' is not a file on this machine"
    assert [row.id for row in summary.failed] == ["bad"] and any("none.jpg" in line for line in said)
    assert not (tmp_path / "out" / "bad").exists()


def test_notes_on_a_path_are_in_the_rows_and_once_in_the_log(batch, tmp_path):
    frames = [{"file_path": f"{9 - i}.png", "transform_matrix": pose} for i, pose in enumerate((POSE, MOVED))]
    table = rows(3)
    for row in table[:2]:
        row["trajectory"] = {"frames": frames, "y_fov": 50}
    note = "the file's cameras were sorted by the names of their images"
    _, results, said = batch(table)
    assert [results[f"s{i}"].notes for i in range(3)] == [(note,), (note,), ()]
    assert json.loads((tmp_path / "out" / "s0" / "result.json").read_text())["notes"] == [note]
    assert [line for line in said if note in line] == [f"scene s0: note: {note}"]
    (tmp_path / "out" / "results.parquet").unlink()
    assert batch(table)[1] == results


def test_rows_of_batches_without_notes_are_still_read():
    row = Outcome("a", "done", notes=("a note",)).to_row()
    assert Outcome.from_row(row).notes == ("a note",)
    del row["notes"]
    assert Outcome.from_row(row) == Outcome("a", "done")
    assert Outcome.from_row(row | {"notes": None}) == Outcome("a", "done")


def test_restarting_makes_only_missing_incomplete_or_changed_scenes(batch, tmp_path):
    batch(rows(4))
    out = tmp_path / "out"
    (out / "s1" / "result.json").unlink()  # what a killed batch leaves of a scene
    times = {p: p.stat().st_mtime_ns for p in out.glob("*/scene.ply")}
    table = rows(5)
    table[2]["text"] = "another text"
    summary, results, said = batch(table)
    made = {p.parent.name for p in out.glob("*/scene.ply") if p.stat().st_mtime_ns != times.get(p)}
    assert made == {"s1", "s2", "s4"}
    assert (summary.earlier, summary.made, summary.changed) == (2, 3, 1) and "1 scenes are made again" in said[0]
    assert set(results) == {f"s{i}" for i in range(5)} and {row.state for row in results.values()} == {"done"}


def test_rows_round_trip_through_the_results_table(batch, tmp_path):
    _, before, _ = batch(rows(2))
    (tmp_path / "out" / "results.parquet").unlink()
    summary, after, _ = batch(rows(2))
    assert summary.made == 0 and after == before


def test_outputs_may_go_to_a_remote_file_system(batch):
    url = "memory://batch-test/out"
    batch(rows(1), url)
    summary, table, _ = batch(rows(2), url)
    files = set(fsspec.filesystem("memory").find("/batch-test/out"))
    assert summary.made == 1 and summary.earlier == 1
    assert files == {
        "/batch-test/out/results.parquet",
        *(f"/batch-test/out/{s}/{f}" for s in table for f in ("scene.ply", "request.json", "result.json")),
    }


class StoreError(Exception):
    """An error class of a storage library, such as botocore's, that is not an OSError."""


class ClosedStore(MemoryFileSystem):
    """A store that refuses one kind of call."""

    protocol = "closed"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    refused = ""


def refusing(name):
    def call(self, *args, **kwargs):
        if ClosedStore.refused == name:
            raise StoreError(f"{name}: Access Denied")
        return getattr(MemoryFileSystem, name)(self, *args, **kwargs)

    return call


for _name in ("pipe_file", "rm_file", "glob", "cat_file", "put_file", "makedirs"):
    setattr(ClosedStore, _name, refusing(_name))


@pytest.mark.parametrize("refused", ["pipe_file", "rm_file", "glob", "put_file", "makedirs"])
def test_storage_library_errors_are_one_sentence(batch, monkeypatch, refused):
    fsspec.register_implementation("closed", ClosedStore, clobber=True)
    monkeypatch.setattr(ClosedStore, "refused", refused)
    with pytest.raises(PlaceError, match=f"^--out closed://batch/out: .*: {refused}: Access Denied"):
        batch(rows(1), "closed://batch/out")


def test_scene_errors_are_not_reported_as_storage_errors(tmp_path):
    for url in (str(tmp_path), "memory://batch-test/errors"):
        with pytest.raises(RuntimeError, match="of the scene"), Place(url).scene_folder("s0"):
            raise RuntimeError("of the scene")


def test_same_ids_give_the_same_scenes(batch, tmp_path):
    _, one, _ = batch(rows(1), tmp_path / "one")
    _, two, _ = batch(rows(1)[::-1], tmp_path / "two")
    assert (tmp_path / "one/s0/scene.ply").read_bytes() == (tmp_path / "two/s0/scene.ply").read_bytes()
    assert one["s0"].seed == two["s0"].seed


def test_a_full_disk_ends_the_batch_in_one_sentence_and_keeps_finished_scenes(batch, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 200 * 1024)
    with pytest.raises(PlaceError, match=r"No space left on device; (\d+) of 12 scenes are finished") as refused:
        batch(rows(12), small_disk, ("preview", "request"))
    finished = len(list(small_disk.glob("*/result.json")))
    assert 0 < finished < 12 and f"; {finished} of 12" in str(refused.value) and str(refused.value).isprintable()
    assert not list(small_disk.rglob(".flashworld-*"))
    filler.unlink()
    summary, table, _ = batch(rows(12), small_disk, ("preview", "request"))
    assert (summary.earlier, summary.made) == (finished, 12 - finished) and len(table) == 12


@pytest.mark.parametrize(
    ("place", "error", "sentence"),
    [
        ("/proc/nowhere/out", PlaceError, "nothing can be written there"),
        ("/dev/null/out", PlaceError, "nothing can be written there"),
        ("s4://bucket/out", InputError, "cannot be opened for writing"),
    ],
)
def test_unwritable_outputs_are_refused_first(place, error, sentence):
    with pytest.raises(error, match=sentence):
        Place(place).require_access()


def test_a_damaged_completion_marker_means_an_unfinished_scene(batch, tmp_path):
    batch(rows(2))
    (tmp_path / "out/s0/result.json").write_text("{")
    (tmp_path / "out/results.parquet").unlink()
    assert batch(rows(2))[0].made == 1


def test_workers_load_the_model_as_configured(tmp_path, tiny_config, tiny_networks):
    asked = []

    def load(options):
        asked.append(options)
        return FlashWorldPipeline(tiny_networks, name="compiled")

    model = ModelOptions("nano", device="cpu")
    settings = BatchSettings(model, str(tmp_path), ("request",), RequestSettings(".", tiny_config), load)
    (made,) = LocalWorker(settings).outcomes([Row("s0", 1, {"text": "a room", **SIZES})])
    assert (made.state, made.model, asked) == ("done", "compiled", [model])


def test_a_batch_with_compiled_graphs_takes_the_same_options():
    words = ["batch", "m.jsonl", "--out", "o", "--workers", "2", "--model", "weights", "--spz", "--json"]
    one, two = build_parser().parse_args(words), build_graph_parser().parse_args(words)
    assert vars(one) | {"run": None} == vars(two) | {"run": None}


def test_progress_reports_counts_and_remaining_time():
    now, said = [0.0], []
    progress = BatchProgress(10, 2, said.append, lambda: now[0])
    for state in ("done", "failed", "done", "done"):
        now[0] += 5
        progress.count(Outcome("a", state, "why" if state == "failed" else None))
    assert said == [
        "3 of 10 scenes, 12.0 a minute, 35 s left, 0 failed", "scene a: why", "4 of 10 scenes, 8.0 a minute, 38 s left, 1 failed"
    ]  # fmt: skip
    assert [duration_text(s) for s in (45, 600, 12_000)] == ["45 s", "10 min", "3 h 20 min"]


@pytest.mark.parametrize("words", [["--workers", "2"], ["--address", "127.0.0.1:1"]])
def test_ray_options_without_ray_are_refused_in_one_sentence(monkeypatch, tmp_path, capsys, words):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "m.jsonl").write_text('{"text": "x"}')
    assert main(["batch", str(tmp_path / "m.jsonl"), "--out", str(tmp_path / "o"), "--model", "nano", *words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install -r requirements-cluster.txt" in error
    assert not (tmp_path / "o").exists()


def test_an_unreachable_address_is_refused_at_once():
    with pytest.raises(DependencyError, match="Connection refused"):
        cluster._require_open_port("ray://127.0.0.1:1")


@pytest.mark.slow
def test_killed_and_restarted_batch_loses_nothing_and_repeats_nothing(tmp_path):
    """The command itself, killed by SIGKILL after its second scene."""
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(5)))
    out = tmp_path / "out"
    words = ["batch", str(tmp_path / "m.jsonl"), "--out", str(out), "--model", "nano", "--spz", "--no-video"]
    process = subprocess.Popen([sys.executable, "-m", "flashworld", *words], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while len(list(out.glob("*/result.json"))) < 2:
            assert process.poll() is None, "it exited before the kill"
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finished = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/result.json")}
    assert 2 <= len(finished) < 5
    assert main([*words, "--quiet"]) == 0
    assert {p.parent.name for p in out.glob("*/result.json")} == {f"s{i}" for i in range(5)}
    assert all((out / name / "result.json").stat().st_mtime_ns == made for name, made in finished.items())
    assert [row.state for row in read_table((out / "results.parquet").read_bytes())] == ["done"] * 5
