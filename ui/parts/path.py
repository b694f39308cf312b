"""Step 2: the camera path, by template, by hand or from a file, and where the picture stands on it."""

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

START_PRESET = "orbit_right"
AS_USUAL = "as usual"
EASING_TITLES = {"linear": "even", "smooth": "smooth", "ease_in": "slow start", "ease_out": "slow end"}
LOOPS: dict[str, bool | None] = {AS_USUAL: None, "come back to the start": True, "stay open": False}
KNOB_NAMES = tuple(dict.fromkeys(param.name for preset in PRESETS.values() for param in preset.params))


@dataclass(frozen=True)
class PathPart:
    """The controls of step 2."""

    source: gr.State
    tabs: gr.Tabs
    tab_of: dict[str, gr.Tab]
    picker: Picker
    caption: gr.HTML
    knobs: list[Slider]
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
        """What `read_form` wants, in its order."""
        return [self.source, self.picker, self.loop, self.easing, self.recording, self.file_text, *self.knobs]


def read_form(
    source: Source, preset: str | None, loop: str, easing: str, recording: dict | None, file_text: str, *knobs: float
) -> PathForm:
    """The controls' values as a form. Only the knobs that the template has are taken."""
    values = dict(zip(KNOB_NAMES, knobs, strict=True))
    known = PRESETS.get(preset or "")
    params: dict[str, object] = {p.name: values[p.name] for p in known.params} if known else {}
    if LOOPS.get(loop) is not None:
        params["loop"] = LOOPS[loop]
    if easing in EASINGS:
        params["easing"] = easing
    return PathForm(source, preset or "", params, recording or EMPTY_RECORDING, file_text or "")


def knob_updates(preset_name: str) -> list[dict]:
    """Show the sliders a template has, with its own ranges, and hide the others."""
    params = {param.name: param for param in PRESETS[preset_name].params}
    updates = []
    for name in KNOB_NAMES:
        param = params.get(name)
        updates.append(gr.update(visible=False) if param is None else gr.update(**_slider(param), visible=True))
    return updates


def _slider(param: Any) -> dict[str, Any]:
    return {
        "label": f"{param.title} ({param.unit})",
        "value": param.default,
        "minimum": param.minimum,
        "maximum": param.maximum,
        "step": param.step,
    }


def caption_html(preset_name: str) -> str:
    """The chosen template in a sentence."""
    preset = PRESETS[preset_name]
    return f'<p class="fw-note"><b>{preset.title}.</b> {preset.caption}</p>'


def build_path_part(defaults: Defaults) -> PathPart:
    """Draw step 2."""
    gr.HTML('<h2 class="fw-step"><b>2</b> Camera path</h2>', apply_default_css=False)
    source = gr.State("template")
    with gr.Tabs(selected="template", elem_id="fw-path-tabs") as tabs:
        with gr.Tab("Templates", id="template") as template_tab:
            picker, caption, knobs, loop, easing = _templates()
        with gr.Tab("By hand", id="record") as record_tab:
            recording, recorded_note = _record()
        with gr.Tab("From a file", id="file") as file_tab:
            file, file_text = _file()
    note = gr.HTML("", elem_id="fw-path-note", apply_default_css=False)
    with gr.Accordion("Lens, and where your picture stands", open=False, elem_id="fw-lens"):
        fov = Slider(
            MIN_FOV_DEG, MAX_FOV_DEG, defaults.fov_y_deg, step=0.5, label="Field of view (degrees, top to bottom)",
            info="Taken from the photo where it says so", elem_id="fw-fov",
        )  # fmt: skip
        image_index = Slider(
            0, defaults.frames - 1, 0, step=1, label="Your picture is view number",
            info="0 is where the path begins", elem_id="fw-image-index",
        )  # fmt: skip
    download = gr.Button("Download this path (JSON)", size="sm", variant="secondary", elem_id="fw-path-download")
    return PathPart(
        source, tabs, {"template": template_tab, "record": record_tab, "file": file_tab}, picker, caption,
        knobs, loop, easing, recording, recorded_note, file, file_text, fov, image_index, download, note,
    )  # fmt: skip


def _templates() -> tuple:
    picker = Picker(
        preset_choices(), legend="Camera path templates", group="preset", value=START_PRESET, elem_id="fw-presets"
    )
    caption = gr.HTML(caption_html(START_PRESET), apply_default_css=False)
    with gr.Column(elem_classes="fw-knobs"):
        knobs = [_knob(name) for name in KNOB_NAMES]
    with gr.Row(elem_classes="fw-knobs"):
        loop = gr.Radio(list(LOOPS), value=AS_USUAL, label="Loop", min_width=120, elem_id="fw-loop")
        easing = gr.Radio(
            [(AS_USUAL, AS_USUAL), *((EASING_TITLES.get(name, name), name) for name in EASINGS)],
            value=AS_USUAL, label="Pace", min_width=120, elem_id="fw-easing",
        )  # fmt: skip
    return picker, caption, knobs, loop, easing


def _knob(name: str) -> Slider:
    params = {param.name: param for param in PRESETS[START_PRESET].params}
    used = name in params
    param = params.get(name) or next(p for preset in PRESETS.values() for p in preset.params if p.name == name)
    return Slider(**_slider(param), visible=used, min_width=150, elem_id=f"fw-knob-{name}")


def _record() -> tuple[gr.State, gr.HTML]:
    gr.HTML(
        '<p class="fw-note">Fly through the stage in the <b>Path</b> tab (or through a finished scene in the <b>3D</b> '
        "tab) and add a keyframe wherever the camera should pass: key <kbd>K</kbd>, or the button below the view.</p>",
        apply_default_css=False,
    )
    return gr.State(EMPTY_RECORDING), gr.HTML(recorded_html(0), elem_id="fw-recorded", apply_default_css=False)


def recorded_html(count: int) -> str:
    """How many keyframes there are and what is missing."""
    missing = " Two make a path." if count < 2 else ""
    return f'<p class="fw-note" role="status"><b>{count}</b> keyframe{"" if count == 1 else "s"} recorded.{missing}</p>'


def _file() -> tuple[gr.File, gr.Textbox]:
    gr.HTML(
        '<p class="fw-note">Reads JSON of this project, of the original FlashWorld, of nerfstudio '
        "(<code>transforms.json</code>, <code>camera_path.json</code>) and of Gaussian Splatting "
        "(<code>cameras.json</code>), and <code>.chan</code> from Blender. Axes: x right, y up, looking along −z.</p>",
        apply_default_css=False,
    )
    file = gr.File(
        label="Path file", file_types=[".json", ".chan"], type="filepath", height=110, elem_id="fw-path-file"
    )
    text = gr.Textbox(label="or paste it here", lines=4, max_lines=8, elem_id="fw-path-text", elem_classes="fw-mono")
    return file, text
