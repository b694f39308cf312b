"""Make the results that are shipped with the examples: `python -m ui.build_examples SERVICE [NAME ...]`.

SERVICE is "module:attribute" of a service (see `ui.contract`), such as "app:SERVICE". Each result is copied into
`examples/NAME/result/`: what `ui.examples.RESULT_FILES` lists, and `result.json`.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from flashworld.cameras import Cameras
from flashworld.io.request_json import load_request_file
from flashworld.io.scenes import read_scene, write_scene
from flashworld.lighten import lighten
from flashworld.trajectories.json_forms import trajectory_to_json
from ui.contract import Result, Service
from ui.examples import EXAMPLES_DIR, OPENING_BYTES, RESULT_FILES

logger = logging.getLogger(__name__)
MAX_SHIPPED_BYTES = 1_800_000
"""Larger files are not committed; the page then shows only the example's video."""
STEP = 0.97
"""Safety margin on the ratio of file sizes: fewer Gaussians compress slightly worse."""


def build(service: Service, folder: Path) -> None:
    """Run one example and keep the files that are small enough to ship.

    Raises:
        InputError: the example's request is not valid.
    """
    from ui.events.job import default_model

    request = load_request_file(folder / "request.json", defaults=default_model(service))
    with tempfile.TemporaryDirectory() as session:
        steps = service.generate(request, session_dir=Path(session))
        result = next(step for step in steps if isinstance(step, Result))
        keep(result, folder / "result")
    logger.info("%s: %d Gaussians", folder.name, result.gaussians)


def keep(result: Result, target: Path) -> None:
    """Copy a result's files, and write the data that the page shows with them."""
    target.mkdir(exist_ok=True)
    for name, file in RESULT_FILES.items():
        source = result.files.get(name)
        if source and not (name == "spz" and "viewer" in result.files) and source.stat().st_size <= MAX_SHIPPED_BYTES:
            shutil.copyfile(source, target / file)
    if (target / "scene.spz").is_file():
        make_light(target / "scene.spz", result.cameras)
    facts = {
        "seed": result.seed,
        "gaussians": result.gaussians,
        "height": result.height,
        "width": result.width,
        "image_index": result.image_index,
        "focus_distance": result.focus_distance,
        "cameras": trajectory_to_json(result.cameras, height=result.height, width=result.width),
    }
    (target / "result.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def make_light(scene_file: Path, cameras: Cameras, most_bytes: int = OPENING_BYTES) -> None:
    """Merge Gaussians until the file is small enough to be loaded when the page opens."""
    full, count, size = read_scene(scene_file), 0, scene_file.stat().st_size
    while size > most_bytes:
        count = int(STEP * (count or len(full)) * most_bytes / size)
        write_scene(lighten(full, count, cameras), scene_file)
        size = scene_file.stat().st_size


def main(arguments: list[str]) -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    module, _, attribute = arguments[0].partition(":")
    service = getattr(import_module(module), attribute)
    names = arguments[1:] or [path.parent.name for path in sorted(EXAMPLES_DIR.glob("*/request.json"))]
    for name in names:
        build(service, EXAMPLES_DIR / name)


if __name__ == "__main__":
    main(sys.argv[1:])
