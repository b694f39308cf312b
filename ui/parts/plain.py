"""Quick look at a smaller copy in Gradio's own viewer, with a cover in front until it has drawn the scene.

That viewer enlarges points over its first frames (`FadeInPass` of gsplat.js): immediate on a GPU, up to a
minute without one, and until then the scene is dots on black. It shows no message while loading or without a scene;
the cover shows both.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from flashworld.errors import FlashWorldError
from ui.components.stage import STATIC_DIR
from ui.contract import Result
from ui.sessions import Sessions

if TYPE_CHECKING:
    from flashworld.cameras import Cameras

BLANK = str(STATIC_DIR / "blank.splat")
"""A file with one invisible Gaussian. Gradio's viewer goes on drawing after its value is cleared, and keeps one of the
browser's sixteen WebGL contexts; loading another file releases the previous one."""
NOTHING, NO_SCENE, NOT_MADE, DRAWING = "plain.nothing", "result.no_scene", "plain.not_made", "plain.drawing"
"""Keys of the texts on the cover."""
_THERE_JS = "(kept, there) => [kept, document.getElementById('fw-plain')?.offsetParent ? 'yes' : '']"
_SCRIPT = (Path(__file__).parents[1] / "assets" / "cover.js").read_text(encoding="utf-8")

logger = logging.getLogger(__name__)


class Cover(gr.HTML):
    """A sentence in front of the viewer; with `drawing` it disappears once the viewer has drawn enough frames."""

    def __init__(self, *, value: str = NOTHING, drawing: bool = False, **kwargs: Any) -> None:
        """Shows the text of the key `value`."""
        self.drawing = drawing  # set first: Gradio takes a quoted name in the script for an event unless it is a prop
        super().__init__(
            value=value,
            html_template='<div class="fw-cover"><p role="status"></p></div>',
            js_on_load=_SCRIPT,
            apply_default_css=False,
            drawing=drawing,
            **kwargs,
        )

    def api_info(self) -> dict[str, Any]:
        """Never part of the public API."""
        return {"type": "string"}


@dataclass(frozen=True)
class PlainSource:
    """The copy, or the scene to make it from.

    Attributes:
        file: The copy, if the service made one.
        scene: The scene from which it can be made, if there is one.
        camera: The viewer's initial camera, a single one.
        focus_distance: As in `ui.contract.Result`.
    """

    file: Path | None
    scene: Path | None
    camera: Cameras
    focus_distance: float


@dataclass(frozen=True)
class PlainPart:
    """The tab's components; `shown` is the source of the viewer's file."""

    tab: gr.Tab
    model: gr.Model3D
    cover: Cover
    source: gr.State


def build_plain(tab: gr.Tab, opening: Result | None = None) -> PlainPart:
    """Draw the panel."""
    with gr.Column(elem_id="fw-plain-panel"):
        model = gr.Model3D(label="Plain preview", interactive=False, buttons=[], elem_id="fw-plain", show_label=False)
        cover = Cover(elem_id="fw-plain-cover")
    return PlainPart(tab, model, cover, gr.State(None if opening is None else plain_source(opening)))


def plain_source(result: Result) -> PlainSource:
    """The source of a result's copy."""
    index = result.image_index
    camera = result.cameras[index : index + 1]
    return PlainSource(
        result.files.get("plain"), result.files.get("viewer") or result.files.get("spz"), camera, result.focus_distance
    )


def connect_plain(plain: PlainPart, others: list[gr.Tab], sessions: Sessions, **options: Any) -> None:
    """The viewer loads when its tab is opened, and draws nothing while another tab is shown."""

    def show(source: PlainSource | None, shown: str | None) -> list:
        file, text = None, NOTHING
        if source is not None:
            file, text = _copy(source, sessions)
        return [file or (BLANK if shown else gr.skip()), gr.update(value=text, drawing=file is not None)]

    def hide(shown: str | None) -> Any:
        return BLANK if shown and Path(shown).name != Path(BLANK).name else gr.skip()

    outputs, kept, there = [plain.model, plain.cover], gr.State(), gr.Textbox("", visible="hidden", interactive=False)
    plain.tab.select(show, [plain.source, plain.model], outputs, **options)
    # Gradio's viewer restarts only for a different file. If the tab was left meanwhile, the scene loads at the next visit.
    plain.cover.again(lambda shown: (BLANK, shown), plain.model, [plain.model, kept], **options).then(
        lambda file, there: file if there else gr.skip(), [kept, there], plain.model, js=_THERE_JS, **options
    )
    gr.on([tab.select for tab in others], hide, plain.model, plain.model, **options)


def _copy(source: PlainSource, sessions: Sessions) -> tuple[str | None, str]:
    """The viewer's file, and the text of its cover."""
    if source.file is not None and source.file.is_file():
        return str(source.file), DRAWING
    if source.scene is None:
        return None, NO_SCENE
    try:
        return str(_made_from(source, source.scene, sessions)), DRAWING
    except FlashWorldError:
        logger.exception("no plain copy of %s", source.scene)
        return None, NOT_MADE


def _made_from(source: PlainSource, scene: Path, sessions: Sessions) -> Path:
    """An example's copy: made at the first request, and kept like an API client's result."""
    from flashworld.io.scenes import read_scene
    from flashworld.io.scenes.plain_preview import write_plain_preview

    with sessions.new_folder() as folder:
        file = folder / "plain.splat"
        write_plain_preview(read_scene(scene), source.camera, source.focus_distance, file)
    return file
