"""Progress of one generation: the type shared by pipeline, worker, command line and page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flashworld.types import Frame

StageName = Literal["text", "denoise", "render", "files"]
STAGE_TITLES: dict[StageName, str] = {
    "text": "Encoding the text",
    "denoise": "Denoising the views",
    "render": "Rendering the video",
    "files": "Writing the files",
}
"""The stages in order. `pipeline` reports the first two, the code that renders the video and writes files the rest."""

WAITING = "Waiting for a free worker"


@dataclass(frozen=True)
class Progress:
    """The current state of a generation.

    Attributes:
        stage: One of `STAGE_TITLES`.
        fraction: Share of the whole generation that is done, 0 to 1.
        step: Current step of the stage, from 1; 0 if it has no steps.
        steps: Number of steps of the stage, or 0.
        preview: The scene so far from one camera, RGB uint8 (H, W, 3); None if there is no new one.
        waiting: Nothing runs yet: every worker is busy or being started.
    """

    stage: StageName
    fraction: float
    step: int = 0
    steps: int = 0
    preview: Frame | None = None
    waiting: bool = False

    @property
    def message(self) -> str:
        """Text for display, such as "Denoising the views: step 2 of 4"."""
        if self.waiting:
            return WAITING
        return STAGE_TITLES[self.stage] + (f": step {self.step} of {self.steps}" if self.steps else "")
