"""One server with the stand-in service and one Chromium for all browser tests; a fresh visitor for each test.

Every page is watched: an error in the console, an uncaught exception or a request that leaves the machine fails the
test, unless the test says that it expects one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
GPU_ARGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
MEMORY_ARGS = ["--enable-precise-memory-info", "--js-flags=--expose-gc"]
BASE_ARGS = ["--no-sandbox", "--disable-dev-shm-usage"]
START_S = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if CHROMIUM is None and HERE in Path(item.fspath).parents:
            item.add_marker(pytest.mark.skip(reason="needs Chromium"))


FAILED = pytest.StashKey[bool]()
STATE_JS = """() => ({
  tabs: [...document.querySelectorAll('[role=tab][aria-selected=true]')].map((e) => e.textContent),
  focus: document.activeElement?.outerHTML.slice(0, 120),
  values: [...document.querySelectorAll('input, textarea')].filter((e) => e.offsetParent).map((e) => `${e.getAttribute('aria-label') ?? e.id}: ${e.value}`),
  result: document.querySelector('#fw-result')?.innerText,
  plain: document.querySelector('#fw-plain')?.outerHTML.slice(0, 1500),
})"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def standin_log(tmp_path_factory) -> Path:
    """What the service received: "begun PROMPT" and, if its work was cancelled, "closed PROMPT"."""
    return tmp_path_factory.mktemp("standin") / "log.txt"


@pytest.fixture
def release(standin_log) -> Iterator[Path]:
    """The file that releases held jobs; they must not outlive a failing test."""
    file = standin_log.parent / "release"
    file.unlink(missing_ok=True)
    yield file
    file.touch()


@pytest.fixture(scope="session")
def server(tmp_path_factory, standin_log) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("server") / "log.txt", standin_log) as url:
        yield url


@contextmanager
def served(log_file: Path, standin_log: Path, *arguments: str) -> Iterator[str]:
    """The address of a page with the stand-in service, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = log_file.open("w+")
    environment = {
        **os.environ,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "OMP_NUM_THREADS": "1",
        "STANDIN_LOG": str(standin_log),
    }
    process = subprocess.Popen(
        [sys.executable, str(HERE / "standin.py"), str(port), *arguments],
        stdout=log, stderr=subprocess.STDOUT, env=environment,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_until_up(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_up(url: str, process: subprocess.Popen, log) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.2)
    log.seek(0)
    raise RuntimeError(f"the server did not start:\n{log.read()[-3000:]}")


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable]:
    """A function that starts Chromium with some switches."""
    browsers = []
    with playwright.sync_playwright() as play:

        def launch(*args: str):
            browsers.append(play.chromium.launch(executable_path=CHROMIUM, args=[*BASE_ARGS, *args]))
            return browsers[-1]

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="session")
def chromium(launch):
    return launch(*GPU_ARGS, *MEMORY_ARGS)


class Watch:
    """The errors of a page."""

    def __init__(self, server: str) -> None:
        self.server = server
        self.problems: list[str] = []
        self.requests: list[tuple[str, int]] = []
        self.expected: tuple[str, ...] = ()

    def attach(self, page) -> None:
        page.on("console", lambda m: self.problems.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._request)

    def _request(self, request) -> None:
        if not request.url.startswith((self.server, "data:", "blob:")):
            self.problems.append(f"left the machine: {request.url[:120]}")

    def check(self) -> None:
        unexpected = [p for p in self.problems if not any(text in p for text in self.expected)]
        assert not unexpected, unexpected


@pytest.fixture
def watch(server) -> Iterator[Watch]:
    watch = Watch(server)
    yield watch
    watch.check()


@pytest.fixture
def visit(server, chromium, watch, request):
    """A function that opens the page as a new visitor."""
    contexts = []

    def visit(query: str = "", **options):
        options.setdefault("viewport", {"width": 1280, "height": 900})
        # Without a GPU, rendering is in software: reduced motion unless a test asks for motion, and half the size.
        options.setdefault("reduced_motion", "reduce")
        options.setdefault("device_scale_factor", 0.5)
        context = chromium.new_context(**options)
        context.set_default_timeout(120_000)
        contexts.append(context)
        page = context.new_page()
        watch.attach(page)
        page.goto(server + query)
        page.wait_for_selector("#fw-generate")
        return page

    yield visit
    for context in contexts:
        if request.node.stash.get(FAILED, False):
            for page in context.pages:
                print(page.url, page.evaluate(STATE_JS), watch.problems)
        context.close()


@pytest.fixture
def photo(tmp_path) -> Path:
    """A picture wider than the output, in which every corner differs."""
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 600)[None]
    pixels[..., 1] = np.linspace(0, 255, 300)[:, None]
    pixels[40:110, 150:260] = 255
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, quality=92)
    return path
