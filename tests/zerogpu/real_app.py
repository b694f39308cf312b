"""The real app with any model under ZeroGPU's real client code and a stand-in device API, on a GPU or on the CPU.

with RealApp(folder_of_weights, graphs, gpus=("GPU-...",)) as app:
    visitor = Client(app.url)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.app.running import free_port
from tests.zerogpu.device_api import DeviceApi, Rules
from tests.zerogpu.harness import ROOT, module_path

PATIENCE_S = 1500.0
"""For a start that compiles everything: the longest call a Space may make then."""


class RealApp:
    """`python app.py --model FOLDER` in its own process.

    Args:
        model: The value of --model.
        graphs: The value of FLASHWORLD_AOT_DIR.
        gpus: UUIDs for `DeviceApi`; with none, the CPU replaces the GPU.
        grace_s: How long a call may overrun its reserved time, so that the test can measure it before it is killed.
        env: More environment.

    With FLASHWORLD_TEST_LOGS naming a folder, logs stay there.
    """

    def __init__(
        self,
        model: str | Path,
        graphs: Path,
        *,
        gpus: tuple[str, ...] = (),
        grace_s: float = 600.0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.model, self.graphs, self.env = model, graphs, dict(env or {})
        self.on_gpu = bool(gpus)
        self.api = DeviceApi(gpus or 1, rules=Rules(grace_s=grace_s))

    def __enter__(self) -> RealApp:
        self.home = Path(tempfile.mkdtemp(prefix="real-app-"))
        self.api.__enter__()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = ["app.py"] if self.on_gpu else ["-m", "tests.zerogpu.cpu_app"]
        options = ["--model", str(self.model), "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            **os.environ,
            "HOME": str(self.home),  # spaces keeps its cleanup files there and prunes the Hub cache there
            "TMPDIR": str(self.home),
            "ZEROGPU_OFFLOAD_DIR": str(self.home / "tensors"),
            "FLASHWORLD_AOT_DIR": str(self.graphs),
            "PYTHONPATH": module_path(),
            "GRADIO_ANALYTICS_ENABLED": "0",
            "HF_HUB_OFFLINE": "1",
            **self.api.environment(),
            **self.env,
        }
        environment.pop("GRADIO_TEMP_DIR", None)
        started = time.monotonic()
        self.log_path = Path(os.environ.get("FLASHWORLD_TEST_LOGS") or self.home) / f"app-{port}.txt"
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", *program, *options],
                cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        self.start_s = time.monotonic() - started
        self.calls_at_start = list(self.api.calls)
        return self

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx.get(self.url, timeout=5)
                return
            except httpx.HTTPError:
                time.sleep(0.2)
        raise RuntimeError(f"the app did not start (exit code {self.process.poll()}):\n{self.log[-4000:]}")

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def asked_s(self) -> list[int]:
        """GPU seconds that each call has reserved, in order."""
        return [int(str(call["durationSeconds"])) for call in self.api.seen("/schedule")]

    def stop(self) -> int:
        """Stop it as a Space is stopped; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own session: workers and compilers, too
        except ProcessLookupError:
            pass
        self.process.wait()
        self.api.__exit__()
        shutil.rmtree(self.home, ignore_errors=True)  # the pack of a full-size model is 12 GB
