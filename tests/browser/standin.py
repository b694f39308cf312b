"""A service for the page without a model: a real scene with real files, with the timing and the faults a test requests.

Run as a program it serves the page: `python tests/browser/standin.py PORT [own-words]`. Words in the prompt control it:
"slow" takes long steps, "dense" makes a scene fine enough to compare renderers with, "broken" fails inside, "refused" raises an
InputError, "heavy" makes a scene above 25 MB, "lightened" delivers a light scene before the full one, "frozen" sends no progress
for a long time, "held" waits for a file named "release" beside the log. "early", with "lightened", shows the scene before it waits
for that file, and "unwritten" fails after that.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from scenes import FOCUS, asymmetric_scene, write_result_files  # noqa: E402

from flashworld.cameras import intrinsics_from_fov, normalize  # noqa: E402
from flashworld.errors import InputError  # noqa: E402
from flashworld.io.scenes import write_scene  # noqa: E402
from flashworld.nano.language import understood  # noqa: E402
from flashworld.progress import Progress  # noqa: E402
from flashworld.trajectories import build_trajectory  # noqa: E402
from ui.contract import Defaults, Result  # noqa: E402

COARSE = 2
"""What a test draws in software: it has to be seen, not to be fine."""
PLAN = (
    Progress("text", 0.0), *(Progress("denoise", 0.05 + 0.16 * step, step + 1, 4) for step in range(4)),
    Progress("render", 0.7), *(Progress("files", 0.85 + 0.05 * file, file + 1, 3) for file in range(3)),
)  # fmt: skip
"""What the app sends."""


class StandIn:
    model_name = "Stand-in"
    model_note = "a test scene, no model at all"
    defaults = Defaults(frames=8, height=96, width=128, sizes=((96, 128), (128, 96), (96, 96)), fps=10)
    queue_size = 8
    concurrency = 2
    uses_gpu_quota = True

    def __init__(self, seconds: float = 0.3, *, own_words: bool = False) -> None:
        self.seconds = seconds
        self.understood = understood if own_words else None
        self.learned = 0.0
        """Seconds that the last scene has taught: now more, now less."""

    def estimate_seconds(self, frames, height, width, video, *, picture) -> float:
        return 2.0 + 4.0 * picture + 0.1 * frames + 0.01 * video.frame_count(frames) + self.learned

    def generate(self, request, *, session_dir: Path) -> Iterator[Progress | Result]:
        note(f"begun {request.text}")
        note(f"view {request.image_index} is the picture of {request.text}")
        try:
            yield from self._steps(request, session_dir)
        except GeneratorExit:
            note(f"closed {request.text}")
            raise

    def _steps(self, request, session_dir: Path) -> Iterator[Progress | Result]:
        started = time.perf_counter()
        pause = (6.0 if "slow" in request.text else self.seconds) / len(PLAN)
        for progress in PLAN:
            shown = self._preview(request, progress.fraction) if progress.step > 1 else None
            yield replace(progress, preview=shown if progress.stage == "denoise" else None)
            time.sleep(pause)
            if "frozen" in request.text and progress.stage == "text":
                time.sleep(12)
            if "held" in request.text and progress.stage == "text":
                wait_for_release()
            if "broken" in request.text and progress.stage == "render":
                raise RuntimeError("secret detail that no visitor may read")
            if "refused" in request.text and progress.stage == "render":
                raise InputError("camera 3: <b>this</b> path cannot be used")
        scene = asymmetric_scene(request.seed % 100, **({} if "dense" in request.text else {"density": COARSE}))
        normalized, norm = normalize(request.cameras)
        cameras = norm.to_scene_units(normalized)
        files = write_result_files(scene, cameras, request.height, request.width, session_dir)
        if "heavy" in request.text:
            with files["spz"].open("ab") as file:  # zeros after a gzip stream are not part of it
                file.write(bytes(25_000_000))
        light = asymmetric_scene(density=1) if "lightened" in request.text else None
        if light is not None:
            files["viewer"] = session_dir / "viewer.spz"
            write_scene(light, files["viewer"])
        self.learned = 0.5 - self.learned
        result = Result(
            files, request.seed, len(scene), cameras, request.height, request.width, request.image_index, FOCUS,
            {"everything": time.perf_counter() - started}, len(light or ()), 31.25,
        )  # fmt: skip
        if "early" in request.text:
            first = {name: files[name] for name in ("viewer", "video", "poster", "path")}
            yield replace(result, files=first, complete=False)
            yield PLAN[-1]
            wait_for_release()
        if "unwritten" in request.text:
            raise RuntimeError("secret detail that no visitor may read")
        yield result

    def _preview(self, request, fraction: float) -> np.ndarray:
        noise = np.random.default_rng(0).integers(0, 255, (request.height, request.width, 3))
        clear = np.full_like(noise, 160) if request.picture is None else request.picture
        return (fraction * clear + (1 - fraction) * noise).astype(np.uint8)


def opening(folder: Path) -> Result:
    """An initial scene that costs a browser without a GPU almost nothing."""
    defaults = StandIn.defaults
    lens = intrinsics_from_fov(defaults.fov_y_deg, defaults.height, defaults.width)
    cameras = build_trajectory("orbit_right", frames=defaults.frames, intrinsics=lens)
    scene = asymmetric_scene(density=1)
    files = write_result_files(scene, cameras, defaults.height, defaults.width, folder)
    return Result(files, 0, len(scene), cameras, defaults.height, defaults.width, 0, FOCUS)


def wait_for_release() -> None:
    """Wait until the test creates the release file, whatever the machine's speed."""
    while not (Path(os.environ["STANDIN_LOG"]).parent / "release").exists():
        time.sleep(0.1)


def note(line: str) -> None:
    """Log a line for tests that check what the service received."""
    if "STANDIN_LOG" in os.environ:
        with Path(os.environ["STANDIN_LOG"]).open("a") as log:
            log.write(line + "\n")


def main(port: int, *words: str) -> None:
    from ui import build_page, launch_options

    with tempfile.TemporaryDirectory() as folder:
        page = build_page(StandIn(own_words="own-words" in words), opening=opening(Path(folder)))
        page.launch(server_port=port, server_name="127.0.0.1", mcp_server=True, **launch_options())


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
