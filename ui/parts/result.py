"""The right-hand side: the path on the empty stage, then the video, the scene in 3D, the plain preview, the downloads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from ui.components.stage import Stage, stage_view
from ui.contract import FileName, Result
from ui.parts.plain import PlainPart, build_plain, plain_source

DOWNLOADS: dict[FileName, str] = {"ply": "PLY", "spz": "SPZ", "video": "MP4", "path": "Path JSON", "zip": "All (ZIP)"}
"""Their order and names; sizes are added when there is a result."""
STAGE_TITLES = {
    "text": "text", "text_context": "text for the views", "vae_encoder": "picture", "transformer": "views",
    "gaussian_decoder": "scene", "render": "video",
}  # fmt: skip
"""What the library times, in words for people."""
TOTAL = "total"
SHOWN_SECONDS = 0.05
NO_SCENE = "This example comes with its video alone. Press Generate to make its scene."


class VideoData(GradioModel):
    """What the browser's player needs."""

    video: FileData
    poster: FileData | None = None


class SceneVideo(gr.HTML):
    """Muted, looping player with a poster; starts by itself unless the visitor asked for less motion."""

    data_model = VideoData

    def __init__(self, **kwargs: Any) -> None:
        script = (Path(__file__).parents[1] / "assets" / "video.js").read_text(encoding="utf-8")
        super().__init__(
            html_template='<div class="fw-video"></div>', js_on_load=script, apply_default_css=False, **kwargs
        )

    def postprocess(self, value: tuple[Path, Path | None] | None) -> VideoData | None:
        """(video, poster) to what the player wants."""
        if value is None:
            return None
        video, poster = value
        return VideoData(video=_file_data(video), poster=_file_data(poster) if poster else None)

    def preprocess(self, payload: VideoData | None) -> str | None:
        """The path of the video."""
        return payload.video.path if payload else None

    def api_info(self) -> dict[str, Any]:
        """Never part of the public API."""
        return {"type": "object"}


def _file_data(path: Path) -> FileData:
    return FileData(path=str(path), orig_name=path.name, size=path.stat().st_size)


@dataclass(frozen=True)
class ResultPart:
    """Everything on the right."""

    progress: gr.HTML
    tabs: gr.Tabs
    path_tab: gr.Tab
    video_tab: gr.Tab
    scene_tab: gr.Tab
    path_stage: Stage
    video: SceneVideo
    scene_stage: Stage
    plain: PlainPart
    facts: gr.HTML
    downloads: dict[FileName, gr.DownloadButton]

    @property
    def outputs(self) -> list[Any]:
        """What `result_updates` fills, in its order."""
        return [
            self.tabs,
            self.video,
            self.scene_stage,
            self.plain.source,
            self.facts,
            *self.downloads.values(),
        ]


def build_result_part(first_view: dict) -> ResultPart:
    """Draw the result side; `first_view` is what the empty stage shows."""
    progress = gr.HTML("", elem_id="fw-progress", apply_default_css=False)
    with gr.Tabs(selected="path", elem_id="fw-result-tabs") as tabs:
        with gr.Tab("Path", id="path") as path_tab:
            path_stage = Stage(origin="path", view=first_view, elem_id="fw-path-stage")
        with gr.Tab("Video", id="video") as video_tab:
            video = SceneVideo(elem_id="fw-video")
        with gr.Tab("3D", id="scene") as scene_tab:
            scene_stage = Stage(origin="scene", elem_id="fw-scene-stage")
        with gr.Tab("Plain 3D", id="plain") as plain_tab:
            plain = build_plain(plain_tab)
    facts = gr.HTML("", elem_id="fw-facts", apply_default_css=False)
    with gr.Row(elem_classes="fw-downloads"):
        downloads: dict[FileName, gr.DownloadButton] = {
            name: gr.DownloadButton(
                title, interactive=False, size="sm", min_width=90, elem_id=f"fw-download-{name}", variant="secondary"
            )
            for name, title in DOWNLOADS.items()
        }
    return ResultPart(
        progress, tabs, path_tab, video_tab, scene_tab, path_stage, video, scene_stage, plain, facts, downloads,
    )  # fmt: skip


def size_label(path: Path) -> str:
    """A file's size for people: 812 kB, 74.2 MB."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 999_500 else f"{max(1, round(size / 1e3))} kB"


def existing(result: Result) -> Result:
    """The result with only those files that are there."""
    return replace(result, files={name: path for name, path in result.files.items() if path.is_file()})


def result_updates(result: Result) -> list[Any]:
    """Values for `ResultPart.outputs`."""
    result = existing(result)
    files = result.files
    video = (files["video"], files.get("poster")) if "video" in files else None
    scene = files.get("viewer") or files.get("spz")
    view = stage_view(
        result.cameras,
        result.height,
        result.width,
        picture_index=result.image_index,
        focus_distance=result.focus_distance,
        invite="Show the scene in 3D",
        note="" if scene else NO_SCENE,
    )
    return [
        gr.Tabs(selected="video" if video else "scene"),
        gr.skip() if video is None else video,
        gr.update(value=scene, view=view),
        plain_source(result),
        facts_html(result),
        *(_download_update(name, files.get(name)) for name in DOWNLOADS),
    ]


def _download_update(name: FileName, path: Path | None) -> dict:
    if path is None:
        return gr.update(label=DOWNLOADS[name], value=None, interactive=False)
    return gr.update(label=f"{DOWNLOADS[name]} · {size_label(path)}", value=str(path), interactive=True)


def facts_html(result: Result) -> str:
    """Seed, size of the scene, how long it took; folded, where the time went."""
    parts = [f"Seed <b>{result.seed}</b>", f"<b>{result.gaussians:,}</b> Gaussians".replace(",", " ")]
    if TOTAL in result.timings:
        parts.append(f"made in <b>{result.timings[TOTAL]:.1f} s</b>")
    stages = {name: seconds for name, seconds in result.timings.items() if name != TOTAL and seconds >= SHOWN_SECONDS}
    line = f'<p class="fw-note fw-facts">{" · ".join(parts)}</p>'
    if not stages:
        return line
    rows = "".join(
        f"<li>{escape(STAGE_TITLES.get(name, name.replace('_', ' ')))} <b>{seconds:.1f} s</b></li>"
        for name, seconds in stages.items()
    )
    return f'{line}<details class="fw-note fw-times"><summary>Where the time went</summary><ul>{rows}</ul></details>'
