"""Step 3: settings that most visitors leave unchanged, the cost, Generate and Stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from flashworld.checks import whole_number
from flashworld.errors import InputError
from flashworld.inputs import VideoQuality, VideoSettings
from flashworld.limits import MAX_FPS, MAX_FRAMES, MAX_SEED, MAX_VIDEO_SECONDS, MIN_FRAMES
from ui.components.pictures import error_html
from ui.components.slider import Slider
from ui.contract import Defaults, Service
from ui.texts import html, text

QUALITIES = ("low", "medium", "high")
LOOK_SECONDS = 1.5
"""Interval at which a waiting page polls its position in the queue."""


@dataclass(frozen=True)
class RunPart:
    """The controls of step 3."""

    size: gr.Radio
    frames: Slider
    seed: gr.Number
    randomize: gr.Checkbox
    fps: Slider
    seconds: Slider
    quality: gr.Radio
    estimate: gr.HTML
    refusal: gr.HTML
    ticket: gr.Textbox
    generate: gr.Button
    stop: gr.Button
    line: gr.Timer
    place: gr.Textbox

    @property
    def inputs(self) -> list[Any]:
        """The inputs of `read_settings`, in its order."""
        return [self.size, self.frames, self.fps, self.seconds, self.quality]


@dataclass(frozen=True)
class SceneSettings:
    """Sizes and the video."""

    frames: int
    height: int
    width: int
    video: VideoSettings


def read_settings(size: str, frames: float, fps: float, seconds: float, quality: VideoQuality) -> SceneSettings:
    """The controls' values.

    Raises:
        InputError: a value is not a number, or outside its limits.
    """
    height, width = parse_size(size)
    fps = whole_number(fps, "fps", 1, MAX_FPS)
    video = VideoSettings(fps=fps, seconds=float(seconds) or None, quality=quality)
    return SceneSettings(whole_number(frames, "frames", MIN_FRAMES, MAX_FRAMES), height, width, video)


def parse_size(size: str) -> tuple[int, int]:
    """From "704×480" (width first, as usual on screen) to (height, width).

    Raises:
        InputError: there is none.
    """
    if not size:
        raise InputError("choose a picture size")
    width, height = (int(part) for part in size.split("×"))
    return height, width


def size_value(height: int, width: int) -> str:
    """(480, 704) to "704×480"."""
    return f"{width}×{height}"


def size_title(height: int, width: int) -> str:
    """(480, 704) to "704×480 landscape"."""
    shape = "landscape" if width > height else "portrait" if height > width else "square"
    return f"{size_value(height, width)} {text(f'run.{shape}')}"


def estimate_seconds(service: Service, settings: SceneSettings, image: str | None) -> float:
    """Expected duration of a generation with these settings, with or without a picture."""
    return service.estimate_seconds(
        settings.frames, settings.height, settings.width, settings.video, picture=image is not None
    )


def estimate_html(service: Service, settings: SceneSettings, image: str | None = None) -> str:
    """One line with the cost of Generate."""
    seconds = estimate_seconds(service, settings, image)
    about = f"{seconds:.0f}" if seconds >= 10 else f"{max(seconds, 0.1):.1f}"
    said = html("run.about_gpu" if service.uses_gpu_quota else "run.about_here", seconds=about)
    return f'<p class="fw-estimate">{said}</p>'


def estimating(service: Service, run: RunPart, image: gr.Image) -> dict[str, Any]:
    """An event that updates the cost of Generate: settings have changed, or the estimate has been updated by a call."""

    def estimate(image: str | None, *values: Any) -> str:
        try:
            return estimate_html(service, read_settings(*values), image)
        except InputError as error:
            return error_html(str(error))

    return {"fn": estimate, "inputs": [image, *run.inputs], "outputs": run.estimate}


def build_run_part(defaults: Defaults, service: Service) -> RunPart:
    """Draw step 3: a card of settings, and a sticky bar with the cost and the buttons."""
    with gr.Column(elem_classes="fw-card"):
        settings = _settings(defaults)
        if service.uses_gpu_quota:
            gr.HTML(f'<p class="fw-note">{html("run.quota")}</p>', apply_default_css=False)
    video = VideoSettings(fps=defaults.fps, seconds=defaults.seconds)
    first = SceneSettings(defaults.frames, defaults.height, defaults.width, video)
    with gr.Column(elem_classes="fw-card fw-launch"):
        refusal = gr.HTML("", elem_id="fw-refusal", apply_default_css=False)
        with gr.Row(elem_classes="fw-go"):
            estimate = gr.HTML(
                estimate_html(service, first), elem_id="fw-estimate", apply_default_css=False, min_width=120
            )
            generate = gr.Button(
                text("run.generate"), variant="primary", size="lg", min_width=120, elem_id="fw-generate"
            )
            stop = gr.Button(
                text("run.stop"), variant="stop", size="lg", min_width=120, visible=False, elem_id="fw-stop"
            )
    ticket = gr.Textbox("", visible="hidden", label="Ticket", interactive=False)  # changes when a job may start
    place = gr.Textbox("", visible="hidden", label="Place in the queue", interactive=False)
    line = gr.Timer(LOOK_SECONDS, active=False)
    return RunPart(*settings, estimate, refusal, ticket, generate, stop, line, place)


def _settings(
    defaults: Defaults,
) -> tuple[gr.Radio, Slider, gr.Number, gr.Checkbox, Slider, Slider, gr.Radio]:
    gr.HTML(f'<h2 class="fw-step"><b>3</b> {html("run.step")}</h2>', apply_default_css=False)
    with gr.Row(elem_classes="fw-seed-row"):
        seed = gr.Number(
            42, label=text("run.seed"), precision=0, minimum=0, maximum=MAX_SEED, min_width=110, elem_id="fw-seed"
        )
        randomize = gr.Checkbox(True, label=text("run.randomize"), min_width=140, elem_id="fw-randomize")
    with gr.Accordion(text("run.more"), open=False, elem_id="fw-more"):
        sizes = [(size_title(*size), size_value(*size)) for size in defaults.sizes]
        size = gr.Radio(sizes, value=sizes[0][1], label=text("run.size"), elem_id="fw-size")
        frames = Slider(
            MIN_FRAMES, MAX_FRAMES, defaults.frames, step=1, label=text("run.views"),
            info=text("run.views_info"), elem_id="fw-frames",
        )  # fmt: skip
        with gr.Row():
            fps = Slider(5, MAX_FPS, defaults.fps, step=1, label=text("run.fps"), elem_id="fw-fps")
            seconds = Slider(
                0, min(20, MAX_VIDEO_SECONDS), defaults.seconds, step=0.5, label=text("run.seconds"),
                info=text("run.seconds_info"), elem_id="fw-seconds",
            )  # fmt: skip
        quality = gr.Radio(
            [(text(f"run.{name}"), name) for name in QUALITIES], value="high", label=text("run.quality"),
            elem_id="fw-quality",
        )  # fmt: skip
    return size, frames, seed, randomize, fps, seconds, quality
