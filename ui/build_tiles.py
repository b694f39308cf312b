"""Make the animations of the camera path templates: `python -m ui.build_tiles SERVICE [TEMPLATE ...]`.

SERVICE is "module:attribute" of a service (see `ui.contract`), such as "app:SERVICE". For each template the model makes a
scene from one example's picture and prompt, and the project's renderer shows the scene along that path, which is what a
visitor gets from the template. Run it again whenever the templates, the weights or the example change. With nano and
without a GPU it takes a quarter of a minute per template.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from flashworld.inputs import GenerationRequest, VideoSettings, build_request
from flashworld.io.images.reading import read_picture
from flashworld.io.scenes import read_scene
from flashworld.rendering import iter_frames
from flashworld.trajectories import PRESETS, resample
from flashworld.trajectories.animation import FRAME_MS, closes, looping
from ui.components.thumbnails import FOLDER, FRAMES, KEY_FILE, SIZE, current_key
from ui.contract import Result, Service
from ui.examples import EXAMPLES_DIR, load_examples

if TYPE_CHECKING:
    from flashworld.types import Frame

EXAMPLE = "pagoda"
"""Has near and distant objects side by side, so that every camera motion is visible."""
SMOOTHING = 2
"""Supersampling factor: rendered this many times larger than shown, then downscaled."""
CLOSED_STILL = FRAMES // 6
"""The view used as the still of a closed path; for an open path it is the last one."""
MOVING_QUALITY, STILL_QUALITY = 50, 70

logger = logging.getLogger(__name__)


def request_for(service: Service, template: str, example: str = EXAMPLE) -> GenerationRequest:
    """The example's picture and prompt along a template with its default parameters."""
    shown = next(found for found in load_examples(EXAMPLES_DIR) if found.name == example)
    d = service.defaults
    return build_request(
        image=None if shown.picture is None else read_picture(shown.picture),
        text=shown.request.get("text") or "",
        trajectory=template,
        frames=d.frames,
        height=d.height,
        width=d.width,
        fov_y_deg=shown.request.get("fov_y_deg") or d.fov_y_deg,
        seed=shown.request.get("seed", 0),
        video=VideoSettings(fps=1, seconds=2.0),  # the video is not used
    )


def views_of(result: Result) -> tuple[list[Image.Image], Image.Image]:
    """The frames of a looping animation of a result along its own path, and the frame used as the still."""
    closed = closes(result.cameras)
    path = resample(result.cameras, FRAMES + 1 if closed else FRAMES)
    height, width = (SMOOTHING * side for side in SIZE)
    frames: list[Frame] = list(iter_frames(read_scene(result.files["ply"]), path, height, width))
    views = [Image.fromarray(frame).reduce(SMOOTHING) for frame in frames[:FRAMES]]
    return looping(views, closed=closed), views[CLOSED_STILL if closed else -1]


def build(service: Service, template: str, folder: Path = FOLDER) -> None:
    """Make one template's animation and its still."""
    with tempfile.TemporaryDirectory() as session:
        steps = service.generate(request_for(service, template), session_dir=Path(session))
        result = next(step for step in steps if isinstance(step, Result))
        (first, *others), still = views_of(result)
    moving = folder / f"{template}.webp"
    first.save(
        moving, "WEBP", quality=MOVING_QUALITY, method=6,
        save_all=True, append_images=others, duration=FRAME_MS, loop=0,
    )  # fmt: skip
    still.save(folder / f"{template}.still.webp", "WEBP", quality=STILL_QUALITY, method=6)
    logger.info("%s: %d bytes", template, moving.stat().st_size)


def main(arguments: list[str]) -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    module, _, attribute = arguments[0].partition(":")
    service = getattr(import_module(module), attribute)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.webp"):
        if old.name.split(".")[0] not in PRESETS:
            old.unlink()
    for template in arguments[1:] or PRESETS:
        build(service, template)
    KEY_FILE.write_text(current_key() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
