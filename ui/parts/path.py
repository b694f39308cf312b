"""Step 2: the camera path, from a template, recorded or from a file, and the picture's position on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from flashworld.limits import MAX_FOV_DEG, MIN_FOV_DEG
from flashworld.trajectories import EASINGS, PRESETS
from ui.components.picker import Picker
from ui.components.slider import Slider
from ui.components.thumbnails import preset_choices
from ui.contract import Defaults
from ui.events.camera_path import EMPTY_RECORDING, PathForm, Source
from ui.events.path_files import SUFFIXES
from ui.texts import html, text

START_PRESET = "orbit_right"
USUAL = "usual"
"""Loop and easing as in the template."""
LOOPS: dict[str, bool | None] = {USUAL: None, "closed": True, "open": False}
PARAMETER_NAMES = tuple(dict.fromkeys(param.name for preset in PRESETS.values() for param in preset.params))


@dataclass(frozen=True)
class PathPart:
    """The controls of step 2."""

    source: gr.State
    tabs: gr.Tabs
    tab_of: dict[str, gr.Tab]
    picker: Picker
    caption: gr.HTML
    parameters: list[Slider]
    loop: gr.Radio
    easing: gr.Radio
    recording: gr.State
    recorded_note: gr.HTML
    file: gr.File
    file_text: gr.Textbox
    fov: Slider
    image_index: Slider
    download: gr.Button
    note: gr.HTML

    @property
    def inputs(self) -> list[Any]:
        """The inputs of `read_form`, in its order."""
        return [self.source, self.picker, self.loop, self.easing, self.recording, self.file_text, *self.parameters]


def read_form(
    source: Source,
    preset: str | None,
    loop: str,
    easing: str,
    recording: dict | None,
    file_text: str,
    *parameters: float,
) -> PathForm:
    """The controls' values as a form. Only the template's own parameters are used."""
    values = dict(zip(PARAMETER_NAMES, parameters, strict=True))
    known = PRESETS.get(preset or "")
    params: dict[str, object] = {p.name: values[p.name] for p in known.params} if known else {}
    if LOOPS.get(loop) is not None:
        params["loop"] = LOOPS[loop]
    if easing in EASINGS:
        params["easing"] = easing
    return PathForm(source, preset or "", params, recording or EMPTY_RECORDING, file_text or "")


def parameter_updates(preset_name: str) -> list[dict]:
    """Show the template's sliders with its ranges, and hide the others."""
    params = {param.name: param for param in PRESETS[preset_name].params}
    updates = []
    for name in PARAMETER_NAMES:
        param = params.get(name)
        updates.append(gr.update(visible=False) if param is None else gr.update(**_slider(param), visible=True))
    return updates


def _slider(param: Any) -> dict[str, Any]:
    return {
        "label": text(parameter_key(param)),
        "value": param.default,
        "minimum": param.minimum,
        "maximum": param.maximum,
        "step": param.step,
    }


def parameter_key(param: Any) -> str:
    """The key of a parameter's name and unit among the page's texts."""
    return "parameter." + param.title.lower().replace(" ", "_")


def caption_html(preset_name: str) -> str:
    """A sentence about the selected template."""
    return f'<p class="fw-note"><b>{html(f"preset.{preset_name}")}.</b> {html(f"preset.{preset_name}.caption")}</p>'


def build_path_part(defaults: Defaults) -> PathPart:
    """Draw step 2."""
    gr.HTML(f'<h2 class="fw-step"><b>2</b> {html("path.step")}</h2>', apply_default_css=False)
    source = gr.State("template")
    with gr.Tabs(selected="template", elem_id="fw-path-tabs") as tabs:
        with gr.Tab(text("path.templates"), id="template") as template_tab:
            picker, caption, parameters, loop, easing = _templates()
        with gr.Tab(text("path.by_hand"), id="record") as record_tab:
            recording, recorded_note = _record()
        with gr.Tab(text("path.from_file"), id="file") as file_tab:
            file, file_text = _file()
    note = gr.HTML("", elem_id="fw-path-note", apply_default_css=False)
    with gr.Accordion(text("path.lens"), open=False, elem_id="fw-lens"):
        fov = Slider(
            MIN_FOV_DEG, MAX_FOV_DEG, defaults.fov_y_deg, step=0.5, label=text("path.fov"),
            info=text("path.fov_info"), elem_id="fw-fov",
        )  # fmt: skip
        image_index = Slider(
            0, defaults.frames - 1, 0, step=1, label=text("path.index"),
            info=text("path.index_info"), elem_id="fw-image-index",
        )  # fmt: skip
    download = gr.Button(text("path.download"), size="sm", variant="secondary", elem_id="fw-path-download")
    return PathPart(
        source, tabs, {"template": template_tab, "record": record_tab, "file": file_tab}, picker, caption,
        parameters, loop, easing, recording, recorded_note, file, file_text, fov, image_index, download, note,
    )  # fmt: skip


def _templates() -> tuple:
    picker = Picker(preset_choices(), legend="path.legend", group="preset", value=START_PRESET, elem_id="fw-presets")
    caption = gr.HTML(caption_html(START_PRESET), apply_default_css=False)
    with gr.Column(elem_classes="fw-parameters"):
        parameters = [_parameter(name) for name in PARAMETER_NAMES]
    with gr.Row(elem_classes="fw-parameters"):
        loop = gr.Radio(
            [(text(f"path.{name}"), name) for name in LOOPS], value=USUAL, label=text("path.loop"), min_width=120, elem_id="fw-loop",
        )  # fmt: skip
        easing = gr.Radio(
            [(text(f"path.{name}"), name) for name in (USUAL, *EASINGS)],
            value=USUAL, label=text("path.pace"), min_width=120, elem_id="fw-easing",
        )  # fmt: skip
    return picker, caption, parameters, loop, easing


def _parameter(name: str) -> Slider:
    params = {param.name: param for param in PRESETS[START_PRESET].params}
    used = name in params
    param = params.get(name) or next(p for preset in PRESETS.values() for p in preset.params if p.name == name)
    return Slider(**_slider(param), visible=used, min_width=150, elem_id=f"fw-parameter-{name}")


def _record() -> tuple[gr.State, gr.HTML]:
    gr.HTML(f'<p class="fw-note">{html("path.record_note")}</p>', apply_default_css=False)
    return gr.State(EMPTY_RECORDING), gr.HTML(recorded_html(0), elem_id="fw-recorded", apply_default_css=False)


def recorded_html(count: int) -> str:
    """The number of keyframes, and what is missing."""
    said = html("path.recorded", count=count) if count > 1 else html(f"path.recorded_{('none', 'one')[count]}")
    return f'<p class="fw-note" role="status">{said}</p>'


def _file() -> tuple[gr.File, gr.Textbox]:
    gr.HTML(f'<p class="fw-note">{html("path.file_note")}</p>', apply_default_css=False)
    file = gr.File(
        label=text("path.file"),
        file_types=SUFFIXES,
        file_count="multiple",
        type="filepath",
        height=110,
        elem_id="fw-path-file",
    )
    pasted = gr.Textbox(
        label=text("path.paste"), lines=4, max_lines=8, elem_id="fw-path-text", elem_classes="fw-mono"
    )  # fmt: skip
    return file, pasted
