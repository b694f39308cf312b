"""One generation from the page: check the request, then run the service and convert its events to page updates."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import gradio as gr

from flashworld.config import ModelConfig
from flashworld.errors import Cancelled, InputError, SceneError, WriteError
from flashworld.inputs import GenerationRequest, build_request
from flashworld.io.request_json import request_to_json
from flashworld.limits import MAX_SEED
from flashworld.progress import Progress
from flashworld.result import write_text
from flashworld.serving.sentences import BROKEN
from ui.contract import Result, Service
from ui.events.camera_path import PathForm
from ui.parts.inputs import read_upload
from ui.parts.result import scene_file
from ui.parts.run import SceneSettings
from ui.sessions import Sessions
from ui.web_page import write_web_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FormValues:
    """All values of the form.

    Attributes:
        image: Path of the uploaded picture or None.
        text: The prompt.
        path: Step 2.
        settings: Sizes and video.
        fov_deg: Vertical field of view in degrees.
        image_index: The view the picture belongs to.
        seed: Seed of all noise.
    """

    image: str | None
    text: str
    path: PathForm
    settings: SceneSettings
    fov_deg: float
    image_index: int
    seed: int

    def request(self) -> GenerationRequest:
        """The checked request.

        Raises:
            InputError: one sentence for the visitor.
        """
        settings = self.settings
        trajectory, params = self.path.trajectory()
        return build_request(
            image=read_upload(self.image),
            text=self.text,
            trajectory=trajectory,
            trajectory_params=params,
            image_index=self.image_index,
            frames=settings.frames,
            height=settings.height,
            width=settings.width,
            fov_y_deg=self.fov_deg,
            seed=self.seed,
            video=settings.video,
        )


def draw_seed(seed: float | None, randomize: bool) -> int:
    """The seed to use: a new one if requested or if the box is empty."""
    if randomize or seed is None:
        return secrets.randbelow(MAX_SEED + 1)
    return int(seed)


def visitor_error(error: Exception, *, visible: bool = False) -> gr.Error:
    """The error shown to the visitor: the message of an `InputError`, one generic sentence for anything else.

    Args:
        error: The error.
        visible: Show it as a toast too; the page shows it next to the result instead. API clients receive it either way.
    """
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, InputError):
        text = escape(str(error), quote=False)  # clients may show it as HTML; quotes are harmless there
        return gr.Error(text, title="Please change this", visible=visible, print_exception=False)
    if isinstance(error, Cancelled):
        return gr.Error("Stopped. No files were made.", title="Stopped", visible=visible, print_exception=False)
    logger.error("generation failed", exc_info=error)
    return gr.Error(BROKEN, title="Sorry", visible=visible, print_exception=False)


def run_job(
    service: Service, sessions: Sessions, request: GenerationRequest, visitor: str
) -> Iterator[Progress | Result]:
    """Run one generation; its folder is kept only if it succeeds.

    Raises:
        gr.Error: with a message for the visitor.
    """
    try:
        with (
            sessions.new_folder(visitor) as folder,
            closing(service.generate(request, session_dir=folder)) as steps,
        ):
            for step in steps:
                if isinstance(step, Result) and step.complete:
                    yield _with_request(_with_web_page(step, folder), request, folder)
                    return
                yield step
        raise visitor_error(RuntimeError("the service gave no result"))
    except Exception as error:  # any error: the visitor sees one sentence, the log has the details
        raise visitor_error(error) from error


def _with_web_page(result: Result, folder: Path) -> Result:
    """The result with its HTML file added, or unchanged if that cannot be written: the other files are still valid."""
    if scene_file(result) is None:
        return result
    try:
        return replace(result, files={**result.files, "html": write_web_page(result, folder)})
    except (SceneError, WriteError):
        logger.exception("the web page of a scene could not be written")
        return result


def _with_request(result: Result, request: GenerationRequest, folder: Path) -> Result:
    """The result with its request JSON added, without the picture."""
    path = folder / "request.json"
    try:
        write_text(json.dumps(request_to_json(request, embed_image=False)), path)
    except WriteError:
        logger.exception("the request of a scene could not be written")
        return result
    return replace(result, files={**result.files, "request": path})


def default_model(service: Service) -> ModelConfig:
    """The service's default frames and size in the form that `build_request` takes."""
    d = service.defaults
    return ModelConfig(service.model_name, frames=d.frames, height=d.height, width=d.width)
