"""Progress of one generation: the one type that pipeline, worker, command line and page share."""

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
"""The stages in their order. `pipeline` reports the first two, whoever films the scene and writes its files the others."""


@dataclass(frozen=True)
class Progress:
    """What is being done now.

    Attributes:
        stage: One of `STAGE_TITLES`.
        fraction: Of the whole job, 0 to 1, at the moment of the report.
        step: Of the stage, counted from 1; 0 where it has no steps.
        steps: How many steps the stage has, or 0.
        preview: The scene so far from one camera, RGB uint8 (H, W, 3); None where there is no new one.
    """

    stage: StageName
    fraction: float
    step: int = 0
    steps: int = 0
    preview: Frame | None = None

    @property
    def message(self) -> str:
        """For people, such as "Denoising the views: step 2 of 4"."""
        return STAGE_TITLES[self.stage] + (f": step {self.step} of {self.steps}" if self.steps else "")
