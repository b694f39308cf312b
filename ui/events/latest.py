"""Events where only the last one matters, such as those of a slider being dragged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ui.events.quiet import QUIET

_COUNT_JS = "() => String((window.fwAsked = (window.fwAsked ?? 0) + 1))"


def on_latest(triggers: Sequence[Callable], fn: Callable, inputs: Any, outputs: Any) -> None:
    """Call `fn` when any trigger fires; while a call is running, the latest further trigger is kept with its values.

    That is `trigger_mode="always_last"`. Gradio 6.31 handles only one such listener per event of a component correctly: it
    repeats a remembered call by sending the whole event again, so two of them repeat each other without end. Here the
    triggers write, in the browser, to a hidden box, which has this one listener.
    """
    asked = gr.Textbox("", visible="hidden", label="Asked", interactive=False)
    gr.on(triggers, None, None, asked, js=_COUNT_JS, **QUIET)
    asked.change(fn, inputs, outputs, trigger_mode="always_last", **QUIET)
