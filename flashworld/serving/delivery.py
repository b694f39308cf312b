"""The files of one scene for a visitor, in one folder: downloads, the files of the two viewers, and a poster.

The downloads contain the full scene. If it is too large for a phone, the 3D view shows a light scene first, merged to
a size that phones can display (see `flashworld.lighten`); the plain viewer gets 300,000 Gaussians (see `plain_preview`).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians, focus_point
from flashworld.io.atomic import replacing
from flashworld.io.scenes.plain_preview import write_plain_preview
from flashworld.io.scenes.spz import write_spz
from flashworld.result import SceneResult, make_folder, write_text
from flashworld.serving.light import LightScene
from flashworld.trajectories.json_forms import trajectory_to_json
from flashworld.types import Frame

DeliveredFile = Literal["ply", "spz", "viewer", "plain", "video", "poster", "path", "zip"]
NAMES: dict[DeliveredFile, str] = {
    "ply": "scene.ply",
    "spz": "scene.spz",
    "viewer": "viewer.spz",
    "plain": "plain.splat",
    "video": "video.mp4",
    "poster": "poster.webp",
    "path": "path.json",
    "zip": "flashworld.zip",
}
ZIPPED: tuple[DeliveredFile, ...] = ("ply", "spz", "video", "path")
POSTER_QUALITY = 85


def deliver(
    result: SceneResult,
    folder: str | Path,
    *,
    light: LightScene | None = None,
    picture: Frame | None = None,
    frames: Iterable[Frame] | None = None,
) -> Iterator[tuple[DeliveredFile, Path]]:
    """Write every file, several at the same time, and yield each as soon as it is complete.

    For a scene of the full model each file takes seconds on one core. Path, poster and light scene come first, for the page
    to show; the archive of the other files last.

    Args:
        result: The scene.
        folder: Created if necessary.
        light: What the 3D view shows first; None: it shows the full scene, and no file is written for it.
        picture: The poster, if it is already rendered: a scene of the full model takes seconds without a GPU.
        frames: The video's frames, if they are already rendered.

    Raises:
        SceneError: the scene is empty or not finite.
        VideoError: the frames differ in size or type.
        WriteError: a file cannot be written.
    """
    folder = make_folder(folder)
    paths = {name: folder / file for name, file in NAMES.items()}
    request = result.request
    write_text(path_json(result.cameras, request.height, request.width), paths["path"])
    yield "path", paths["path"]
    write_poster(result.picture() if picture is None else picture, paths["poster"])
    yield "poster", paths["poster"]
    if light is not None:
        write_spz(light.scene, paths["viewer"])
        yield "viewer", paths["viewer"]
    result = replace(result, scene=result.visible())
    camera = result.cameras[request.image_index]
    jobs: dict[DeliveredFile, Callable[[], object]] = {
        "ply": partial(result.save, folder, ["ply"]),
        "spz": partial(result.save, folder, ["spz"]),
        "plain": lambda: write_plain_preview(
            result.scene, camera, focus_distance(result.scene, camera), paths["plain"]
        ),
    }
    if request.video.enabled:
        jobs["video"] = partial(result.save, folder, ["video"], frames=frames)
    for name in _together(jobs):
        yield name, paths[name]
    write_zip([paths[name] for name in ZIPPED if paths[name].exists()], paths["zip"])
    yield "zip", paths["zip"]


def _together(jobs: dict[DeliveredFile, Callable[[], object]]) -> Iterator[DeliveredFile]:
    """Run jobs in threads and yield the name of each as it finishes; numpy, torch and zlib release the GIL."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        running: dict[Future[object], DeliveredFile] = {pool.submit(job): name for name, job in jobs.items()}
        for future in as_completed(running):
            future.result()
            yield running[future]


def focus_distance(scene: Gaussians, camera: Cameras) -> float:
    """Distance from a camera to the near part of the scene, scene units."""
    return float(torch.linalg.norm(focus_point(scene, camera).cpu() - camera.positions[0].cpu()))


def path_json(cameras: Cameras, height: int, width: int) -> str:
    """The path in this project's JSON format."""
    return json.dumps(trajectory_to_json(cameras, height=height, width=width), indent=1)


def write_poster(picture: Frame, path: Path) -> None:
    """The image shown until the video plays."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="WEBP", quality=POSTER_QUALITY)


def write_zip(files: list[Path], path: Path) -> None:
    """Write files into one archive without compression: scenes and videos hardly shrink.

    Raises:
        WriteError: it cannot be written.
    """
    with replacing(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.write(file, file.name)
