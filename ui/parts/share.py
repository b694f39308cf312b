"""Create a link with the current settings, and read one when the page opens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import gradio as gr

from flashworld.errors import InputError
from flashworld.trajectories import PRESETS
from flashworld.trajectories.json_forms import trajectory_to_json
from ui.events.camera_path import PathForm, check_recording
from ui.events.quiet import QUIET
from ui.parts.inputs import InputsPart
from ui.parts.path import PARAMETER_NAMES, PathPart, caption_html, parameter_updates, read_form, recorded_html
from ui.parts.run import RunPart, parse_size
from ui.share import Shared, pack, parameters_text, read_parameters, read_query, share_query, unpack
from ui.texts import text

COPY_JS = """async (query) => {
  const link = window.location.origin + window.location.pathname + "?" + query;
  try { await navigator.clipboard.writeText(link); } catch { /* shown for copying by hand */ }
  return link;
}"""


@dataclass(frozen=True)
class SharePart:
    """Button and link."""

    button: gr.Button
    link: gr.Textbox
    query: gr.Textbox


def build_share(actions: gr.Row) -> SharePart:
    """Draw the button in the row of a result's actions, and the link below it."""
    with actions:
        button = gr.Button(text("share.copy"), size="sm", min_width=90, variant="secondary", elem_id="fw-share")
    link = gr.Textbox(
        label=text("share.link"), info=text("share.holds"),
        visible=False, interactive=False, buttons=["copy"], elem_id="fw-link",
    )  # fmt: skip
    return SharePart(button, link, gr.Textbox(visible=False))


def connect_share(page: gr.Blocks, share: SharePart, inputs: InputsPart, path: PathPart, run: RunPart) -> None:
    """Connect the button, and fill in the form from the page's URL when it opens."""

    def query(words: str, seed: float | None, fov: float, frames: float, size: str, *values: Any) -> list:
        link, whole = share_query(
            Shared(
                text=words or "",
                seed=None if seed is None else int(seed),
                fov=fov,
                frames=int(frames),
                size=size,
                **_shared_path(read_form(*values), int(frames), size, fov),
            )
        )
        return [link, gr.update(info=text("share.holds" if whole else "share.without_path"))]

    settings = [inputs.prompt, run.seed, path.fov, run.frames, run.size]
    share.button.click(query, [*settings, *path.inputs], [share.query, share.link], **QUIET).success(
        None, share.query, share.link, js=COPY_JS, **QUIET
    ).success(lambda: gr.update(visible=True), None, share.link, **QUIET)

    def arrive(request: gr.Request) -> list:
        shared = read_query(dict(request.query_params))
        sizes = [value for _, value in run.size.choices]
        plain = [
            shared.text or gr.skip(),
            gr.skip() if shared.seed is None else shared.seed,
            gr.skip() if shared.seed is None else False,
            gr.skip() if shared.fov is None or not path.fov.minimum <= shared.fov <= path.fov.maximum else shared.fov,
            gr.skip() if shared.frames is None else min(max(shared.frames, run.frames.minimum), run.frames.maximum),
            shared.size if shared.size in sizes else gr.skip(),
        ]
        template = template_updates(shared.path, read_parameters(shared) if shared.path else {})
        return [*plain, *_path_updates(shared), *template]

    outputs = [inputs.prompt, run.seed, run.randomize, path.fov, run.frames, run.size]
    by_hand = [path.source, path.tabs, path.recording, path.recorded_note, path.file_text]
    page.load(arrive, None, [*outputs, *by_hand, path.picker, path.caption, *path.parameters], **QUIET)


def _shared_path(form: PathForm, frames: int, size: str, fov: float) -> dict[str, str]:
    """The path's part of a link; empty for an unusable path."""
    if form.source == "template":
        parameters = {name: value for name, value in form.params.items() if name in PARAMETER_NAMES}
        return {"path": form.preset, "parameters": parameters_text(parameters)}
    if form.source == "record":
        return {"keys": pack(form.recording)} if form.recording["keyframes"] else {}
    height, width = parse_size(size)
    try:
        cameras, _ = form.cameras(frames, height, width, fov)
    except InputError:
        return {}
    path = trajectory_to_json(cameras, height=height, width=width)
    return {"cameras": pack({name: path[name] for name in ("format", "version", "axes", "cameras")})}


def _path_updates(shared: Shared) -> list:
    """Source, tab, recording, its note and the file's text of a link's path; what is none is left out."""
    if shared.keys:
        try:
            # Marked as recorded in a scene, so that the stage that draws the path loads it.
            recording = {**check_recording(json.loads(unpack(shared.keys))), "origin": "scene"}
        except (ValueError, RecursionError, InputError):
            return [gr.skip()] * 5
        note = recorded_html(len(recording["keyframes"]))
        return ["record", gr.Tabs(selected="record"), recording, note, gr.skip()]
    cameras = unpack(shared.cameras) if shared.cameras else ""
    return ["file", gr.Tabs(selected="file"), gr.skip(), gr.skip(), cameras] if cameras else [gr.skip()] * 5


def template_updates(name: str, values: dict[str, float]) -> list:
    """Updates for picker, caption and parameters that select a template with given values; none without a name."""
    if name not in PRESETS:
        return [gr.skip()] * (2 + len(PARAMETER_NAMES))
    parameters = parameter_updates(name)
    for update, parameter in zip(parameters, PARAMETER_NAMES, strict=True):
        if parameter in values:
            update["value"] = values[parameter]
    return [name, caption_html(name), *parameters]
