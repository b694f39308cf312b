"""Gradio's own viewer as a quick look at a smaller copy, and the cover in front of it until it has drawn the scene.

That viewer lets points grow over its first frames (`FadeInPass` of gsplat.js): at once with a graphics card, up to a
minute without one, and till then a scene is dots on black. It says nothing while it loads, and nothing when it has
nothing. The cover says both.
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
"""One Gaussian nobody sees. Gradio's viewer goes on drawing after its value was taken away, and keeps one of the
browser's sixteen WebGL contexts; given another file it lets go of the last one."""
NOTHING, NO_SCENE, NOT_MADE, DRAWING = "plain.nothing", "result.no_scene", "plain.not_made", "plain.drawing"
"""Keys of the texts on the cover."""
_THERE_JS = "(kept, there) => [kept, document.getElementById('fw-plain')?.offsetParent ? 'yes' : '']"
_SCRIPT = (Path(__file__).parents[1] / "assets" / "cover.js").read_text(encoding="utf-8")

logger = logging.getLogger(__name__)


class Cover(gr.HTML):
    """A sentence in front of the viewer; with `drawing` it goes when the viewer has had its frames."""

    def __init__(self, *, value: str = NOTHING, drawing: bool = False, **kwargs: Any) -> None:
        """Shows the text of that key."""
        self.drawing = drawing  # first: a word quoted in the script and not set would be taken for an event
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
    """What the copy is, or is made from.

    Attributes:
        file: The copy, where the service made one.
        scene: The scene it can be made from, where there is one.
        camera: The one camera the viewer starts from.
        focus_distance: As in `ui.contract.Result`.
    """

    file: Path | None
    scene: Path | None
    camera: Cameras
    focus_distance: float


@dataclass(frozen=True)
class PlainPart:
    """The tab's components; `shown` is where the viewer's file comes from."""

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
    """Where the copy of a result comes from."""
    index = result.image_index
    camera = result.cameras[index : index + 1]
    return PlainSource(
        result.files.get("plain"), result.files.get("viewer") or result.files.get("spz"), camera, result.focus_distance
    )


def connect_plain(plain: PlainPart, others: list[gr.Tab], sessions: Sessions, **options: Any) -> None:
    """The viewer loads when its tab is opened, and draws nothing behind the others."""

    def show(source: PlainSource | None, shown: str | None) -> list:
        file, text = None, NOTHING
        if source is not None:
            file, text = _copy(source, sessions)
        return [file or (BLANK if shown else gr.skip()), gr.update(value=text, drawing=file is not None)]

    def hide(shown: str | None) -> Any:
        return BLANK if shown and Path(shown).name != Path(BLANK).name else gr.skip()

    outputs, kept, there = [plain.model, plain.cover], gr.State(), gr.Textbox("", visible="hidden", interactive=False)
    plain.tab.select(show, [plain.source, plain.model], outputs, **options)
    # Gradio's viewer starts anew with another file only. Who has left the tab meanwhile gets the scene with the next visit.
    plain.cover.again(lambda shown: (BLANK, shown), plain.model, [plain.model, kept], **options).then(
        lambda file, there: file if there else gr.skip(), [kept, there], plain.model, js=_THERE_JS, **options
    )
    gr.on([tab.select for tab in others], hide, plain.model, plain.model, **options)


def _copy(source: PlainSource, sessions: Sessions) -> tuple[str | None, str]:
    """The viewer's file, and what stands in front of it."""
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
    """An example's copy: made when first asked for, and kept like a program's result."""
    from flashworld.io.scenes import read_scene
    from flashworld.io.scenes.plain_preview import write_plain_preview

    with sessions.new_folder() as folder:
        file = folder / "plain.splat"
        write_plain_preview(read_scene(scene), source.camera, source.focus_distance, file)
    return file
