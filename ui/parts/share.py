"""A link with the present settings, and the reading of such a link when the page opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from flashworld.trajectories import PRESETS
from ui.events.quiet import QUIET
from ui.parts.inputs import InputsPart
from ui.parts.path import KNOB_NAMES, PathPart, caption_html, knob_updates, read_form
from ui.parts.run import RunPart
from ui.share import Shared, knobs_text, read_knobs, read_query, share_query

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
    """Draw the button in the row of what can be done with a result, and below it the place of the link."""
    with actions:
        button = gr.Button("Copy link", size="sm", min_width=90, variant="secondary", elem_id="fw-share")
    link = gr.Textbox(
        label="Link (copied)", info="Holds words, template, seed and lens; a picture or a recorded path cannot travel in it.",
        visible=False, interactive=False, buttons=["copy"], elem_id="fw-link",
    )  # fmt: skip
    return SharePart(button, link, gr.Textbox(visible=False))


def connect_share(page: gr.Blocks, share: SharePart, inputs: InputsPart, path: PathPart, run: RunPart) -> None:
    """Wire the button, and fill the form from the address when the page opens."""

    def query(text: str, seed: float | None, fov: float, frames: float, size: str, *values: Any) -> str:
        form = read_form(*values)
        template = form.source == "template"
        return share_query(
            Shared(
                text=text or "",
                path=form.preset if template else "",
                knobs=knobs_text({k: v for k, v in form.params.items() if k in KNOB_NAMES}) if template else "",
                seed=None if seed is None else int(seed),
                fov=fov,
                frames=int(frames),
                size=size,
            )
        )

    settings = [inputs.prompt, run.seed, path.fov, run.frames, run.size]
    share.button.click(query, [*settings, *path.inputs], share.query, **QUIET).success(
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
        return [*plain, *template_updates(shared.path, read_knobs(shared) if shared.path else {})]

    outputs = [inputs.prompt, run.seed, run.randomize, path.fov, run.frames, run.size]
    page.load(arrive, None, [*outputs, path.picker, path.caption, *path.knobs], **QUIET)


def template_updates(name: str, values: dict[str, float]) -> list:
    """Updates for picker, caption and knobs that choose a template with given values; none for no name."""
    if name not in PRESETS:
        return [gr.skip()] * (2 + len(KNOB_NAMES))
    knobs = knob_updates(name)
    for update, knob in zip(knobs, KNOB_NAMES, strict=True):
        if knob in values:
            update["value"] = values[knob]
    return [name, caption_html(name), *knobs]
