"""The cost of a GPU call by stage, from its sizes: the prior of the estimates in `durations.py`.

Numbers are seconds on one H200 (sm_90, torch 2.11). Nothing here touches a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from flashworld.config import SPATIAL_FACTOR
from flashworld.sampling import STEPS

RENDERED_STEPS = STEPS - 1
"""The last step's scene is not rendered and encoded again."""


@dataclass(frozen=True)
class Work:
    """Everything that determines how long a call takes.

    Attributes:
        frames: Views of the scene.
        height: Pixels.
        width: Pixels.
        video_frames: Frames of the video, 0 for none.
        compiled: Whether the networks run as compiled graphs.
        picture: Whether an image is given: it changes the number of visible Gaussians and with it the time of the video.
        cold: Whether a new worker must first load the weights.
        cold_bytes: Size of these weights.
    """

    frames: int
    height: int
    width: int
    video_frames: int = 0
    compiled: bool = True
    picture: bool = False
    cold: bool = False
    cold_bytes: float = 13e9

    @property
    def bucket(self) -> str:
        """Key of calls with nearly the same ratio: scene size in half octaves, video in octaves, input, cold or warm."""
        size = round(2 * math.log2(self.frames * self.height * self.width))
        video = round(math.log2(self.video_frames)) if self.video_frames else "no"
        return f"{size} {video} {self.input_kind}"

    @property
    def input_kind(self) -> str:
        """The kind, and whether there is an image."""
        return f"{'picture' if self.picture else 'words'} {self.kind}"

    @property
    def kind(self) -> str:
        """Key shared by all sizes of call whose ratios are informative about this one."""
        return f"{'cold' if self.cold else 'warm'} {'compiled' if self.compiled else 'eager'}"


@dataclass(frozen=True)
class StageCosts:
    """Seconds on one H200 (sm_90, torch 2.11), each divided by what the stage is proportional to.

    Measured with random full-size weights at 24 x 480 x 704, compiled, FP8 block linears; values marked as assumed
    are corrected by observation.
    """

    fixed: float = 0.15
    """Fork or queue, pickling of arguments, one preview per step."""
    text: float = 0.036
    per_token: float = 89e-3 / 7920
    """DiT without self-attention: 69.8 TFLOP at 7,920 tokens."""
    per_token_pair: float = 40e-3 / 7920**2
    """DiT self-attention: 24.6 TFLOP."""
    per_decoded_pixel: float = 127e-3 / (24 * 480 * 704)
    per_encoded_pixel: float = 30e-3 / (24 * 480 * 704)
    per_gaussian_view: float = 2.45e-3 / 4_055_040
    """Rasterizing, in batches of 8 views."""
    per_video_pixel: float = 3e-9
    """Turning a video frame into bytes on the host (assumed)."""
    per_result_byte: float = 1 / 1.5e9
    """Packing the scene and transferring it to the main process (assumed)."""
    per_cold_byte: float = 1 / 2.5e9
    """From the pack file to the GPU (assumed)."""
    cold_fixed: float = 2.0
    """CUDA start-up, loading the graphs' libraries (assumed)."""
    eager_factor: float = 1.7
    """Networks without compiled graphs."""
    bytes_per_gaussian: float = 82.0
    visible_share: float = 0.75
    """Share of the Gaussians that remain after pruning."""

    def seconds(self, work: Work) -> dict[str, float]:
        """Seconds by stage."""
        pixels = work.frames * work.height * work.width
        tokens = pixels / (2 * SPATIAL_FACTOR) ** 2
        gaussians = pixels / 2
        slower = 1.0 if work.compiled else self.eager_factor
        return {
            "fixed": self.fixed,
            "text": self.text,
            "transformer": STEPS * slower * tokens * (self.per_token + self.per_token_pair * tokens),
            "gaussian_decoder": STEPS * slower * self.per_decoded_pixel * pixels,
            "vae_encoder": RENDERED_STEPS * slower * self.per_encoded_pixel * pixels,
            "render": RENDERED_STEPS * self.per_gaussian_view * gaussians * work.frames,
            "video": work.video_frames
            * (self.per_gaussian_view * gaussians + self.per_video_pixel * work.height * work.width),
            "result": self.per_result_byte * self.bytes_per_gaussian * self.visible_share * gaussians,
            "cold": (self.cold_fixed + self.per_cold_byte * work.cold_bytes) if work.cold else 0.0,
        }

    def total(self, work: Work) -> float:
        """Seconds of the whole call."""
        return sum(self.seconds(work).values())


H200_COSTS = StageCosts()
CPU_SLOWNESS = 60.0
"""Factor from an H200 to two CPU cores, used until calls have been observed."""
CPU_COSTS = replace(
    H200_COSTS,
    **{
        name: CPU_SLOWNESS * getattr(H200_COSTS, name)
        for name in (
            "per_token",
            "per_token_pair",
            "per_decoded_pixel",
            "per_encoded_pixel",
            "per_video_pixel",
            "per_cold_byte",
        )
    },
)
"""The same on two CPU cores."""
