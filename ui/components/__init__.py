"""Gradio components of our own and the HTML fragments of the page."""

from __future__ import annotations
