"""A stand-in for the ZeroGPU device API: what `spaces` 0.51 talks to when SPACES_ZERO_GPU is set.

    with DeviceApi(gpus=1) as api:            # in a test; attributes may be changed at any time
        run(env=api.environment())
    python -m tests.zerogpu.device_api --port 8765 --uuid GPU-...      # by hand, before `python app.py`

Modelled: scheduling onto free GPUs, waiting in a queue as an event stream, idle workers, quotas, killing a task by its
process id when it overruns, reclaiming the GPU of a task that failed. What the platform does beyond what spaces' client
shows (how exactly it kills and reclaims) is assumed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

POLL_SECONDS = 0.05
PING_SECONDS = 0.2


@dataclass
class Gpu:
    """One GPU: the task that runs on it, and the process that has it open."""

    index: int
    uuid: str
    task: str | None = None
    pid: int | None = None

    @property
    def idle_worker(self) -> bool:
        return self.pid is not None and alive(self.pid)


@dataclass
class Task:
    """One scheduled call."""

    gpu: Gpu
    seconds: float
    allowed_at: float | None = None


@dataclass
class Rules:
    """How the platform responds; tests change it.

    Attributes:
        cap_s: Longest call it accepts; None accepts any.
        left_s: Seconds left of the visitor's quota; None is unlimited.
        hold: Keeps every call in the queue while true.
        refuse: "busy" answers 503, "expired" 401, "no gpu" ends the queue without one.
        grace_s: How long a task may overrun before it is killed.
        always_cold: Forget idle workers.
    """

    cap_s: float | None = None
    left_s: float | None = None
    hold: bool = False
    refuse: str = ""
    grace_s: float = 0.5
    always_cold: bool = False


@dataclass
class DeviceApi:
    """The server and the requests it has received.

    Attributes:
        gpus: How many GPUs there are, or their UUIDs (they become CUDA_VISIBLE_DEVICES).
        port: 0 takes a free one.
        rules: See `Rules`.
        calls: Every request and event, in order, as dictionaries with "path" or "event".
    """

    gpus: int | tuple[str, ...] = 1
    port: int = 0
    rules: Rules = field(default_factory=Rules)
    calls: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = self.gpus if isinstance(self.gpus, tuple) else tuple(str(i) for i in range(self.gpus))
        self.slots = [Gpu(index, name) for index, name in enumerate(names)]
        self.lent = len(self.slots)
        self.tasks: dict[str, Task] = {}
        self.lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> DeviceApi:
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        for target in (self._server.serve_forever, self._kill_overdue):
            threading.Thread(target=target, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """The environment variables of the app's process."""
        return {"SPACES_ZERO_GPU": "1", "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{self.port}"}

    def log(self, **row: object) -> None:
        with self.lock:
            self.calls.append({"t": time.monotonic(), **row})

    def seen(self, name: str) -> list[dict[str, object]]:
        """Requests to a path, or events of a name, in order."""
        with self.lock:
            return [row for row in self.calls if name in (row.get("path"), row.get("event"))]

    def use(self, gpus: int) -> None:
        """From now on schedule onto only the first few GPUs, and reclaim all of them."""
        with self.lock:
            for gpu in self.slots:
                if gpu.pid is not None and alive(gpu.pid):
                    kill(gpu.pid)
                gpu.pid = gpu.task = None
            self.lent = gpus

    def schedule(self, seconds: float) -> dict[str, object] | None:
        """Give a free GPU to a call, or None while there is none."""
        with self.lock:
            free = [gpu for gpu in self.slots[: self.lent] if gpu.task is None]
            if not free or self.rules.hold or self.rules.refuse:
                return None
            gpu = max(free, key=lambda gpu: gpu.idle_worker)
            token = uuid.uuid4().hex
            gpu.task = token
            idle = gpu.idle_worker and not self.rules.always_cold
            self.tasks[token] = Task(gpu, seconds, time.monotonic() if idle else None)
            return {"idle": idle, "nvidiaIndex": gpu.index, "nvidiaUUID": gpu.uuid, "allowToken": token}

    def allow(self, token: str, pid: int) -> bool:
        with self.lock:
            task = self.tasks.get(token)
            if task is not None:
                task.gpu.pid, task.allowed_at = pid, time.monotonic()
            return task is not None

    def release(self, token: str, fail: bool) -> bool:
        with self.lock:
            task = self.tasks.pop(token, None)
            if task is None:
                return False
            task.gpu.task = None
            pid = task.gpu.pid
            if fail:
                task.gpu.pid = None
        if fail and pid is not None and alive(pid):  # spaces never uses such a worker again: reclaim its GPU
            kill(pid)
        return True

    def _kill_overdue(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            now = time.monotonic()
            with self.lock:
                overdue = {
                    token: task
                    for token, task in self.tasks.items()
                    if task.allowed_at is not None and now > task.allowed_at + task.seconds + self.rules.grace_s
                }
                for token, task in overdue.items():
                    del self.tasks[token]
                    task.gpu.task = None
            for task in overdue.values():
                if task.gpu.pid is not None and alive(task.gpu.pid):
                    self.log(event="kill", pid=task.gpu.pid)
                    kill(task.gpu.pid)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: DeviceApi

    def log_message(self, *args: object) -> None:
        pass

    def _reply(self, code: int, data: object = None, headers: Mapping[str, str] | None = None) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(code)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._reply(200, 0) if self.path.startswith("/queue-size") else self._reply(404)

    def do_POST(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.api.log(path=url.path, **query)
        if url.path == "/startup-report":
            self._reply(200)
        elif url.path == "/allow":
            self._reply(200 if self.api.allow(query["allowToken"], int(query["pid"])) else 404)
        elif url.path == "/release":
            self._reply(200 if self.api.release(query["allowToken"], query.get("fail") == "true") else 404)
        elif url.path == "/schedule":
            self._schedule(float(query.get("durationSeconds", 60)))
        else:
            self._reply(404)

    def _schedule(self, seconds: float) -> None:
        rules = self.api.rules
        if rules.refuse in ("busy", "expired"):
            return self._reply(503 if rules.refuse == "busy" else 401)
        if rules.cap_s is not None and seconds > rules.cap_s:
            headers = {"X-Approve-Result": "illegal-duration"}
            return self._reply(429, {"left": 0, "wait": -1}, headers)
        if rules.left_s is not None and seconds > rules.left_s:
            headers = {"X-Approve-Result": "quota-exceeded", "X-Authenticated": "regular"}
            return self._reply(429, {"left": int(rules.left_s), "wait": 3600}, headers)
        answer = self.api.schedule(seconds)
        if answer is not None:
            return self._reply(200, answer)
        return self._queue(seconds)

    def _queue(self, seconds: float) -> None:
        """Ping until a GPU is free or the caller hangs up."""
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/event-stream"), ("X-Queuing-Reason", "node"), ("Transfer-Encoding", "chunked"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        try:
            self._event("event: ping")
            while (answer := self.api.schedule(seconds)) is None:
                time.sleep(PING_SECONDS)
                if self.api.rules.refuse == "no gpu":
                    self._event("event: failed")
                    break
                self._event("event: ping")
            if answer is not None:
                self._event(f"event: succeeded\ndata: {json.dumps(answer)}")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
            self.api.log(event="left the queue")

    def _event(self, text: str) -> None:
        chunk = f"{text}\n\n".encode()
        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        self.wfile.flush()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--uuid", action="append", help="a GPU's UUID or index; repeat for more GPUs")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds a task may overrun")
    args = parser.parse_args()
    with DeviceApi(tuple(args.uuid or ["0"]), args.port, Rules(grace_s=args.grace)) as api:
        print(" ".join(f"{name}={value}" for name, value in api.environment().items()), flush=True)
        done = 0
        while True:
            time.sleep(0.5)
            for row in api.calls[done:]:
                print(json.dumps(row), flush=True)
                done += 1


if __name__ == "__main__":
    main()
