"""The public API, also served over MCP: plain types in, links to files out. The docstrings are its documentation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData

from flashworld.checks import echo, whole_number
from flashworld.errors import InputError, TrajectoryError
from flashworld.inputs import VideoSettings
from flashworld.io.json_text import read_json
from flashworld.limits import MAX_SEED
from ui.contract import Result, Service
from ui.events.camera_path import PathForm
from ui.events.generate import JOBS
from ui.events.job import FormValues, draw_seed, run_job, visitor_error
from ui.parts.run import SceneSettings
from ui.sessions import Sessions
from ui.uploads import uploaded_picture

DRAWN = -1
"""The seed that requests a random one."""


def connect_api(service: Service, sessions: Sessions) -> None:
    """Offer `generate` and `generate_from_text`."""
    d = service.defaults
    film = VideoSettings(fps=d.fps, seconds=d.seconds)

    def generate(
        image: FileData | None,
        text: str = "",
        path: str = "orbit_right",
        params: str = "",
        path_json: str = "",
        image_index: int = 0,
        seed: int = -1,
        frames: int = d.frames,
        height: int = d.height,
        width: int = d.width,
        fov_y_deg: float = d.fov_y_deg,
    ) -> dict:
        """Make a 3D Gaussian scene from a picture and/or a text, along a camera path.

        Args:
            image: An uploaded picture, or None for text only; links are not fetched. Its centre is cropped to the
                output's shape.
            text: Description of the scene; may be empty if there is a picture.
            path: Name of a camera path template, such as orbit_right, forward, spiral, dolly_zoom_in, rotate_forward.
            params: The template's parameters as JSON, such as {"angle_deg": 20}; empty for its defaults.
            path_json: A camera path as JSON text, instead of a template.
            image_index: Index of the view that shows the picture; 0 is the start of the path.
            seed: Seed of all noise; -1 chooses one at random.
            frames: Number of views.
            height: Rows of the views in pixels, a multiple of 32.
            width: Columns of the views in pixels, a multiple of 32.
            fov_y_deg: Vertical field of view in degrees.

        Returns:
            Files by name (ply, spz, video, path, zip, ...) with their links, the seed, the number of Gaussians, and notes:
            sentences on what was sorted, ignored or assumed in the camera path.
        """
        form = partial(path_form, path, params, path_json)
        size = SceneSettings(frames, height, width, film)
        return run_call(service, sessions, image, text, form, size, fov_y_deg, image_index, seed)

    def generate_from_text(
        text: str,
        path: str = "orbit_right",
        seed: int = -1,
    ) -> dict:
        """Make a 3D Gaussian scene from a text alone, along a camera path.

        Args:
            text: Description of the scene.
            path: Name of a camera path template, such as orbit_right, forward, spiral, dolly_zoom_in, rotate_forward.
            seed: Seed of all noise; -1 chooses one at random.

        Returns:
            Files by name (ply, spz, video, path, zip, ...) with their links, the seed, the number of Gaussians, and notes:
            sentences on what was sorted, ignored or assumed in the camera path.
        """
        form = partial(path_form, path, "", "")
        size = SceneSettings(d.frames, d.height, d.width, film)
        return run_call(service, sessions, None, text, form, size, d.fov_y_deg, 0, seed)

    for endpoint in (generate, generate_from_text):
        gr.api(endpoint, concurrency_limit=service.concurrency, concurrency_id=JOBS)


def run_call(
    service: Service,
    sessions: Sessions,
    image: object,
    text: str,
    form: Callable[[], PathForm],
    size: SceneSettings,
    fov_y_deg: float,
    image_index: int,
    seed: object,
) -> dict:
    """Check the values of one call, generate, and return links; `form` returns the camera path or raises.

    Raises:
        gr.Error: a value is wrong, or the generation failed; one sentence.
    """
    try:
        path = form()
        given = whole_number(seed, "seed", DRAWN, MAX_SEED)
        values = FormValues(
            uploaded_picture(image), text, path, size, fov_y_deg, image_index, draw_seed(given, given == DRAWN)
        )
        checked = values.request()
    except InputError as error:
        raise visitor_error(error) from error
    # No page shows the result, so there is no visitor: the files are deleted after an hour.
    steps = run_job(service, sessions, checked, "")
    return answer([step for step in steps if isinstance(step, Result)][-1], checked.path.notes)


def path_form(path: object, params: object, path_json: object) -> PathForm:
    """The camera path of a request.

    Raises:
        TrajectoryError: a value is not text, or `params` is not a JSON object.
    """
    for name, value in {"path": path, "params": params, "path_json": path_json}.items():
        if not isinstance(value, str):
            raise TrajectoryError(f"{name} must be text, got {echo(value)}")
    if path_json:
        return PathForm("file", "", file_text=str(path_json))
    values = read_json(str(params), "params", TrajectoryError) if params else {}
    if not isinstance(values, dict):
        raise TrajectoryError(f'params must be a JSON object such as {{"angle_deg": 20}}, got {echo(values)}')
    return PathForm("template", str(path), values)


def answer(result: Result, notes: tuple[str, ...]) -> dict:
    """A result as plain JSON with file links.

    Args:
        result: The finished scene.
        notes: Sentences on its camera path; see `PathOrigin`.
    """
    files = {name: _link(path) for name, path in result.files.items() if path.is_file()}
    return {
        "files": files,
        "seed": result.seed,
        "gaussians": result.gaussians,
        "seconds": result.timings,
        "notes": list(notes),
    }


def _link(path: Path) -> dict:
    return FileData(path=str(path), orig_name=path.name, size=path.stat().st_size).model_dump()
