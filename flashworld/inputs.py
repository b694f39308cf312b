"""A checked, complete request, before any GPU time is spent.

`build_request` is the only entry point: page, API, command line and request files all use it. A `GenerationRequest`
that exists is valid, and `dataclasses.replace` checks again. Cameras are float32 with quaternions of unit length,
one camera per frame, and intrinsics relative to the output image.

Text: line breaks and tabs become spaces; other control characters, lone surrogates and direction overrides are
removed (they are invisible and often hostile); surrounding spaces are stripped; the rest is passed to the tokenizer unchanged.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from flashworld.cameras import Cameras
from flashworld.checks import echo, one_of, real_number, true_or_false, whole_number
from flashworld.config import DEFAULT_FPS, DEFAULT_VIDEO_SECONDS, FULL, ModelConfig
from flashworld.errors import ImageError, InputError, PromptError, TrajectoryError
from flashworld.io.images.crops import prepare_picture
from flashworld.io.images.reading import Photo, PictureSource, read_picture
from flashworld.limits import (
    MAX_FPS,
    MAX_FRAMES,
    MAX_PROMPT_CHARS,
    MAX_SCENE_PIXELS,
    MAX_SEED,
    MAX_SIDE_PX,
    MAX_VIDEO_FRAMES,
    MAX_VIDEO_SECONDS,
    MIN_FPS,
    MIN_FRAMES,
    MIN_SIDE_PX,
    MIN_VIDEO_SECONDS,
    SIZE_MULTIPLE,
)
from flashworld.trajectories.resolve import PathOrigin, PathSource, build_path, checked_cameras, lens
from flashworld.types import Frame

VideoQuality = Literal["low", "medium", "high"]
DEFAULT_TRAJECTORY = "orbit_right"
"""15 degrees to the right: shows depth, and stays within the part of the scene that the model has seen."""
_SPACES = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class VideoSettings:
    """How the video along the path is rendered.

    Attributes:
        fps: Frames per second.
        seconds: Length; None means one second per interval between cameras.
        quality: H.264 quality.
        depth: Also write a depth video.
        enabled: False writes no video at all.
    """

    fps: int = DEFAULT_FPS
    seconds: float | None = DEFAULT_VIDEO_SECONDS
    quality: VideoQuality = "high"
    depth: bool = False
    enabled: bool = True

    def __post_init__(self) -> None:
        checked = {
            "fps": whole_number(self.fps, "video fps", MIN_FPS, MAX_FPS),
            "quality": one_of(self.quality, "video quality", get_args(VideoQuality)),
            "depth": true_or_false(self.depth, "video depth"),
            "enabled": true_or_false(self.enabled, "video enabled"),
        }
        if self.seconds is not None:
            checked["seconds"] = real_number(
                self.seconds, "video seconds", MIN_VIDEO_SECONDS, MAX_VIDEO_SECONDS, unit=" s"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def frame_count(self, cameras: int) -> int:
        """Number of frames in the video of a path with this number of cameras."""
        return (cameras - 1) * self.fps + 1 if self.seconds is None else max(2, round(self.seconds * self.fps))


@dataclass(frozen=True, eq=False)
class GenerationRequest:
    """A complete, valid request for one scene.

    Attributes:
        picture: The model's input image, RGB uint8 (height, width, 3), read-only; None for text only.
        text: Cleaned text, may be empty when there is a picture.
        cameras: One camera per frame, float32, any world frame; intrinsics relative to the output image.
        image_index: The frame that the picture belongs to.
        frames: Number of views.
        height: Rows of the output, a multiple of 32.
        width: Columns of the output, a multiple of 32.
        seed: Seed of all noise.
        video: How to render the video.
        path: Origin of the cameras, for display and for files.

    Raises:
        InputError: or a subclass: a field is outside its limits, or two fields contradict each other.
    """

    picture: Frame | None
    text: str
    cameras: Cameras
    image_index: int
    frames: int
    height: int
    width: int
    seed: int
    video: VideoSettings = field(default_factory=VideoSettings)
    path: PathOrigin = field(default_factory=PathOrigin)

    def __post_init__(self) -> None:
        _check_size(self.frames, self.height, self.width)
        if not isinstance(self.video, VideoSettings):
            raise InputError(f"video must be VideoSettings, got {echo(self.video)}")
        if not isinstance(self.cameras, Cameras) or len(self.cameras) != self.frames:
            raise TrajectoryError(f"cameras must be one a frame, {self.frames}, got {echo(self.cameras)}")
        checked: dict[str, object] = {name: int(getattr(self, name)) for name in ("frames", "height", "width")}
        checked["image_index"] = whole_number(self.image_index, "image_index", 0, self.frames - 1)
        checked["seed"] = whole_number(self.seed, "seed", 0, MAX_SEED)
        checked["text"] = text = clean_text(self.text)
        checked["cameras"] = checked_cameras(self.cameras)
        if self.picture is None and not text:
            raise PromptError("give a picture or a text: both are missing")
        if self.picture is not None:
            checked["picture"] = _checked_picture(self.picture, self.height, self.width)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        pictures = self.video.frame_count(self.frames)
        if self.video.enabled and pictures > MAX_VIDEO_FRAMES:
            raise InputError(
                f"video must have at most {MAX_VIDEO_FRAMES} frames, got {pictures}: lower fps or set seconds"
            )


def build_request(
    *,
    image: PictureSource | Photo | None = None,
    text: str | None = None,
    trajectory: PathSource = DEFAULT_TRAJECTORY,
    trajectory_params: Mapping[str, object] | None = None,
    image_index: int = 0,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    fov_y_deg: float | None = None,
    seed: int | None = None,
    video: VideoSettings | None = None,
    defaults: ModelConfig = FULL,
) -> GenerationRequest:
    """Check all inputs and fill in defaults.

    Args:
        image: A picture of any size and kind (see `read_picture`); its centre is cropped to the output.
        text: What the scene shows; may be omitted if there is a picture.
        trajectory: A preset's name, `Cameras` (intrinsics relative to the output), a list of `Keyframe`, or the parsed
            JSON of a path.
        trajectory_params: Parameters of the preset, plus `loop` and `easing`; for keyframes `mode` and `loop`.
        image_index: The frame that the picture belongs to.
        frames: Number of views; the model's default if None.
        height: Rows of the output. If `width` is None too: the model's default size, portrait or landscape like the picture.
        width: Columns of the output.
        fov_y_deg: Vertical field of view if the path has no intrinsics. None: the photo's own
            (EXIF), or 60 degrees.
        seed: Seed of all noise; None chooses one at random.
        video: How to render the video.
        defaults: The model's frames and size.

    Raises:
        InputError: or a subclass; one sentence that names the field or camera.
    """
    photo = image if isinstance(image, Photo) or image is None else read_picture(image)
    text = clean_text(text)
    if photo is None and not text:
        raise PromptError("give a picture or a text: both are missing")
    height, width = _output_size(photo, height, width, defaults)
    frames = whole_number(defaults.frames if frames is None else frames, "frames", MIN_FRAMES, MAX_FRAMES)
    _check_size(frames, height, width)
    picture, crop = prepare_picture(photo.pixels, height, width) if photo else (None, None)
    cameras, path = build_path(
        trajectory,
        trajectory_params or {},
        frames=frames,
        height=height,
        width=width,
        intrinsics=lens(fov_y_deg, photo, crop, height, width),
        picture_size=photo.pixels.shape[:2] if photo else None,
    )
    return GenerationRequest(
        picture=picture,
        text=text,
        cameras=cameras,
        image_index=image_index,
        frames=frames,
        height=height,
        width=width,
        seed=secrets.randbelow(MAX_SEED + 1) if seed is None else seed,
        video=video or VideoSettings(),
        path=path,
    )


def clean_text(text: str | None) -> str:
    """Remove invisible characters; see the module's description. Idempotent.

    Raises:
        PromptError: not a string, or longer than the encoder's limit.
    """
    if text is None:
        return ""
    if not isinstance(text, str):
        raise PromptError(f"text must be a string, got {echo(text)}")
    text = _INVISIBLE.sub("", _SPACES.sub(" ", text)).strip()
    if len(text) > MAX_PROMPT_CHARS:
        raise PromptError(f"text must have at most {MAX_PROMPT_CHARS} characters, got {len(text)}")
    return text


def _output_size(photo: Photo | None, height: object, width: object, defaults: ModelConfig) -> tuple[int, int]:
    if (height is None) != (width is None):
        raise InputError("height and width must be given together, got only one of them")
    if height is None:
        portrait = photo is not None and photo.pixels.shape[0] > photo.pixels.shape[1]
        sides = sorted((defaults.height, defaults.width), reverse=portrait)
        return sides[0], sides[1]
    return (
        whole_number(height, "height", MIN_SIDE_PX, MAX_SIDE_PX),
        whole_number(width, "width", MIN_SIDE_PX, MAX_SIDE_PX),
    )


def _check_size(frames: int, height: int, width: int) -> None:
    whole_number(frames, "frames", MIN_FRAMES, MAX_FRAMES)
    for name, value in (("height", height), ("width", width)):
        if whole_number(value, name, MIN_SIDE_PX, MAX_SIDE_PX) % SIZE_MULTIPLE:
            raise InputError(f"{name} must be a multiple of {SIZE_MULTIPLE}, got {value}")
    if frames * height * width > MAX_SCENE_PIXELS:
        raise InputError(
            f"frames x height x width must be at most {MAX_SCENE_PIXELS}, got {frames}x{height}x{width}: take fewer frames"
        )


def _checked_picture(picture: Frame, height: int, width: int) -> Frame:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape != (height, width, 3):
        raise ImageError(f"picture in a request must be uint8 of shape ({height}, {width}, 3)")
    picture = picture.copy() if picture.flags.writeable else picture
    picture.flags.writeable = False
    return picture
