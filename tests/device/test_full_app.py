"""The real app from start to stop: graphs compiled and found again, visitors, Stop, out-of-memory errors, files.

`python app.py` with a folder of random weights, the platform's device API a stand-in, nothing else, on a GPU. On a machine without one
the CPU stands in for it (see `tests.zerogpu.cpu_app`). Sizes and places come from the environment:

    FLASHWORLD_TEST_MODEL    a converted folder; default: one is written, of FLASHWORLD_TEST_SIZE
    FLASHWORLD_TEST_SIZE     tiny (default), nano or full
    FLASHWORLD_TEST_GRAPHS   folder of compiled graphs, kept: those compiled before are found at the first start
    FLASHWORLD_TEST_REPORT   file for the seconds of every start and visit, as JSON
    FLASHWORLD_TEST_LOGS     folder for the app's output

On an H100 with a full-size folder and graphs made before: one start of about two minutes, then a few seconds a visit. With
graphs to be made, four to six minutes more.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from flashworld.checkpoints.loading import model_config
from flashworld.cli import main
from flashworld.io.scenes import read_scene
from flashworld.serving.sentences import OUT_OF_MEMORY
from tests.app.running import Visitor
from tests.zerogpu.device_api import alive
from tests.zerogpu.harness import wait_for
from tests.zerogpu.real_app import RealApp

pytestmark = pytest.mark.slow
ON_GPU = torch.cuda.is_available()
STARTUP_SECONDS = "1500"
GIB = 2**30
GPU_ROOM_BYTES = int(2.5 * GIB)
"""Beside the weights, for a new worker: CUDA's context and libraries, and too little for a scene of full size."""
CPU_ROOM_BYTES = 2**26
"""Beside what a waiting worker has: too little for a scene of this size."""
LARGE = {} if ON_GPU else {"frames": 32, "height": 512, "width": 512}
STOPPED_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def report() -> Iterator[dict[str, Any]]:
    figures: dict[str, Any] = {"card": torch.cuda.get_device_name() if ON_GPU else "CPU", "visits": []}
    yield figures
    text = json.dumps(figures, indent=1)
    print(text)
    if path := os.environ.get("FLASHWORLD_TEST_REPORT"):
        Path(path).write_text(text + "\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    if given := os.environ.get("FLASHWORLD_TEST_MODEL"):
        return Path(given)
    folder = tmp_path_factory.mktemp("weights") / "random"
    size = os.environ.get("FLASHWORLD_TEST_SIZE", "tiny")
    assert main(["weights", "random", "--size", size, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> Path:
    given = os.environ.get("FLASHWORLD_TEST_GRAPHS")
    return Path(given) if given else tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def made_before(graphs) -> set[str]:
    """The graphs in the store before the first start."""
    return packages(graphs)


def packages(graphs: Path) -> set[str]:
    """Folder names of the compiled graphs in a store."""
    return {path.parent.name for path in graphs.glob("*/package.pt2")}


@pytest.fixture(scope="module")
def starting(model, graphs):
    """Starts the app; one at a time."""
    gpus = (f"GPU-{torch.cuda.get_device_properties(0).uuid}",) if ON_GPU else ()
    threads = {} if ON_GPU else {"OMP_NUM_THREADS": "1"}
    return lambda: RealApp(model, graphs, gpus=gpus, env=threads)


@pytest.fixture(scope="module")
def app(starting, made_before, report) -> Iterator[RealApp]:
    with starting() as app:
        report["first start"] = {"seconds": app.start_s, "asked": app.asked_s()}
        yield app


@pytest.fixture(scope="module")
def client(app, tmp_path_factory) -> Client:
    return Client(app.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture(scope="module")
def request_of(model, tmp_path_factory):
    """Arguments of `generate`: a picture and a text, at the model's own size."""
    config = model_config(model)
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    shades = np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    Image.fromarray(shades).resize((config.width, config.height), Image.Resampling.BICUBIC).save(path)

    def arguments(**changes: Any) -> dict[str, Any]:
        usual = {
            "image": handle_file(str(path)), "text": "a wooden dock on a calm lake", "path": "orbit_right", "seed": 1,
            "frames": config.frames, "height": config.height, "width": config.width,
        }  # fmt: skip
        return usual | changes

    return arguments


def visit(
    app: RealApp, client: Client, report: dict[str, Any], kind: str, api: str, **arguments: Any
) -> dict[str, Any]:
    """One call by an API client, with its duration recorded."""
    app.api.calls.clear()
    start = time.monotonic()
    found = client.predict(**arguments, api_name=api)
    row = {"kind": kind, "seconds": time.monotonic() - start, "gpu": found["seconds"], "asked": app.asked_s()}
    report["visits"].append(row | {"gaussians": found["gaussians"]})
    return found


def check_files(found: dict[str, Any], frames: int, height: int, width: int) -> None:
    """Check the contents of a scene's files."""
    files = {name: Path(path) for name, path in found["files"].items()}
    scene = read_scene(files["ply"])
    assert len(scene) == found["gaussians"] > 0
    assert len(scene) <= frames * (height // 2) * (width // 2) * 2
    for name in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert torch.isfinite(getattr(scene, name)).all(), name
    assert len(read_scene(files["spz"])) == len(scene)
    assert len(json.loads(files["path"].read_text())["cameras"]) == frames
    pictures = decoded(files["video"], height, width)
    assert len(pictures) > frames
    assert np.ptp(pictures) > 0
    assert Image.open(files["poster"]).size[0] > 0


def decoded(path: Path, height: int, width: int) -> np.ndarray:
    """A video's pictures, by the encoder's own decoder. (N, H, W, 3)"""
    command = [get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def startup_calls(calls: list[dict[str, object]]) -> int:
    """GPU calls in which graphs are compiled or, if new to this machine, verified."""
    return sum(call.get("durationSeconds") == STARTUP_SECONDS for call in calls)


def worker(app: RealApp) -> int:
    """The process that holds the GPU."""
    (pid,) = (gpu.pid for gpu in app.api.slots)
    return int(pid)


def test_graphs_are_made_at_the_first_start_unless_they_are_there(app, graphs, made_before):
    if made_before:
        assert packages(graphs) == made_before, "those of FLASHWORLD_TEST_GRAPHS are of another source, torch or card"
        assert startup_calls(app.calls_at_start) <= 1
    else:
        assert packages(graphs)
        assert startup_calls(app.calls_at_start) == 1
    page = Visitor(app.url).http.get("/config").text
    assert "compiled graphs active" in page, app.log[-4000:]
    assert "untrained" in page


def test_one_cold_and_three_warm_visits(app, client, request_of, report):
    arguments = request_of()
    size = (arguments["frames"], arguments["height"], arguments["width"])
    cold = visit(app, client, report, "cold", "/generate", **arguments)
    assert cold["seconds"]["worker start"] > 0
    check_files(cold, *size)
    pid = worker(app)
    for seed in (1, 1, 2):
        warm = visit(app, client, report, "warm", "/generate", **arguments | {"seed": seed})
        assert warm["seconds"]["worker start"] == 0
        assert worker(app) == pid
        assert warm["seconds"]["total"] <= report["visits"][-1]["asked"][0] or not ON_GPU
    check_files(warm, *size)
    assert not [line for line in app.log.splitlines() if "runs eagerly" in line]


def test_text_alone(app, client, request_of, report):
    found = visit(app, client, report, "words", "/generate_from_text", text="a snowy village at dusk", seed=5)
    size = request_of()
    check_files(found, size["frames"], size["height"], size["width"])


def test_cancelling_releases_the_gpu_and_keeps_the_worker(app, client, request_of, report):
    pid, visitor = worker(app), Visitor(app.url)
    app.api.calls.clear()
    values = visitor.page_values("job", fw_prompt="a red ball", fw_frames=32)
    start = time.monotonic()
    joined = visitor.join("job", values).raise_for_status().json()["event_id"]
    visitor.follow(joined, leave_at="process_generating")
    button = {"session_hash": visitor.session, "fn_index": visitor.event("job")["id"], "event_id": joined}
    visitor.http.post("/gradio_api/cancel", json=button).raise_for_status()
    assert wait_for(lambda: app.api.seen("/release"), STOPPED_WITHIN_S)
    report["stopped after"] = time.monotonic() - start
    assert app.api.seen("/release")[0]["fail"] == "false"
    found = visit(app, client, report, "after Stop", "/generate", **request_of())
    assert found["seconds"]["worker start"] == 0
    assert worker(app) == pid


def test_two_concurrent_visitors_get_a_scene_each(app, request_of, report, tmp_path):
    answers: list[dict[str, Any]] = []

    def come(number: int) -> None:
        folder = str(tmp_path / str(number))
        answers.append(
            Client(app.url, verbose=False, download_files=folder).predict(
                **request_of(seed=number), api_name="/generate"
            )
        )

    start = time.monotonic()
    visitors = [threading.Thread(target=come, args=(number,)) for number in (1, 2)]
    for thread in visitors:
        thread.start()
    for thread in visitors:
        thread.join()
    report["two at once"] = time.monotonic() - start
    assert {answer["seed"] for answer in answers} == {1, 2}
    first, second = (Path(answer["files"]["ply"]).read_bytes() for answer in answers)
    assert first != second


def test_out_of_memory_is_one_sentence_and_the_next_visit_works(app, client, request_of, report):
    visit(app, client, report, "before", "/generate", **request_of())
    with little_memory(app), pytest.raises(Exception, match=OUT_OF_MEMORY[:34]):
        client.predict(**request_of(**LARGE), api_name="/generate")
    check_files(
        visit(app, client, report, "after too little memory", "/generate", **request_of()),
        *(request_of()[name] for name in ("frames", "height", "width")),
    )


@contextmanager
def little_memory(app: RealApp) -> Iterator[None]:
    """Leave a worker too little memory for a scene: another process takes the GPU's, a limit reduces the CPU's."""
    pid = worker(app)
    if not ON_GPU:
        limit = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize() + CPU_ROOM_BYTES
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        yield
        return
    os.kill(pid, signal.SIGKILL)  # a new one gets only the remaining memory
    assert wait_for(lambda: not alive(pid))
    weights = sum(path.stat().st_size for path in (app.home / "tensors").rglob("*") if path.is_file())
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(free - weights - GPU_ROOM_BYTES, dtype=torch.uint8, device="cuda")
    yield
    del taken
    torch.cuda.empty_cache()


def test_graphs_are_found_again_at_the_second_start(app, starting, report, request_of, tmp_path):
    assert app.stop() in (0, 128 + 15)
    assert wait_for(lambda: not list(Path("/dev/shm").glob("flashworld-*")))
    with starting() as again:
        report["second start"] = {"seconds": again.start_s, "asked": again.asked_s()}
        assert startup_calls(again.calls_at_start) == 0
        assert "compiled graphs active" in Visitor(again.url).http.get("/config").text
        client = Client(again.url, verbose=False, download_files=str(tmp_path))
        found = visit(again, client, report, "cold, graphs found", "/generate", **request_of())
        assert found["gaussians"] > 0
        assert not [line for line in again.log.splitlines() if "runs eagerly" in line]
