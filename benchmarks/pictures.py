"""Seconds and memory of reading a photograph of 24 megapixels, with and without a conversion of its colours.

    python -m benchmarks.pictures [--megapixels 24]

Each file is read in a separate process; the memory is that process's growth at its peak, pixels included.
"""

from __future__ import annotations

import argparse
import io
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.files import measured
from flashworld.io.images.hdr import decode_srgb
from flashworld.io.images.icc import D65, SRGB, Primaries, matrix_profile
from flashworld.io.images.reading import read_picture

P3 = Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)


def photograph(megapixels: float, seed: int = 0) -> Image.Image:
    """Smooth colours with a little noise, three to two."""
    height = round(math.sqrt(megapixels * 1e6 / 1.5))
    y, x = np.mgrid[0:height, 0 : height * 3 // 2]
    colours = np.stack([y // 16 % 256, x // 24 % 256, (x + y) // 40 % 256], axis=-1)
    noise = np.random.default_rng(seed).integers(-6, 7, colours.shape)
    return Image.fromarray(np.clip(colours + noise, 0, 255).astype(np.uint8))


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def files(megapixels: float) -> dict[str, bytes]:
    """Each case by its name."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    picture = photograph(megapixels)
    jpeg = {"quality": 90}
    return {
        "JPEG, no profile": encode(picture, "JPEG", **jpeg),
        "JPEG, sRGB profile": encode(picture, "JPEG", icc_profile=matrix_profile(SRGB, decode_srgb), **jpeg),
        "JPEG, Display P3 profile": encode(picture, "JPEG", icc_profile=matrix_profile(P3, decode_srgb), **jpeg),
        "HEIC, Display P3": encode(picture, "HEIF", quality=80, color_primaries=12, transfer_characteristics=13),
        "HEIC, PQ": encode(picture, "HEIF", quality=80, color_primaries=9, transfer_characteristics=16),
    }


def main() -> None:
    """Make the files, read each in a fresh process and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        data = options.read.read_bytes()
        read_picture(encode(Image.new("RGB", (64, 64)), "PNG"))  # so that importing the codecs is not counted
        figures = measured(lambda: read_picture(data))
        print(f"{figures['cpu_s']:8.2f}{figures['wall_s']:8.2f}{figures['peak_growth_mb']:9.0f}")
        return
    print(f"{'file':28}{'MB':>8}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files(options.megapixels).items():
            path = Path(folder) / "picture"
            path.write_bytes(data)
            words = [sys.executable, "-m", "benchmarks.pictures", "--read", str(path)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            print(f"{name:28}{len(data) / 1e6:8.1f}{done.stdout.rstrip()}", flush=True)


if __name__ == "__main__":
    main()
