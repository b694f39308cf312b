"""Limitations, using the files elsewhere, the API, licences."""

from __future__ import annotations

from html import escape

import gradio as gr

from ui.contract import Service
from ui.texts import html, text

SECTIONS = ("limits", "elsewhere", "api", "licences")


def header_html(service: Service) -> str:
    """Name, two sentences, and the running model."""
    return (
        '<header class="fw-header"><div><h1>FlashWorld</h1>'
        f"<p>{html('header.line')}</p></div>"
        f'<p class="fw-model"><b>{escape(service.model_name)}</b><span>{escape(service.model_note)}</span></p></header>'
    )


def build_about() -> None:
    """Draw the collapsed texts at the bottom of the page."""
    for section in SECTIONS:
        with gr.Accordion(text(f"about.{section}"), open=False):
            gr.Markdown(text(f"about.{section}_text"))
