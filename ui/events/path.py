"""Event handlers for changes of the camera path, the picture or the sizes: no queue, no GPU."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import gradio as gr

from flashworld.errors import InputError
from flashworld.io.images.crops import prepare_picture
from flashworld.io.images.reading import Photo, read_picture
from flashworld.trajectories import PRESETS, from_first_camera
from flashworld.trajectories.json_forms import trajectory_to_json
from ui.components.pictures import data_url, error_html, remarks_html
from ui.components.stage import stage_view
from ui.contract import Defaults, Service
from ui.events.camera_path import check_recording, exif_fov
from ui.events.latest import on_latest
from ui.events.path_files import files_as_text
from ui.events.quiet import QUIET
from ui.parts.inputs import InputsPart, show_crop, showable
from ui.parts.path import PathPart, caption_html, parameter_updates, read_form, recorded_html
from ui.parts.result import ResultPart
from ui.parts.run import RunPart, estimating, parse_size

BILLBOARD_SIDE_PX = 320
SAVE_JS = """(text) => {
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "flashworld-path.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


@lru_cache(maxsize=16)
def _billboard(path: str, height: int, width: int) -> tuple[str, tuple[int, int]]:
    """The cropped picture as a data URL, and the uncropped size (h, w). The content of an uploaded file never changes."""
    photo = read_picture(Path(path))
    return data_url(prepare_picture(photo.pixels, height, width)[0], side_px=BILLBOARD_SIDE_PX), photo.pixels.shape[:2]


@lru_cache(maxsize=4)
def _photo(path: str) -> Photo:
    return read_picture(Path(path))


def first_view(defaults: Defaults, preset: str) -> dict:
    """The state of the stage when the page opens."""
    form = read_form("template", preset, "", "", None, "", *_default_parameters())
    cameras, _ = form.cameras(defaults.frames, defaults.height, defaults.width, defaults.fov_y_deg)
    return stage_view(cameras, defaults.height, defaults.width, invite="viewer.show_path")


def _default_parameters() -> list[float]:
    from ui.parts.path import PARAMETER_NAMES, START_PRESET

    values = PRESETS[START_PRESET].resolve({})
    return [values.get(name, 0.0) for name in PARAMETER_NAMES]


def connect_path(service: Service, inputs: InputsPart, path: PathPart, run: RunPart, result: ResultPart) -> None:
    """Connect the controls of steps 1 to 3 to the stage and the notes."""
    common = [inputs.image, run.size, run.frames, path.fov, path.image_index]
    refresh = {"fn": _show_path, "inputs": [*common, *path.inputs], "outputs": [result.path_stage, path.note]}
    # Updates that arrive while the tab is opened for the first time can be lost: request the view once it is mounted.
    result.path_tab.select(**refresh, **QUIET)
    _connect_choices(path, result, refresh)
    _connect_recording(path, result, refresh)
    _connect_picture(inputs, path, run)
    # Each change requests a new view; while one is pending only the latest further request is kept. Changes of states
    # are not reported for events outside the queue, so those events request the view themselves.
    changing = [component for component in [*path.inputs, *common] if not isinstance(component, gr.State)]
    on_latest([component.change for component in changing], **refresh)
    on_latest(
        [run.frames.change],
        lambda frames, index: gr.update(maximum=int(frames) - 1, value=min(int(index), int(frames) - 1)),
        [run.frames, path.image_index],
        path.image_index,
    )
    costly = [inputs.image, *run.inputs]
    on_latest([component.change for component in costly], **estimating(service, run, inputs.image))
    text = gr.Textbox(visible=False)
    path.download.click(_path_text, [*common, *path.inputs], text, **QUIET).success(
        None, text, None, js=SAVE_JS, **QUIET
    )


def _connect_choices(path: PathPart, result: ResultPart, refresh: dict) -> None:
    def choose(name: str) -> list:
        return [name, caption_html(name), gr.Tabs(selected="path"), *parameter_updates(name)]

    def picked(event: gr.EventData) -> list:
        name = event._data.get("name") if isinstance(event._data, dict) else None
        return choose(name) if isinstance(name, str) and name in PRESETS else [gr.skip()] * (3 + len(path.parameters))

    outputs = [path.picker, path.caption, result.tabs, *path.parameters]
    path.picker.pick(picked, None, outputs, trigger_mode="multiple", **QUIET)
    for name, tab in path.tab_of.items():
        tab.select(lambda name=name: name, None, path.source, **QUIET).then(**refresh, **QUIET)
    path.file.upload(_read_files, path.file, [path.file_text, path.note], **QUIET)


def _read_files(names: list[str] | None) -> list:
    """The text for the box, and a refusal next to it."""
    if not names:
        return ["", ""]
    try:
        return [files_as_text([Path(name) for name in names]), gr.skip()]
    except InputError as error:
        return ["", error_html(str(error))]


def _connect_recording(path: PathPart, result: ResultPart, refresh: dict) -> None:
    def recorded(event: gr.EventData) -> list:
        try:
            recording = check_recording(event._data)
        except InputError as error:
            gr.Warning(str(error))
            return [gr.skip()] * 4
        return [recording, "record", gr.Tabs(selected="record"), recorded_html(len(recording["keyframes"]))]

    for stage in (result.path_stage, result.scene_stage):
        outputs = [path.recording, path.source, path.tabs, path.recorded_note]
        stage.keyframes(recorded, None, outputs, trigger_mode="always_last", **QUIET).then(**refresh, **QUIET)


def _connect_picture(inputs: InputsPart, path: PathPart, run: RunPart) -> None:
    def uploaded(name: str | None, size: str) -> list:
        shown = showable(name)
        fov, new_size = gr.skip(), gr.skip()
        try:
            photo = _photo(name) if name else None
        except InputError:
            photo = None
        if photo is not None:
            height, width = parse_size(size)
            portrait = photo.pixels.shape[0] > 1.15 * photo.pixels.shape[1]
            match = next((s for s in _sizes(run) if portrait == (parse_size(s)[0] > parse_size(s)[1])), size)
            if portrait != (height > width):
                new_size, (height, width) = match, parse_size(match)
            fov = exif_fov(photo, height, width) or gr.skip()
        return [shown if shown != name else gr.skip(), fov, new_size]

    inputs.image.upload(uploaded, [inputs.image, run.size], [inputs.image, path.fov, run.size], **QUIET)
    on_latest(
        [inputs.image.change, run.size.change],
        lambda name, size: show_crop(name, *parse_size(size)),
        [inputs.image, run.size],
        inputs.crop,
    )


def _sizes(run: RunPart) -> list[str]:
    return [str(choice[1]) for choice in run.size.choices if isinstance(choice, tuple)]


def _cameras(image: str | None, size: str, frames: float, fov: float, values: tuple) -> tuple:
    form = read_form(*values)
    height, width = parse_size(size)
    photo = None
    if form.source == "file" and image:
        photo = _photo(image)
    cameras, notes = form.cameras(int(frames), height, width, float(fov), photo)
    return form, cameras, notes, height, width


def _show_path(image: str | None, size: str, frames: float, fov: float, index: float, *values: object) -> list:
    """The stage's new view, and a note if the path is not usable yet."""
    picture = None
    try:
        if image:
            picture, _ = _billboard(image, *parse_size(size))
    except InputError:
        picture = None  # the note below the picture gives the reason
    try:
        form, cameras, notes, height, width = _cameras(image, size, frames, fov, values)
    except InputError as error:
        if _nothing_yet(values):
            return [gr.skip(), ""]
        return [
            gr.update(view={"refused": "viewer.bad_path"}),
            error_html(str(error)),
        ]
    if form.source == "file":
        cameras = from_first_camera(cameras)  # the stage has a floor and an up; a file's world may lie in any way
    view = stage_view(
        cameras, height, width,
        picture=picture, picture_index=min(int(index), int(frames) - 1),
        keyframes=dict(form.recording), recording=form.source == "record", invite="viewer.show_path",
    )  # fmt: skip
    return [gr.update(view=view), remarks_html(notes)]


def _nothing_yet(values: tuple) -> bool:
    """Whether recording or a file was just selected, with no content yet, which is not an error."""
    form = read_form(*values)
    return (form.source == "record" and len(form.recording["keyframes"]) < 2) or (
        form.source == "file" and not form.file_text.strip()
    )


def _path_text(image: str | None, size: str, frames: float, fov: float, index: float, *values: object) -> str:
    try:
        _, cameras, _, height, width = _cameras(image, size, frames, fov, values)
    except InputError as error:
        raise gr.Error(str(error), title="No path to save yet", print_exception=False) from error
    return json.dumps(trajectory_to_json(cameras, height=height, width=width), indent=1)
