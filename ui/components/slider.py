"""A slider whose number box accepts any number while typing; a value out of range is clamped."""

from __future__ import annotations

import gradio as gr


class Slider(gr.Slider):
    """`gr.Slider` answers a number out of range with a server error; this one clamps it to the range."""

    def preprocess(self, payload: float | None) -> float:
        """The number clamped to the range; an empty box gives the minimum."""
        number = self.minimum if payload is None else min(max(float(payload), self.minimum), self.maximum)
        return super().preprocess(number if number == number else self.minimum)

    def get_block_name(self) -> str:
        """The front end's name of the component."""
        return "slider"
