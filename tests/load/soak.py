"""A bounded soak test of the running app: `python -m tests.load.soak [--requests 2300] [--visitors 50]`.

Against `python app.py` with nano on this machine: first as many visitors at once as are asked for, then a row of
requests of which 30 % are broken and 10 % are left in the middle, all at the smallest size. Meanwhile the page is
fetched every second. Prints every figure; the exit code is 1 when a requirement is not met.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.app.running import RunningApp, children, wait_for
from tests.load.report import Report
from tests.load.visits import Visits, plan

STREAMS = 4
"""Visitors at a time in the row of requests; the app works on one and the others wait."""
WARM_UP = 300
"""Requests after which memory is expected to stay level: as many visitors have come as the server remembers."""
STEP = 100
"""Requests between two readings of the memory, for which the row pauses: a scene under way takes what four of them vary by."""
QUIET_S = 2.0
"""Pause before a reading, in which requests that visitors left come to their end."""
SETTLE_S = 90


class Watch(threading.Thread):
    """Fetches the page and its configuration every second and notes how long each took, and the server's memory."""

    def __init__(self, app: RunningApp) -> None:
        super().__init__(daemon=True)
        self.app = app
        self.seconds: dict[str, list[float]] = {"/": [], "/config": []}
        self.failures: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self.app.url, timeout=30) as client:
            while not self.ended.wait(1):
                for path, seconds in self.seconds.items():
                    start = time.perf_counter()
                    try:
                        client.get(path).raise_for_status()
                    except httpx.HTTPError as error:
                        self.failures.append(f"{path}: {error!r}")
                    seconds.append(time.perf_counter() - start)


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def threads(pid: int) -> int:
    """How many threads it has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def soak(app: RunningApp, visitors: int, requests: int) -> Report:
    """Run both parts."""
    report = Report(visitors, requests)
    visits = Visits(app)
    report.note("warm", [visits.run("text")])
    report.threads_before = threads(app.process.pid)
    watch = Watch(app)
    watch.start()
    start = time.perf_counter()
    with ThreadPoolExecutor(visitors) as pool:
        report.note("at once", pool.map(visits.run, ["text"] * visitors))
    report.seconds["at once"] = time.perf_counter() - start
    start = time.perf_counter()
    kinds = plan(requests)
    for at in range(0, requests, STEP):
        with ThreadPoolExecutor(STREAMS) as pool:
            report.note("in a row", pool.map(visits.run, kinds[at : at + STEP]))
        number = min(at + STEP, requests)
        if number >= min(WARM_UP, requests // 2):
            time.sleep(QUIET_S)
            report.memory.append((number, rss_mib(app.process.pid)))
        print(f"{number} of {requests} requests, {time.perf_counter() - start:.0f} s", flush=True)
    report.seconds["in a row"] = time.perf_counter() - start
    wait_for(lambda: not children(app.process.pid) and len(app.results) == report.results, SETTLE_S)
    report.memory.append((requests, rss_mib(app.process.pid)))
    watch.ended.set()
    watch.join()
    report.page = watch.seconds
    report.page_failures = watch.failures
    report.threads_after = threads(app.process.pid)
    report.children = children(app.process.pid)
    report.folders = len(app.results)
    report.half_files = [str(path) for path in app.temporary.rglob("*.part*")]
    report.tracebacks = app.log.count("Traceback")
    start = time.perf_counter()
    app.stop()
    report.seconds["to stop"] = time.perf_counter() - start
    report.left_behind = [str(path) for path in app.temporary.glob("flashworld-app-*")]
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=50, help="at once")
    parser.add_argument("--requests", type=int, default=2300, help="in a row")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        with RunningApp(Path(folder)) as app:
            report = soak(app, args.visitors, args.requests)
            print(report.text())
    raise SystemExit(1 if report.unmet_requirements() else 0)


if __name__ == "__main__":
    main()
