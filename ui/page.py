"""The page: three steps on the left, results on the right. Composes the parts; depends neither on torch nor on a model.

`build_page(service)` returns the Blocks with its queue configured; launch it with `launch_options()`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

from ui.api import connect_api
from ui.components.stage import STATIC_DIR
from ui.contract import Result, Service
from ui.events.generate import connect_generate
from ui.events.path import connect_path, first_view
from ui.examples import EXAMPLES_DIR, opening_result
from ui.gate import gate_options, limited_queue
from ui.parts.about import build_about, header_html
from ui.parts.examples import build_examples, connect_examples
from ui.parts.inputs import build_inputs
from ui.parts.path import START_PRESET, build_path_part
from ui.parts.publish import build_publish, connect_publish
from ui.parts.result import build_result_part
from ui.parts.run import build_run_part
from ui.parts.share import build_share, connect_share
from ui.sessions import KEEP_SECONDS, Sessions
from ui.texts import I18N
from ui.theme import CSS, HEAD, THEME

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


def build_page(service: Service, *, sessions: Sessions | None = None, opening: Result | None = None) -> gr.Blocks:
    """Build the page for a service.

    Args:
        service: Runs the model; see `ui.contract`.
        sessions: Folders of results; by default in a private temporary folder.
        opening: The scene that the page opens with, its files in one folder; by default the first light example.
    """
    sessions = sessions or Sessions()
    opening = opening or opening_result()
    folders = {file.parent for file in opening.files.values()} if opening else set()
    gr.set_static_paths([STATIC_DIR, EXAMPLES_DIR, sessions.root, *folders])
    sweep = (600, int(KEEP_SECONDS))
    with gr.Blocks(title="FlashWorld", analytics_enabled=False, delete_cache=sweep, fill_width=True) as page:
        gr.HTML(header_html(service), apply_default_css=False)
        examples = build_examples(service)
        with gr.Row(elem_id="fw-columns"):
            with gr.Column(scale=5, min_width=320, elem_id="fw-form"):
                with gr.Column(elem_classes="fw-card"):
                    inputs = build_inputs(service)
                with gr.Column(elem_classes="fw-card"):
                    path = build_path_part(service.defaults)
                run = build_run_part(service.defaults, service)
            with gr.Column(scale=7, min_width=320, elem_id="fw-result"):
                result = build_result_part(first_view(service.defaults, START_PRESET), opening)
                share = build_share(result.actions)
                publish = build_publish(result.actions)
        build_about()
        connect_path(service, inputs, path, run, result)
        connect_generate(page, service, sessions, inputs, path, run, result)
        connect_examples(examples, sessions, inputs, path, run, result)
        connect_share(page, share, inputs, path, run)
        connect_publish(publish, result, sessions)
        connect_api(service, sessions)
        _connect_visits(page, sessions)
    limited_queue(page, service.queue_size)
    return page


def _connect_visits(page: gr.Blocks, sessions: Sessions) -> None:
    def leave(request: gr.Request) -> None:
        sessions.close(request.session_hash or "")
        sessions.sweep_if_due()

    page.unload(leave)


def launch_options() -> dict[str, Any]:
    """Arguments of `launch` other than host and port: theme, styles, limits."""
    return {
        "theme": THEME,
        "i18n": I18N,
        "css": CSS,
        "head": HEAD,
        "footer_links": ["api"],
        "run_history": False,
        "show_error": True,
        "max_file_size": "48mb",
        "ssr_mode": False,
        "favicon_path": str(Path(__file__).parent / "assets" / "static" / "favicon.svg"),
        **gate_options(),
    }
