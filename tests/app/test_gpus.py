"""`python app.py --gpus`: two parallel workers behind one page, one of them killed. Here each uses a share of the CPU."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from aot.pool_worker import worker_command
from flashworld.inputs import build_request
from flashworld.progress import WAITING, Progress
from flashworld.serving.gpu_pool import GpuPool
from flashworld.serving.gpus import choose_gpus
from flashworld.serving.messages import Finished, WorkerStarted
from flashworld.serving.options import ModelOptions
from flashworld.serving.sentences import BROKEN, WORKER_DIED
from tests.app.running import RunningApp, children, wait_for

WORKERS = ("--gpus", "cpu,cpu")


def worker_pids(app: RunningApp) -> list[int]:
    """Process ids of the device workers."""
    return processes(app, b"aot.pool_worker")


def processes(app: RunningApp, module: bytes) -> list[int]:
    """The app's children and grandchildren that run a module."""
    found = []
    workers = children(app.process.pid)
    for pid in [*workers, *(child for worker in workers for child in children(worker))]:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if module in words:
            found.append(pid)
    return found


def both_serve(app: RunningApp, times: int = 1) -> bool:
    return all(len(re.findall(rf"CPU {index} serves", app.log)) >= times for index in (0, 1))


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with RunningApp(tmp_path_factory.mktemp("gpus"), *WORKERS) as app:
        assert wait_for(lambda: both_serve(app)), app.log
        yield app


def test_two_requests_run_at_once_in_two_processes(app):
    pids, answers, both_busy = worker_pids(app), [], 0
    assert len(pids) == 2

    def visit(seed: int) -> None:
        answers.append(app.visitor().generate(seed=seed, frames=8, height=192, width=288))

    threads = [threading.Thread(target=visit, args=[seed]) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    seen = [cpu_seconds(pid) for pid in pids]
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        now = [cpu_seconds(pid) for pid in pids]
        both_busy += all(after - before >= 0.02 for before, after in zip(seen, now, strict=True))
        seen = now
    assert len(answers) == 2 and all(answer.data is not None for answer in answers), answers
    assert both_busy >= 3, "the requests ran sequentially"


def test_a_killed_worker_gives_one_visitor_an_error_and_is_restarted(app):
    visitor = app.visitor()
    joined = visitor.join("generate", [None, "a red ball", "orbit_right", "", "", 0, 1, 8, 192, 288, 60.0])
    before = set(worker_pids(app))
    busy = {pid: cpu_seconds(pid) for pid in before}
    assert wait_for(lambda: any(cpu_seconds(pid) > busy[pid] + 0.3 for pid in before))
    victim = max(before, key=lambda pid: cpu_seconds(pid) - busy[pid])
    os.kill(victim, signal.SIGKILL)
    answer = visitor.follow(joined.json()["event_id"])
    assert answer.data is None and answer.error == WORKER_DIED
    assert app.visitor().generate(seed=2).data is not None  # the other one keeps serving
    assert wait_for(lambda: len(set(worker_pids(app)) - {victim}) == 2 and len(re.findall("serves", app.log)) == 3), (
        app.log
    )
    assert app.visitor().generate(seed=3).data is not None


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """One worker, started from a directory without the project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    options = ModelOptions("nano", device="cpu")
    pool = GpuPool(choose_gpus("cpu"), lambda device: lambda fd: worker_command(fd, device, options))
    yield pool
    pool.close()


def test_cancelling_frees_the_device_at_the_next_step_and_waiting_is_reported(pool):
    request = build_request(text="a red ball", frames=2, height=64, width=64, seed=1)
    stopped, waiting = pool.messages(request), pool.messages(request)
    assert isinstance(next(stopped), WorkerStarted) and isinstance(next(stopped), Progress)
    first = next(waiting)
    assert isinstance(first, Progress) and first.waiting and first.message == WAITING
    stopped.close()
    again = [message for message in waiting if not getattr(message, "waiting", False)]
    assert isinstance(again[0], WorkerStarted) and isinstance(again[-1], Finished)
    assert again[0].pid == next(message.pid for message in pool.messages(request) if isinstance(message, WorkerStarted))


def test_a_group_that_loses_a_process_is_replaced(tmp_path):
    with RunningApp(tmp_path, "--gpus-per-scene", "2", "--device", "cpu") as app:
        followers = processes(app, b"flashworld.parallel.follower")
        assert len(followers) == 1 and app.visitor().generate(seed=1).data is not None
        os.kill(followers[0], signal.SIGKILL)
        answer = app.visitor().generate(seed=2)
        assert answer.data is None and answer.error in (WORKER_DIED, BROKEN)
        assert app.visitor().generate(seed=3).data is not None
        assert set(processes(app, b"flashworld.parallel.follower")).isdisjoint(followers)


def test_no_worker_outlives_its_app(tmp_path):
    with RunningApp(tmp_path, *WORKERS) as app:
        pids = worker_pids(app)
        assert pids
        app.process.send_signal(signal.SIGKILL)
        app.process.wait()
        assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 30)


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
