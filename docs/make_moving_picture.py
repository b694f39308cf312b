"""Write `docs/images/scenes.webp`, the README's moving picture, from the results shipped with the examples.

    python -m docs.make_moving_picture

One column an example: the photograph that was given above, the video of the scene made from it below. The videos run
forwards and backwards, so that the loop has no jump. Run it again whenever `examples/*/result` change.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from flashworld.io.request_json import load_request_file
from flashworld.io.video import write_animation
from flashworld.nano.sizes import NANO
from flashworld.types import Frame

ROOT = Path(__file__).parents[1]
TARGET = Path(__file__).parent / "images" / "scenes.webp"
EXAMPLES = ("coffee", "dahlia", "pagoda")
"""Of one size and one length of video."""
MAX_BYTES = 1_500_000
SECONDS = 4.0
"""From the first picture of the videos to the last."""
STRIDES = range(2, 7)
"""Every how manyth picture is taken: the first that stays within `MAX_BYTES`."""
GAP_PX = 6
WHITE = 255


def video_frames(path: Path) -> Iterator[Frame]:
    """Pictures of a video file, uint8 (H, W, 3)."""
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    for data in reader:
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def column(name: str) -> Iterator[Frame]:
    """An example's photograph above each picture of its video."""
    folder = ROOT / "examples" / name
    photo = np.asarray(load_request_file(folder, defaults=NANO).picture)
    gap = np.full((GAP_PX, photo.shape[1], 3), WHITE, np.uint8)
    for frame in video_frames(folder / "result" / "video.mp4"):
        yield np.concatenate([photo, gap, frame])


def frames() -> Iterator[Frame]:
    """The pictures of one pass, uint8 (H, W, 3).

    Raises:
        ValueError: the examples' videos differ in length or size.
    """
    for columns in zip(*(column(name) for name in EXAMPLES), strict=True):
        gap = np.full((columns[0].shape[0], GAP_PX, 3), WHITE, np.uint8)
        yield np.concatenate([part for picture in columns for part in (gap, picture)][1:], axis=1)


def there_and_back(pictures: list[Frame]) -> list[Frame]:
    """The pictures forwards, then backwards without the two ends."""
    return [*pictures, *pictures[-2:0:-1]]


def main() -> None:
    """Write the file.

    Raises:
        SystemExit: it is too large even with the fewest pictures.
    """
    pictures = list(frames())
    for stride in STRIDES:
        taken = pictures[::stride]
        write_animation(there_and_back(taken), TARGET, fps=(len(taken) - 1) / SECONDS)
        if TARGET.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{TARGET.name} must have at most {MAX_BYTES} bytes, got {TARGET.stat().st_size}")


if __name__ == "__main__":
    main()
