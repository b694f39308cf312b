"""Load time and size of the page.

    python -m benchmarks.page [--runs 3] [--json]

Starts `python app.py --model nano` on this machine and opens it in a fresh Chromium. Seconds are wall seconds, meaningful
only on an idle machine. Bytes are those of the response bodies as transferred, for a first visit at
1280 x 900 until nothing has been fetched for 1.5 seconds; then of what is fetched when the 3D tab is opened.
Needs the test tools (`make test` installs them) and a Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_ARGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
START_S, STOP_S = 240, 30
LARGEST = 12
"""Files listed by name."""
QUIET_MS = 1500
LOADED = "loaded in "
"""The app's log message once the model is loaded."""


class App:
    """The app in a separate process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/"
        self.log = folder / "log.txt"
        self.start = time.perf_counter()
        command = [sys.executable, "app.py", "--model", "nano", "--host", "127.0.0.1", "--port", str(port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    def seconds_until(self, happened) -> float:  # noqa: ANN001 - any function without arguments
        """Seconds since the start of the process.

        Raises:
            SystemExit: the app ended, or it took too long.
        """
        while not happened():
            if self.process.poll() is not None or time.perf_counter() - self.start > START_S:
                raise SystemExit(f"the app did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        return time.perf_counter() - self.start

    def answers(self) -> bool:
        """Whether the page is served."""
        with contextlib.suppress(OSError):
            urllib.request.urlopen(self.url, timeout=5).close()
            return True
        return False

    def has_model(self) -> bool:
        """Whether the model is loaded."""
        return LOADED in self.log.read_text()


def measure(browser, folder: Path) -> dict:  # noqa: ANN001 - playwright's, which is imported late
    """One start and one visit."""
    app = App(folder)
    try:
        row = {"first answer": app.seconds_until(app.answers)}
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        urls: dict[str, str] = {}
        sizes: dict[str, int] = defaultdict(int)
        network.on("Network.responseReceived", lambda e: urls.update({e["requestId"]: e["response"]["url"]}))
        network.on(
            "Network.loadingFinished",
            lambda e: sizes.update({e["requestId"]: sizes[e["requestId"]] + int(e["encodedDataLength"])}),
        )
        opened = time.perf_counter()
        page.goto(app.url)
        page.wait_for_selector("#fw-generate")
        row["page usable"] = time.perf_counter() - app.start
        row["of that in the browser"] = time.perf_counter() - opened
        settle(page, sizes)
        first = dict(sizes)
        row["model ready"] = app.seconds_until(app.has_model)
        page.get_by_role("tab", name="Fly", exact=True).click()
        settle(page, sizes)
        page.close()
    finally:
        app.process.terminate()
        app.process.wait(STOP_S)
    later = {key: size for key, size in sizes.items() if key not in first}
    return {"seconds": row, "first": by_name(first, urls), "later": by_name(later, urls)}


def settle(page, sizes: dict[str, int]) -> None:  # noqa: ANN001
    """Wait until nothing has been received for a while; Gradio's heartbeat never ends, so the network is never idle."""
    seen = -1
    while seen != len(sizes):
        seen = len(sizes)
        page.wait_for_timeout(QUIET_MS)


def by_name(sizes: dict[str, int], urls: dict[str, str]) -> dict[str, int]:
    """Bytes by file name, the largest first; data in the page itself is not counted."""
    found: dict[str, int] = defaultdict(int)
    for key, size in sizes.items():
        if urls.get(key, "").startswith("http"):
            path = urlsplit(urls[key]).path
            found[path.rsplit("/", 1)[-1] or "/"] += size
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise SystemExit("needs Chromium")
    rows = []
    for _ in range(args.runs):
        with sync_playwright() as play, tempfile.TemporaryDirectory(prefix="page-") as folder:
            rows.append(measure(play.chromium.launch(executable_path=program, args=BROWSER_ARGS), Path(folder)))
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    for name in rows[0]["seconds"]:
        values = [row["seconds"][name] for row in rows]
        print(f"{name:24}{statistics.median(values):6.1f} s   ({', '.join(f'{value:.1f}' for value in values)})")
    for title, key in (("first visit", "first"), ("opening the 3D tab", "later")):
        files = rows[-1][key]
        print(f"{title}: {len(files)} files, {sum(files.values()) / 1e3:.0f} kB")
        for name, size in list(files.items())[:LARGEST]:
            print(f"  {size / 1e3:8.1f} kB  {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
