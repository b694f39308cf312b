"""The real app in its own process, and clients that speak Gradio's protocol directly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_S = 240
CALL_S = 240
"""Importing torch and one small scene, on a machine that does other things as well."""
FILE = {"_type": "gradio.FileData"}
RESULT_FILES = {"ply", "spz", "plain", "video", "poster", "path", "zip", "html", "request"}
"""Files of a scene that needs no light copy."""
GENERATE = {
    "image": None, "text": "a red ball", "path": "orbit_right", "params": "", "path_json": "", "image_index": 0,
    "seed": 1, "frames": 2, "height": 64, "width": 64, "fov_y_deg": 60.0,
}  # fmt: skip
"""The arguments of `generate`, in order: the smallest scene there is."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RunningApp:
    """`python app.py` with nano on a free local port; its temporary files are in `folder`."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()):
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.log_path = folder / "log.txt"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "2", **(env or {})}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # on a disk filled by a test, cached modules would be truncated
        environment.pop("GRADIO_TEMP_DIR", None)
        options = ("--model", "nano", "--host", "127.0.0.1", "--port", str(self.port), *options)
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "app.py", *options],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self) -> RunningApp:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx.get(self.url, timeout=5)
                return self
            except httpx.HTTPError:
                time.sleep(0.2)
        raise RuntimeError(f"the app did not start:\n{self.log[-3000:]}")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def results(self) -> list[Path]:
        """The current result folders."""
        return sorted(self.temporary.glob("flashworld-app-*/results/*"))

    def visitor(self) -> Visitor:
        return Visitor(self.url)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Send a signal, wait for the process to exit and return its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()

    def __enter__(self) -> RunningApp:
        return self.wait_until_up()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Answer:
    """The outcome of one call: data, an error message, or neither if the visitor disconnected."""

    data: list[Any] | None = None
    error: str | None = None
    status: int = 200
    messages: list[str] = field(default_factory=list)


class Visitor:
    """One page or API client, with its own session."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=CALL_S)
        self.session = uuid.uuid4().hex
        self.config = self.http.get("/config").raise_for_status().json()

    def event(self, name: str) -> dict[str, Any]:
        return next(d for d in self.config["dependencies"] if d["api_name"] == name)

    def generate(self, **given: Any) -> Answer:
        return self.call("generate", list({**GENERATE, **given}.values()))

    def join(self, name: str, data: list[Any]) -> httpx.Response:
        body = {"data": data, "fn_index": self.event(name)["id"], "session_hash": self.session}
        return self.http.post("/gradio_api/queue/join", json=body)

    def call(self, name: str, data: list[Any], leave_at: str | None = None) -> Answer:
        """Call an event by its index, as the page does, private ones too; disconnect at the first message `leave_at`."""
        joined = self.join(name, data)
        if joined.status_code != 200:
            return Answer(error=str(joined.json().get("detail")), status=joined.status_code)
        return self.follow(joined.json()["event_id"], leave_at)

    def follow(self, event_id: str, leave_at: str | None = None) -> Answer:
        answer = Answer()
        with self._messages() as messages:
            for message in messages:
                if message.get("event_id") not in (event_id, None):
                    continue
                answer.messages.append(message["msg"])
                output = message.get("output") or {}
                if message["msg"] == leave_at:
                    return answer
                if message["msg"] == "process_completed":
                    if message["success"]:
                        answer.data = output.get("data")
                    else:
                        answer.error = str(output.get("error"))
                    return answer
                if message["msg"] == "unexpected_error":
                    answer.error = str(message.get("message"))
                    return answer
        return answer

    @contextmanager
    def _messages(self) -> Iterator[Iterator[dict[str, Any]]]:
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            yield (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))

    def upload(self, content: bytes, name: str = "photo.png") -> str:
        """Upload a file; returns its path on the server."""
        return self.http.post("/gradio_api/upload", files={"files": (name, content)}).raise_for_status().json()[0]

    def page_values(self, name: str, **given: Any) -> list[Any]:
        """The values the page would send for an event's inputs, with those of the given `elem_id`s replaced."""
        known = {c["id"]: c["props"] for c in self.config["components"]}
        props = [known[number] for number in self.event(name)["inputs"]]
        return [given.get((p.get("elem_id") or "").replace("-", "_"), p.get("value")) for p in props]

    def get(self, path: str) -> httpx.Response:
        """Fetch a path verbatim, dot segments included."""
        return self.http.get(httpx.URL(str(self.http.base_url).rstrip("/")).copy_with(raw_path=path.encode()))


def links(answer: Answer) -> dict[str, str]:
    """The links of a finished scene's files, by file name."""
    assert answer.data is not None, answer.error
    return {name: file["url"] for name, file in answer.data[0]["files"].items()}


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted({int(child) for path in found for child in path.read_text().split()})


def wait_for(condition, seconds: float = CALL_S) -> bool:
    """Whether the condition becomes true before the timeout."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())
