"""Start an app under ZeroGPU's real client code and a stand-in device API, and call it as a visitor does.

with ZeroGpuApp("tests.zerogpu.small_app:demo") as app:
    visit = app.visit("/generate", "ok", 3)
    print(visit.outputs, visit.error, app.api.seen("/schedule"))
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from gradio_client.utils import apply_diff

from tests.zerogpu.device_api import DeviceApi

ROOT = Path(__file__).parents[2]
START_SECONDS = 240
"""Importing torch, gradio and spaces on a busy machine."""


@dataclass
class Visit:
    """The outcome of one call of an endpoint.

    Attributes:
        outputs: Every value of the first output component, in order.
        error: The error message shown, or None.
        title: The error's title, or None.
        log: Toasts: "info: ...", "success: ...".
        progress: Descriptions of the progress bar, in order.
        seconds: From the request to the last response.
    """

    outputs: list[Any] = field(default_factory=list)
    error: str | None = None
    title: str | None = None
    log: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    seconds: float = 0.0


def module_path() -> str:
    """PYTHONPATH of an app: this project, then the paths of this process's PYTHONPATH."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


class ZeroGpuApp:
    """An app in its own process.

    Args:
        app: module:attribute of a gradio Blocks.
        gpus: For `DeviceApi`; a UUID or an index each on a machine with a GPU.
        cpu: Replace the GPU by the CPU.
        env: More environment for the app.
    """

    def __init__(
        self, app: str, *, gpus: int | tuple[str, ...] = 1, cpu: bool = True, env: Mapping[str, str] | None = None
    ) -> None:
        self.app, self.cpu = app, cpu
        self.api = DeviceApi(gpus)
        self.env = dict(env or {})
        self.url = ""
        self.lines: list[str] = []

    def __enter__(self) -> ZeroGpuApp:
        self._folder = tempfile.TemporaryDirectory(prefix="zerogpu-")
        self.home = Path(self._folder.name)
        self.api.__enter__()
        environment = {
            **os.environ,
            "HOME": str(self.home),  # spaces keeps its cleanup files there and prunes the Hub cache there
            "ZEROGPU_OFFLOAD_DIR": str(self.home / "tensors"),
            "PYTHONPATH": module_path(),
            "GRADIO_ANALYTICS_ENABLED": "0",
            "HF_HUB_OFFLINE": "1",
            **self.api.environment(),
            **self.env,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zerogpu.host", self.app, *(["--cpu"] if self.cpu else [])],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._ready: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            line = self._ready.get(timeout=START_SECONDS)
        except queue.Empty:
            line = None
        if line is None:
            self.__exit__()
            raise RuntimeError("the app did not start:\n" + "\n".join(self.lines[-40:]))
        self.url = json.loads(line.removeprefix("READY "))["url"]
        self.calls_at_start = list(self.api.calls)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.api.__exit__()
        self._folder.cleanup()

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("READY "):
                self._ready.put(line)
        self._ready.put(None)

    def packed_bytes(self) -> int:
        """Size of the pack files, which a cold worker has to read."""
        return sum(path.stat().st_size for path in (self.home / "tensors").rglob("*") if path.is_file())

    def visit(
        self,
        endpoint: str,
        *inputs: Any,
        headers: Mapping[str, str] | None = None,
        until: Callable[[Visit], bool] | None = None,
        timeout: float = 120,
    ) -> Visit:
        """Call an endpoint and wait for its end, or disconnect as soon as `until` is true (as if the tab was closed)."""
        visit, start = Visit(), time.perf_counter()
        with self._events(endpoint, inputs, headers or {}, timeout) as events:
            for message in events:  # gradio sends a heartbeat every 15 s
                _note(visit, message)
                if message["msg"] == "process_completed" or (until and until(visit)):
                    break
                if time.perf_counter() - start > timeout:
                    raise TimeoutError(f"{endpoint} gave no answer in {timeout} s:\n" + "\n".join(self.lines[-40:]))
        visit.seconds = time.perf_counter() - start
        return visit

    @contextmanager
    def _events(
        self, endpoint: str, inputs: tuple[Any, ...], headers: Mapping[str, str], timeout: float
    ) -> Iterator[Iterator[dict[str, Any]]]:
        """gradio's own protocol, so that the test controls headers and disconnecting."""
        session = uuid.uuid4().hex
        with httpx.Client(base_url=self.url, timeout=timeout, headers=dict(headers)) as client:
            index = self._function_index(client, endpoint)
            body = {"data": list(inputs), "fn_index": index, "session_hash": session}
            client.post("/gradio_api/queue/join", json=body).raise_for_status()
            with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
                yield (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    def _function_index(self, client: httpx.Client, endpoint: str) -> int:
        config = client.get("/config").raise_for_status().json()
        return next(d["id"] for d in config["dependencies"] if d["api_name"] == endpoint.strip("/"))

    def visits(self, *calls: tuple[Any, ...]) -> list[Visit]:
        """Several visitors at once."""
        results: list[Visit | None] = [None] * len(calls)

        def work(number: int) -> None:
            results[number] = self.visit(*calls[number])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [visit for visit in results if visit is not None]


def _note(visit: Visit, message: Mapping[str, Any]) -> None:
    """Add one of gradio's messages to a visit. From the second output on, gradio sends only what has changed."""
    output = message.get("output") or {}
    if message["msg"] == "log":
        visit.log.append(f"{message['level']}: {message['log']}")
    elif message["msg"] == "progress":
        visit.progress += [row["desc"] for row in message["progress_data"] or [] if row.get("desc")]
    elif message["msg"] in ("process_generating", "process_completed"):
        if message.get("success") is False or output.get("error"):
            visit.error = output.get("error") or "unknown error"
            visit.title = output.get("title")
        elif output.get("data"):
            value = output["data"][0]
            if message["msg"] == "process_generating" and visit.outputs:
                value = apply_diff(visit.outputs[-1], value)
            if message["msg"] == "process_generating" or visit.outputs[-1:] != [value]:
                visit.outputs.append(value)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Whether the condition becomes true before the timeout."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
