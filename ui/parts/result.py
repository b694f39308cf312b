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
from ui.events.quiet import QUIET
from ui.parts.plain import PlainPart, PlainSource, build_plain, plain_source
from ui.texts import TEXTS, html, text

DOWNLOADS: dict[FileName, str] = {
    "ply": "PLY",
    "spz": "SPZ",
    "video": "MP4",
    "path": "Path",
    "zip": "ZIP",
    "html": "HTML",
}
"""Order and names of the downloads; sizes are added for a result."""
TOTAL = "total"
SHOWN_SECONDS = 0.05
LANDING_JS = "(_, source) => [window.fwChosenTab, source]"
"""`progress.js` stores the selected tab: a server response could arrive after the next click."""
_PROGRESS = (Path(__file__).parents[1] / "assets" / "progress.js").read_text(encoding="utf-8")


class VideoData(GradioModel):
    """Data for the browser's video player."""

    video: FileData
    poster: FileData | None = None


class SceneVideo(gr.HTML):
    """Muted, looping player with a poster; starts automatically unless the visitor prefers reduced motion."""

    data_model = VideoData

    def __init__(self, **kwargs: Any) -> None:
        script = (Path(__file__).parents[1] / "assets" / "video.js").read_text(encoding="utf-8")
        super().__init__(
            html_template='<div class="fw-video"></div>', js_on_load=script, apply_default_css=False, **kwargs
        )

    def postprocess(self, value: tuple[Path, Path | None] | None) -> VideoData | None:
        """Convert (video, poster) to the player's data."""
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
    """The components of the right-hand side."""

    progress: gr.HTML
    chosen: gr.Textbox
    made_from: gr.State
    arrived: gr.Textbox
    stale: gr.HTML
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
    shown: gr.State
    actions: gr.Row

    @property
    def outputs(self) -> list[Any]:
        """The outputs of `result_updates`, in its order."""
        return [
            self.video,
            self.scene_stage,
            self.plain.source,
            self.facts,
            *self.downloads.values(),
            self.shown,
        ]


def build_result_part(first_view: dict, opening: Result | None = None) -> ResultPart:
    """Draw the result side.

    Args:
        first_view: Initial view of the empty stage.
        opening: The scene that the page opens with, or None.
    """
    opening_view = scene_view(opening) if opening else None
    with gr.Column(elem_id="fw-area"):
        with gr.Tabs(selected="scene" if opening else "path", elem_id="fw-result-tabs") as tabs:
            with gr.Tab(text("tab.fly"), id="scene") as scene_tab:
                _purpose("tab.fly_line")
                scene_stage = Stage(origin="scene", view=opening_view, elem_id="fw-scene-stage")
            with gr.Tab(text("tab.film"), id="video") as video_tab:
                _purpose("tab.film_line")
                video = SceneVideo(elem_id="fw-video")
            with gr.Tab(text("tab.quick"), id="plain") as plain_tab:
                _purpose("tab.quick_line")
                plain = build_plain(plain_tab, opening)
            with gr.Tab(text("tab.path"), id="path") as path_tab:
                _purpose("tab.path_line")
                path_stage = Stage(origin="path", view=first_view, elem_id="fw-path-stage")
        progress = gr.HTML("", js_on_load=_PROGRESS, elem_id="fw-progress", apply_default_css=False)
        stale = gr.HTML("", elem_id="fw-stale", apply_default_css=False)
    chosen = gr.Textbox("", visible="hidden", label="Tab", interactive=False)
    made_from = gr.State(None)
    arrived = gr.Textbox("", visible="hidden", label="Scene", interactive=False)  # changes when a new scene is shown
    opened = f'<p class="fw-note">{html("result.opening")}</p>' if opening else ""
    facts = gr.HTML(opened, elem_id="fw-facts", apply_default_css=False)
    with gr.Row(elem_classes="fw-downloads") as actions:
        downloads: dict[FileName, gr.DownloadButton] = {
            name: gr.DownloadButton(
                _download_title(name),
                interactive=False,
                size="sm",
                min_width=90,
                elem_id=f"fw-download-{name}",
                variant="secondary",
            )
            for name in DOWNLOADS
        }
    return ResultPart(
        progress, chosen, made_from, arrived, stale, tabs, path_tab, video_tab, scene_tab, path_stage, video, scene_stage, plain, facts, downloads, gr.State(None), actions,
    )  # fmt: skip


def size_label(path: Path) -> str:
    """A human-readable file size: 812 kB, 74.2 MB."""
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 999_500 else f"{max(1, round(size / 1e3))} kB"


def _purpose(key: str) -> None:
    """The first line of a tab."""
    gr.HTML(f'<p class="fw-note fw-purpose">{html(key)}</p>', apply_default_css=False)


def scene_file(result: Result) -> Path | None:
    """The scene that the 3D view shows."""
    return result.files.get("viewer") or result.files.get("spz")


def full_scene(result: Result) -> Path | None:
    """The full scene, if the 3D view shows a light one first."""
    light, full = result.files.get("viewer"), result.files.get("spz")
    return full if light and full and light != full and full.is_file() else None


def scene_view(result: Result) -> dict:
    """The 3D view's data: it plays the path back and forth until the visitor takes control."""
    return stage_view(
        result.cameras,
        result.height,
        result.width,
        picture_index=result.image_index,
        focus_distance=result.focus_distance,
        invite="viewer.show_scene",
        note="" if scene_file(result) else "result.no_scene",
        play=True,
        scene=scene_file(result),
        full=full_scene(result),
        poster=result.files["poster"].as_posix() if "poster" in result.files else None,
    )


def existing(result: Result) -> Result:
    """The result with only the files that exist."""
    return replace(result, files={name: path for name, path in result.files.items() if path.is_file()})


def result_updates(result: Result) -> list[Any]:
    """Values for `ResultPart.outputs`; no downloads before the result is complete."""
    result = existing(result)
    files = result.files
    video = (files["video"], files.get("poster")) if "video" in files else None
    return [
        video,
        gr.update(view=scene_view(result)),
        plain_source(result),
        facts_html(result),
        *(_download_update(name, files.get(name) if result.complete else None) for name in DOWNLOADS),
        result if result.complete else None,
    ]


def connect_landing(arrived: Any, result: ResultPart) -> None:
    """Show a new result in its best tab."""
    arrived(landing, [result.chosen, result.plain.source], result.tabs, js=LANDING_JS, **QUIET)


def landing(chosen: str, source: PlainSource | None) -> Any:
    """The tab for a new result: the one that the visitor has selected, else the best one for this result."""
    if chosen or source is None:
        return gr.skip()
    return gr.Tabs(selected="video" if source.scene is None else "scene")


def stale_html(made_from: tuple[str | None, str] | None, image: str | None, text: str) -> str:
    """A sentence if the displayed scene was not made from this picture and this text."""
    stale = made_from is not None and made_from != (image, text or "")
    return f'<p class="fw-note fw-stale" role="status">{html("result.stale")}</p>' if stale else ""


def _download_title(name: FileName) -> str:
    return str(text("tab.path")) if name == "path" else DOWNLOADS[name]


def _download_update(name: FileName, path: Path | None) -> dict:
    if path is None:
        return gr.update(label=_download_title(name), value=None, interactive=False)
    return gr.update(label=f"{_download_title(name)} · {size_label(path)}", value=str(path), interactive=True)


def _grouped(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def facts_html(result: Result) -> str:
    """Seed, size of the scene, total time; collapsed, the time of each stage."""
    parts = [html("result.seed", seed=result.seed), html("result.gaussians", count=_grouped(result.gaussians))]
    if result.light_gaussians:
        count = _grouped(result.light_gaussians)
        parts.append(html("result.light", count=count, psnr=f"{result.light_psnr_db:.1f}"))
    if TOTAL in result.timings:
        parts.append(html("result.made_in", seconds=f"{result.timings[TOTAL]:.1f}"))
    stages = {name: seconds for name, seconds in result.timings.items() if name != TOTAL and seconds >= SHOWN_SECONDS}
    name = "/".join(next(iter(result.files.values())).parts[-3:-1]) if result.files else ""
    line = f'<p class="fw-note fw-facts" data-result="{escape(name)}">{" · ".join(parts)}</p>'
    if not stages:
        return line
    rows = "".join(
        f"<li>{html(f'time.{name}') if f'time.{name}' in TEXTS['en'] else escape(name.replace('_', ' '))} "
        f"<b>{seconds:.1f} s</b></li>"
        for name, seconds in stages.items()
    )
    times = f'<details class="fw-note fw-times"><summary>{html("result.times")}</summary><ul>{rows}</ul></details>'
    return f'<div class="fw-done">{line}{times}</div>'
