"""Faults in the environment of the running app; `docs/faults.md` states the expected behaviour."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import torch

from flashworld.serving.sentences import BROKEN
from tests.app.running import FILE, ROOT, START_S, RunningApp, children, wait_for
from tests.old_driver import old_driver

NO_ROOM_BYTES = 100_000
"""Room for pictures and path, not for the scene."""


@pytest.fixture(scope="module", autouse=True)
def starting(app, tmp_path_factory):
    """More apps, started in parallel because importing torch takes the longest: two must start, two must fail."""
    old = tmp_path_factory.mktemp("old-driver")
    offline = tmp_path_factory.mktemp("offline")
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(offline / "empty"), "HF_TOKEN": "hf_" + "secret" * 6}
    apps = {
        "ends": RunningApp(tmp_path_factory.mktemp("ends")),
        "offline": RunningApp(offline, "--model", "full", "--device", "cpu", env=environment),
        "old driver": RunningApp(old, env={"LD_LIBRARY_PATH": str(old_driver(old))}),
        "second": RunningApp(tmp_path_factory.mktemp("second"), "--port", str(app.port)),
    }
    yield apps
    for started in apps.values():
        started.process.kill()
        started.process.wait()


def test_full_disk_is_one_sentence_and_leaves_no_file(app, visitor):
    before = app.results
    limit = resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE)
    room = len(app.log.encode()) + NO_ROOM_BYTES  # the app's log is a file as well
    resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, (room, limit[1]))
    try:
        answer = visitor.generate()
    finally:
        resource.prlimit(app.process.pid, resource.RLIMIT_FSIZE, limit)
    assert answer.error == BROKEN
    assert app.results == before
    assert "cannot be written: File too large" in app.log
    assert visitor.generate().error is None, "it works again once there is free space"


def test_removed_folders_are_recreated(app, visitor, photo):
    for folder in app.temporary.glob("flashworld-app-*/*"):
        if folder.is_dir():
            shutil.rmtree(folder)
    answer = visitor.generate(image={"path": visitor.upload(photo), "meta": FILE})
    assert answer.error is None
    assert len(app.results) == 1


def test_upload_that_was_removed_must_be_sent_again(visitor, photo):
    path = visitor.upload(photo, "swept.png")
    Path(path).unlink()
    assert visitor.generate(image={"path": path, "meta": FILE}).error
    assert visitor.generate(image={"path": visitor.upload(photo, "swept.png"), "meta": FILE}).error is None


def test_disconnecting_stops_the_work_and_leaves_no_folder(app, visitor):
    before = app.results
    values = visitor.page_values("job", fw_prompt="a red ball", fw_frames=8)
    answer = visitor.call("job", values, leave_at="process_generating")
    assert answer.messages[-1] == "process_generating"
    assert wait_for(lambda: app.results == before)
    assert wait_for(lambda: children(app.process.pid) == [])
    assert app.visitor().generate().error is None, "the worker is free again"


def test_sigterm_during_a_call_ends_the_process_and_leaves_nothing(starting):
    app = starting["ends"].wait_until_up()
    visitor = app.visitor()
    values = visitor.page_values("job", fw_prompt="a red ball", fw_frames=8)
    visitor.call("job", values, leave_at="process_generating")  # the model is loaded
    assert wait_for(lambda: not app.results)
    assert visitor.join("job", values).status_code == 200
    assert wait_for(lambda: app.results)
    started = children(app.process.pid)
    assert app.stop(signal.SIGTERM) == 128 + signal.SIGTERM  # within seconds, or `stop` times out
    assert list(app.temporary.glob("flashworld-app-*")) == []
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
    assert "Traceback" not in app.log


def test_full_model_without_hub_and_cache_exits_with_one_sentence(starting):
    app = starting["offline"]
    assert app.process.wait(START_S) == 1
    assert "Traceback" not in app.log
    last = app.log.strip().splitlines()[-1]
    assert last.startswith(
        "flashworld: Wan-AI/Wan2.2-TI2V-5B-Diffusers/text_encoder/config.json is not in the Hub's cache"
    )
    assert "hf download" in last
    assert "hf_secret" not in app.log
    assert list(app.temporary.glob("flashworld-app-*")) == []


@pytest.mark.skipif(shutil.which("gcc") is None or torch.cuda.is_available(), reason="needs gcc, and no GPU")
def test_outdated_driver_is_explained_on_the_page_while_the_app_runs(starting):
    app = starting["old driver"].wait_until_up()
    sentence = "the NVIDIA driver is too old (it serves CUDA 11.4, torch"
    assert sentence in app.log
    assert sentence in httpx.get(f"{app.url}/config").text
    assert "Traceback" not in app.log
    assert app.visitor().generate().error is None


def test_second_app_on_a_port_exits_with_one_sentence(starting, app):
    second = starting["second"]
    assert second.process.wait(START_S) == 1
    assert "Traceback" not in second.log
    assert second.log.strip().splitlines()[-1].startswith(f"flashworld: port {app.port} of 127.0.0.1 cannot be used")
    assert list(second.temporary.glob("flashworld-app-*")) == []
    assert app.process.poll() is None


@pytest.mark.parametrize("option", [("--model", "nowhere"), ("--offload", "everything")])
def test_invalid_options_exit_with_one_sentence(option, tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py", *option, "--device", "cpu"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=START_S,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("flashworld: ")
    assert list(tmp_path.glob("flashworld-app-*")) == []
