"""Colours, type and styles. System fonts only: nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

from ui.texts import SCRIPT

CSS_DIR = Path(__file__).parent / "assets" / "css"
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

THEME = gr.themes.Base(
    primary_hue=colors.teal,
    secondary_hue=colors.slate,
    neutral_hue=colors.slate,
    radius_size=sizes.radius_lg,
    text_size=sizes.text_md,
    font=FONT,
    font_mono=MONO,
).set(
    body_background_fill="#f6f7f9",
    body_background_fill_dark="#0e1318",
    block_background_fill="#ffffff",
    block_background_fill_dark="#161d24",
    block_border_width="0px",
    block_shadow="none",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    panel_background_fill="#ffffff",
    panel_background_fill_dark="#161d24",
    input_background_fill="#f3f5f7",
    input_background_fill_dark="#0f151b",
    input_border_width="1px",
    body_text_color_subdued="#55636f",
    body_text_color_subdued_dark="#9dacb8",
    input_placeholder_color="#5f6c77",
    input_placeholder_color_dark="#8495a3",
    block_title_text_color="#33404b",
    block_title_text_color_dark="#dfe6ec",
    block_label_text_color="#33404b",
    block_label_text_color_dark="#dfe6ec",
    button_primary_background_fill="#0f766e",
    button_primary_background_fill_hover="#0b5f59",
    button_primary_background_fill_dark="#0d7c73",
    button_primary_background_fill_hover_dark="#0f8077",
    button_primary_text_color="#ffffff",
    button_primary_text_color_dark="#ffffff",
)
CSS = "\n".join(file.read_text(encoding="utf-8") for file in sorted(CSS_DIR.glob("[1-9]*.css")))
_OUTER = (CSS_DIR / "head.css").read_text(encoding="utf-8")
"""Rules for the elements around the page: Gradio prefixes the selectors in `css`, so there they would not match."""
_SCRIPTS = SCRIPT + "".join(
    (Path(__file__).parent / "assets" / name).read_text(encoding="utf-8")
    for name in ("typing.js", "numbers.js", "focus.js")
)
HEAD = (
    f"<style>{_OUTER}</style><script>{_SCRIPTS}</script>"
    '<meta name="description" content="FlashWorld: a picture or words and a camera path into a 3D Gaussian scene.">'
)
