"""The strip of examples: a click fills in the whole form and shows the shipped result without using the GPU."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from flashworld.errors import WriteError
from flashworld.trajectories.presets import PRESETS
from ui.components.picker import Choice, Picker
from ui.components.progress_view import message_html
from ui.contract import Service
from ui.events.camera_path import EMPTY_RECORDING
from ui.events.quiet import QUIET
from ui.examples import Example, load_examples
from ui.parts.inputs import InputsPart
from ui.parts.path import LOOPS, USUAL, PathPart
from ui.parts.result import ResultPart, connect_landing, result_updates, scene_file
from ui.parts.run import RunPart, size_value
from ui.parts.share import template_updates
from ui.sessions import Sessions
from ui.texts import html
from ui.web_page import write_web_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExamplesPart:
    """The strip and its examples."""

    picker: Picker | None
    examples: dict[str, Example]


def build_examples(service: Service) -> ExamplesPart:
    """Draw the strip of the examples that the model supports; nothing if there are none."""
    examples = {example.name: example for example in load_examples() if within_reach(example, service)}
    if not examples:
        return ExamplesPart(None, {})
    choices = [
        Choice(
            e.name, e.said("title"), e.said("caption"), e.thumbnail, credit=e.credit, words=e.request.get("text") or ""
        )
        for e in examples.values()
    ]
    picker = Picker(choices, legend="examples.legend", group="example", elem_id="fw-examples")
    return ExamplesPart(picker, examples)


def within_reach(example: Example, service: Service) -> bool:
    """Whether the model understands every word of an example that has no picture."""
    if example.picture is not None or service.understood is None:
        return True
    found = service.understood(example.request.get("text") or "")
    return bool(found.phrases) and not found.unknown


def connect_examples(
    part: ExamplesPart, sessions: Sessions, inputs: InputsPart, path: PathPart, run: RunPart, result: ResultPart
) -> None:
    """Fill in the form on a click; the HTML file of an example's scene is made in `sessions`, like an API client's result."""
    pages: dict[str, Path] = {}

    def with_page(example: Example) -> Example:
        if example.result is None or scene_file(example.result) is None:
            return example
        if example.name not in pages or not pages[example.name].is_file():
            try:
                with sessions.new_folder() as folder:
                    pages[example.name] = write_web_page(example.result, folder)
            except WriteError:
                logger.exception("no web page of the example %s", example.name)
                return example
        return replace(
            example, result=replace(example.result, files={**example.result.files, "html": pages[example.name]})
        )

    if part.picker is None:
        return
    form = [
        inputs.image, inputs.prompt, path.source, path.tabs, path.recording, path.file_text, path.loop, path.easing,
        path.fov, path.image_index, run.size, run.frames, run.seed, run.randomize, run.fps, run.seconds,
    ]  # fmt: skip
    template = [path.picker, path.caption, *path.parameters]
    outputs = [part.picker, *form, *template, result.progress, result.made_from, *result.outputs]
    sizes = [str(choice[1]) for choice in run.size.choices if isinstance(choice, tuple)]

    def picked(event: gr.EventData) -> list:
        name = event._data.get("name") if isinstance(event._data, dict) else None
        example = part.examples.get(name) if isinstance(name, str) else None
        if example is None:
            return [gr.skip()] * len(outputs)
        note, shown = _result(with_page(example), 1 + len(result.outputs))
        return [example.name, *_form(example, sizes, run), *_template(example.request), note, *shown]

    picking = part.picker.pick(picked, None, outputs, trigger_mode="multiple", **QUIET)
    connect_landing(picking.success, result)

    def another(name: str | None, words: str) -> list:
        """After the visitor uploads a picture: clear the example's text unless it was edited, and deselect the example."""
        example = part.examples.get(name or "")
        if example is None:
            return [gr.skip()] * 2
        return [None, "" if words == (example.request.get("text") or "") else gr.skip()]

    inputs.image.upload(another, [part.picker, inputs.prompt], [part.picker, inputs.prompt], **QUIET)


def _form(example: Example, sizes: list[str], run: RunPart) -> list:
    request = example.request
    preset, params, file_text = _path(request.get("trajectory"))
    loop = next((name for name, value in LOOPS.items() if value is params.get("loop")), USUAL)
    video = request.get("video") or {}
    size = size_value(request["height"], request["width"]) if "height" in request else ""
    return [
        None if example.picture is None else str(example.picture),
        request.get("text") or "",
        "template" if preset else "file",
        gr.Tabs(selected="template" if preset else "file"),
        EMPTY_RECORDING,
        file_text,
        loop,
        params.get("easing", USUAL),
        request.get("fov_y_deg") or 60,
        request.get("image_index", 0),
        size if size in sizes else gr.skip(),
        min(request.get("frames", run.frames.value), run.frames.maximum),
        request.get("seed", 0),
        False,
        video.get("fps") or gr.skip(),
        video.get("seconds") or gr.skip(),
    ]


def _path(trajectory: Any) -> tuple[str, Mapping[str, Any], str]:
    """Preset name and parameters, or the path as JSON text."""
    if isinstance(trajectory, str):
        return trajectory, {}, ""
    if isinstance(trajectory, Mapping) and trajectory.get("preset") in PRESETS and "cameras" not in trajectory:
        return trajectory["preset"], trajectory.get("params", {}), ""
    return "", {}, json.dumps(trajectory) if trajectory else ""


def _template(request: Mapping[str, Any]) -> list:
    preset, params, _ = _path(request.get("trajectory"))
    return template_updates(preset, dict(params))


def _result(example: Example, count: int) -> tuple[str, list]:
    if example.result is None:
        return message_html(html("examples.filled")), [gr.skip()] * count
    made_from = (None if example.picture is None else str(example.picture), example.request.get("text") or "")
    return "", [made_from, *result_updates(example.result)]
