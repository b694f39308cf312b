"""A slider whose number box may hold anything while it is typed in: what is sent is taken at the nearest end."""

from __future__ import annotations

import gradio as gr


class Slider(gr.Slider):
    """`gr.Slider` refuses a number out of range as an error of the server; this one uses the end it lies beyond."""

    def preprocess(self, payload: float | None) -> float:
        """The number inside the range; an empty box counts as the low end."""
        number = self.minimum if payload is None else min(max(float(payload), self.minimum), self.maximum)
        return super().preprocess(number if number == number else self.minimum)

    def get_block_name(self) -> str:
        """The front end knows it as a slider."""
        return "slider"
