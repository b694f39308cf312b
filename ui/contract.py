"""The interface between the page and the code that runs the model: `app.py`, or the stand-in of the browser tests.

The page depends on these types, not on torch, spaces or weights. All values are plain data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from flashworld.config import DEFAULT_FOV_Y_DEG, DEFAULT_FPS, DEFAULT_VIDEO_SECONDS
from flashworld.progress import Progress

if TYPE_CHECKING:
    from flashworld.cameras import Cameras
    from flashworld.inputs import GenerationRequest, VideoSettings
    from flashworld.nano.language import Understood

FileName = Literal["ply", "spz", "viewer", "plain", "video", "poster", "path", "zip", "html", "request"]
"""Files of a result. Downloads: ply, spz, video (MP4), path (JSON), zip. `viewer` is the light SPZ that the 3D view shows
before a large `spz`; `plain` the small .splat for `gr.Model3D`, `poster` a WebP. `html` and `request` (JSON, without the
picture) are written by the page."""


@dataclass(frozen=True)
class Defaults:
    """Initial values and choices of the form.

    Attributes:
        frames: Number of views.
        height: Image height in pixels.
        width: Image width in pixels.
        sizes: (height, width) choices, the default first.
        fov_y_deg: Vertical field of view in degrees.
        fps: Frames per second of the video.
        seconds: Length of the video.
    """

    frames: int = 24
    height: int = 480
    width: int = 704
    sizes: tuple[tuple[int, int], ...] = ((480, 704), (704, 480), (576, 576))
    fov_y_deg: float = DEFAULT_FOV_Y_DEG
    fps: int = DEFAULT_FPS
    seconds: float = DEFAULT_VIDEO_SECONDS


@dataclass(frozen=True)
class Result:
    """A finished scene.

    Attributes:
        files: Paths inside the session folder passed by the page.
        seed: The seed used.
        gaussians: Number of Gaussians in the full PLY.
        cameras: The views in the scene's frame and units, for the 3D viewer.
        height: Rows of the views and the video.
        width: Columns of them.
        image_index: Index of the picture's camera.
        focus_distance: Distance from that camera to the centre of the scene, scene units.
        timings: Seconds by stage, shown below the result; empty for an example, which was made on another machine.
        light_gaussians: Number of Gaussians in the light scene; 0 if there is none.
        light_psnr_db: PSNR of the light scene against the full one along the path, on views it was not optimised for, dB.
        complete: Whether all files are written; False for a scene that is shown while the large ones are still being written.
    """

    files: dict[FileName, Path]
    seed: int
    gaussians: int
    cameras: Cameras
    height: int
    width: int
    image_index: int = 0
    focus_distance: float = 1.5
    timings: dict[str, float] = field(default_factory=dict)
    light_gaussians: int = 0
    light_psnr_db: float = math.inf
    complete: bool = True


class Service(Protocol):
    """Runs the model."""

    model_name: str
    """For example "FlashWorld" or "FlashWorld nano"."""
    model_note: str
    """One line for visitors: which model runs and how, for example "full model, compiled graph active"."""
    defaults: Defaults
    queue_size: int
    """Maximum number of waiting visitors."""
    concurrency: int
    """Number of generations that run at once."""
    uses_gpu_quota: bool
    """Whether it runs on ZeroGPU, where visitors have a daily quota."""
    understood: Callable[[str], Understood] | None
    """The interpretation of a prompt by a model with a limited vocabulary; None for a model that reads any text."""

    def estimate_seconds(self, frames: int, height: int, width: int, video: VideoSettings, *, picture: bool) -> float:
        """Expected seconds of GPU (or CPU) time of a request; `duration=` uses the same number.

        Args:
            frames: Views.
            height: Rows of a view.
            width: Columns of a view.
            video: Settings of the video.
            picture: Whether the request has a picture.
        """
        ...

    def generate(self, request: GenerationRequest, *, session_dir: Path) -> Generator[Progress | Result, None, None]:
        """Yield progress, and finally the complete result; before it, an incomplete one if it can be shown earlier.

        Closing the iterator stops the work. Raises `FlashWorldError`; an `InputError`'s text is shown to the visitor.

        Args:
            request: The request, already checked.
            session_dir: An empty folder made for this call; every file goes there.
        """
        ...
