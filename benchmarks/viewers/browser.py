"""A page in headless Chromium, served from this machine, and a screenshot once it sets `window.ready`."""

from __future__ import annotations

import functools
import json
import shutil
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WEB = Path(__file__).parent / "web"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)  # fmt: skip
"""WebGL 2 on the CPU."""
READY_MS = 90_000


@dataclass(frozen=True)
class Shown:
    """The result of a viewer.

    Attributes:
        rgb: The image, uint8. (H, W, 3)
        count: Number of Gaussians that the viewer reports.
    """

    rgb: np.ndarray
    count: int


class _Files(SimpleHTTPRequestHandler):
    """`/node_modules/...` from the cache, `/files/...` from the folder of scenes, pages from `web/`."""

    def __init__(self, *args: Any, roots: dict[str, Path], **kwargs: Any) -> None:  # noqa: ANN401 - the server's own
        self.roots = roots
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        top, _, rest = urllib.parse.urlsplit(path).path.lstrip("/").partition("/")
        folder = self.roots.get(top)
        return super().translate_path(path) if folder is None else str(folder / rest)

    def log_message(self, *_: object) -> None:
        pass


class Browser:
    """Chromium and a server for its pages."""

    def __init__(self, chromium: Any, url: str) -> None:  # noqa: ANN401 - playwright is imported late
        self.chromium, self.url = chromium, url

    def show(self, page_name: str, view: dict[str, Any], height: int, width: int) -> Shown:
        """Open a page with its view and return what it shows.

        Raises:
            RuntimeError: the page reported an error, or was not ready in time.
        """
        page = self.chromium.new_page(viewport={"width": width, "height": height})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        try:
            page.goto(f"{self.url}/{page_name}?view={urllib.parse.quote(json.dumps(view))}")
            page.wait_for_function("window.ready === true", timeout=READY_MS)
            picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
            count = page.evaluate("window.count")
        except Exception as error:
            raise RuntimeError(f"{page_name}: {error}; the page said {errors}") from error
        finally:
            page.close()
        return Shown(np.asarray(picture), int(count))


@contextmanager
def browser(packages: Path, files: Path) -> Iterator[Browser]:
    """A browser that sees the installed packages and the scene files."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if executable is None:
        raise RuntimeError("Chromium is not installed: apt install chromium")
    roots = {"node_modules": packages / "node_modules", "files": files}
    handler = functools.partial(_Files, roots=roots, directory=str(WEB))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
            yield Browser(chromium, f"http://127.0.0.1:{server.server_port}")
            chromium.close()
    finally:
        server.shutdown()
        server.server_close()
