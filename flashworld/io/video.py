"""Frames to a widely playable video (H.264 in MP4), or to a short looping animation (GIF, WebP).

Video: yuv420p with BT.709 colours and tags, `faststart` (the index is at the front, so that browsers start playing at
once). Frames are sent to the encoder one by one. yuv420p needs even sizes: the last column or row of an odd size is
repeated once. The encoder is that of imageio-ffmpeg. It is started here and not by `imageio_ffmpeg`
itself, whose writer neither reports a failed encoding nor passes on the encoder's messages.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, cast

import numpy as np

from flashworld import limits
from flashworld.checks import echo, file_name
from flashworld.device import usable_cores
from flashworld.errors import DependencyError, VideoError, WriteError
from flashworld.io.atomic import cannot_write, replacing, temporary_beside
from flashworld.types import Frame

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Quality = Literal["low", "medium", "high"]
CRF: dict[Quality, int] = {"low": 28, "medium": 23, "high": 18}
"""Constant rate factor of x264; 18 is considered visually lossless, and each 6 more halve the size."""
MAX_ENCODER_THREADS = 8
"""x264 would start 1.5 threads per core of the host, regardless of the process's share."""
TO_YUV = "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
COLOUR_TAGS = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
"""Without tags players guess the matrix from the frame height, and reds and greens shift."""
ENCODER_PREFIX = r"^(\[[^\]]* @ 0x[0-9a-f]+\] )+"
"""Prefix of the encoder's messages: component and memory address."""
ANIMATION_SUFFIXES = (".gif", ".webp")
GIF_COLOURS = 256
"""A palette for each frame by octree, without dithering: 1 ms per frame. Median cut is 1 to 2 dB better and takes 50 to
140 ms, dithering is 1 dB worse and the files are larger. WebP has better colours."""
WEBP_QUALITY = 80


def write_video(frames: Iterable[Frame], path: str | Path, *, fps: float, quality: Quality = "high") -> None:
    """Encode frames as they arrive; memory does not grow with their number.

    Args:
        frames: RGB images of one size, uint8, (H, W, 3). If the iterator raises, the encoder is stopped, no file is left
            and the exception is passed on.
        path: Where to; an existing file is replaced. The format is MP4 whatever the suffix.
        fps: Frames per second, 0.01 to 1000.
        quality: Size against fidelity, see `CRF`.

    Raises:
        VideoError: no frames, frames of different sizes, or an unknown quality or frame rate.
        WriteError: the file cannot be written, or the encoder failed; the message is the encoder's last.
        DependencyError: no encoder is installed.
    """
    name = file_name(path)
    shape, checked = _checked(frames, name)
    command = _command(shape, _rate(fps, name), quality, name)
    with temporary_beside(path) as temporary, _log(path) as log:
        with _encoder([*command, str(temporary.absolute())], log, path) as encoder:
            pipe = cast(IO[bytes], encoder.stdin)
            try:
                for frame in checked:
                    _send(frame, pipe)
                pipe.close()
            except BrokenPipeError:
                pass  # the encoder has ended; its exit code and last message say why
            code = encoder.wait()
        if code != 0:
            message = _last_message(log, code).replace(str(temporary.absolute()), name)
            raise WriteError(f"{name}: the video encoder failed: {message}")


def _checked(frames: Iterable[Frame], name: str) -> tuple[tuple[int, int], Iterator[Frame]]:
    """Height and width of the first frame, and all frames, each checked when it is consumed."""
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise VideoError(f"{name}: expected at least one frame, got none")

    def check(number: int, frame: Frame) -> Frame:
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            kind = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise VideoError(f"{name}: frame {number} must be uint8 (H, W, 3), got {kind}")
        if frame.shape != first.shape or 0 in frame.shape:
            raise VideoError(f"{name}: frame {number} must be of size {first.shape[:2]}, got {frame.shape[:2]}")
        return frame

    check(0, first)
    numbered = enumerate(itertools.chain([first], stream))
    return first.shape[:2], (check(number, frame) for number, frame in numbered)


def _rate(fps: float, name: str) -> Fraction:
    if not 0.01 <= fps <= 1000:
        raise VideoError(f"{name}: fps must be between 0.01 and 1000, got {fps}")
    return Fraction(float(fps)).limit_denominator(1001)


def _command(shape: tuple[int, int], rate: Fraction, quality: Quality, name: str) -> list[str]:
    """The encoder's command line, up to the output file."""
    if quality not in CRF:
        raise VideoError(f"{name}: quality must be one of {', '.join(CRF)}, got {quality!r}")
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        executable = get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise DependencyError(f"writing video needs an encoder: pip install imageio-ffmpeg ({error})") from error
    height, width = (side + side % 2 for side in shape)
    threads = min(MAX_ENCODER_THREADS, usable_cores())
    # fmt: off
    return [
        executable, "-hide_banner", "-nostdin", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}", "-framerate", str(rate),
        "-i", "pipe:0", "-an",
        "-vf", f"{TO_YUV},format=yuv420p,{COLOUR_TAGS}",
        "-c:v", "libx264", "-preset", "medium", "-crf", str(CRF[quality]), "-threads", str(threads),
        "-movflags", "+faststart", "-f", "mp4",
    ]
    # fmt: on


@contextlib.contextmanager
def _log(path: str | Path) -> Iterator[IO[bytes]]:
    """A temporary file for the encoder's messages: an unread pipe could fill up and block the encoder."""
    try:
        log = tempfile.TemporaryFile()
    except OSError as error:
        raise cannot_write(path, error) from error
    with log:
        yield log


@contextlib.contextmanager
def _encoder(command: list[str], log: IO[bytes], path: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running encoder, killed and reaped if the block ends first."""
    try:
        # its own session: Ctrl-C in a terminal reaches this program, which then stops the encoder
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        process.wait()


def _send(frame: Frame, pipe: IO[bytes]) -> None:
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    pipe.write(np.ascontiguousarray(frame).data)


def _last_message(log: IO[bytes], code: int) -> str:
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - 4096))
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    ending = f"stopped by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{re.sub(ENCODER_PREFIX, '', lines[-1])} ({ending})" if lines else ending


def write_animation(frames: Iterable[Frame], path: str | Path, *, fps: float) -> None:
    """Write a short animation that loops forever, as GIF or WebP by the suffix of `path`.

    All frames are held in memory, at most `limits.MAX_ANIMATION_PIXELS`. GIF has 256 colours per frame
    and times in hundredths of a second (browsers slow anything under 2 of them down).

    Raises:
        VideoError: no frames, too many, frames of different sizes, or an unknown frame rate.
        WriteError: unknown suffix, or the file cannot be written.
    """
    from PIL import Image

    name, suffix = file_name(path), Path(path).suffix.lower()
    if suffix not in ANIMATION_SUFFIXES:
        raise WriteError(f"{name}: an animation must end in {' or '.join(ANIMATION_SUFFIXES)}, got {echo(suffix)}")
    (height, width), checked = _checked(frames, name)
    rate = _rate(fps, name)
    pictures: list[Picture] = []
    for frame in checked:
        if (len(pictures) + 1) * height * width > limits.MAX_ANIMATION_PIXELS:
            raise VideoError(f"{name}: an animation may hold {limits.MAX_ANIMATION_PIXELS} pixels, this one has more")
        picture = Image.fromarray(frame)
        pictures.append(picture.quantize(GIF_COLOURS, Image.Quantize.FASTOCTREE) if suffix == ".gif" else picture)
    unit_ms = 10 if suffix == ".gif" else 1
    options: dict[str, Any] = {"optimize": False} if suffix == ".gif" else {"quality": WEBP_QUALITY, "method": 4}
    with replacing(path) as temporary:
        pictures[0].save(
            temporary, format=suffix[1:].upper(), save_all=True, append_images=pictures[1:], loop=0,
            duration=_durations_ms(len(pictures), rate, unit_ms), **options,
        )  # fmt: skip


def _durations_ms(count: int, rate: Fraction, unit_ms: int) -> list[int]:
    """Whole units per frame whose sum stays in sync: 24 fps in hundredths is 4, 4, 5, 4, 4, 4, ..."""
    ends = [round((number + 1) * 1000 / rate / unit_ms) for number in range(count)]
    return [max(1, end - start) * unit_ms for start, end in zip([0, *ends], ends, strict=False)]
