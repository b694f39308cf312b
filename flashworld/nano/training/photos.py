"""Freely licensed photographs from Python packages, packed into one small file for training.

`python -m flashworld.nano.training.photos --out photos.npz` reads them from scikit-image and scikit-learn (whose wheels hold
them) and stores them as JPEG bytes, because the training machine may lack those packages. `HELD_OUT` are the
benchmark's eight held-out photographs.

Only images whose licence the installed wheel itself states are listed: scikit-image in the docstrings of
`skimage.data`, scikit-learn in `datasets/images/README.txt`.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)
MAX_SIDE_PX = 512
JPEG_QUALITY = 93


@dataclass(frozen=True)
class Photo:
    """Source of a photograph.

    Attributes:
        package: Import name of the package that holds it.
        path: Path inside the package.
        licence: Licence and author as stated by the package.
    """

    package: str
    path: str
    licence: str


HELD_OUT: dict[str, Photo] = {
    "astronaut": Photo("skimage", "data/astronaut.png", "public domain (NASA)"),
    "cat": Photo("skimage", "data/chelsea.png", "CC0 (Stefan van der Walt)"),
    "coffee": Photo("skimage", "data/coffee.png", "CC0 (Rachel Michetti)"),
    "rocket": Photo("skimage", "data/rocket.jpg", "public domain (SpaceX)"),
    "handwriting": Photo("skimage", "data/text.png", "public domain (Wikipedia, Corner.png)"),
    "clock": Photo("skimage", "data/clock_motion.png", "public domain (Stefan van der Walt)"),
    "china": Photo("sklearn", "datasets/images/china.jpg", "CC BY 2.0 (danielbuechele)"),
    "flower": Photo("sklearn", "datasets/images/flower.jpg", "CC BY 2.0 (vultilion)"),
}
TRAINING: dict[str, Photo] = {
    "brick": Photo("skimage", "data/brick.png", "CC0 (CC0Textures)"),
    "grass": Photo("skimage", "data/grass.png", "CC0 (linolafett)"),
    "gravel": Photo("skimage", "data/gravel.png", "CC0 (CC0Textures)"),
    "photographer": Photo("skimage", "data/camera.png", "CC0 (Lav Varshney)"),
    "coins": Photo("skimage", "data/coins.png", "no known copyright restrictions (Brooklyn Museum)"),
    "hubble": Photo("skimage", "data/hubble_deep_field.jpg", "public domain (NASA)"),
    "retina": Photo("skimage", "data/retina.jpg", "CC0 (Mikael Häggström)"),
    "tissue": Photo("skimage", "data/ihc.png", "no known copyright restrictions (CMMI)"),
    "cell": Photo("skimage", "data/cell.png", "CC0 (Paul Müller and others)"),
}


def read_photo(photo: Photo) -> Image.Image:
    """Open a photograph from its package, RGB.

    Raises:
        FileNotFoundError: the package is not installed or does not contain the file.
    """
    spec = importlib.util.find_spec(photo.package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{photo.path}: package {photo.package} is not installed")
    return Image.open(Path(spec.origin).parent / photo.path).convert("RGB")


def pack(path: Path) -> None:
    """Write every photograph, with sides of at most `MAX_SIDE_PX`, as JPEG bytes into one .npz."""
    parts = {}
    for group, photos in (("held_out", HELD_OUT), ("training", TRAINING)):
        for name, photo in photos.items():
            image = read_photo(photo)
            image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
            parts[f"{group}.{name}"] = np.frombuffer(buffer.getvalue(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **parts)
    log.info("%d photographs, %.2f MB, in %s", len(parts), path.stat().st_size / 1e6, path)


def unpack(path: Path, group: str) -> dict[str, Image.Image]:
    """Read the photographs of a split ("held_out" or "training") from `pack`'s file, RGB."""
    with np.load(path) as data:
        names = [name for name in data.files if name.startswith(f"{group}.")]
        return {name.split(".", 1)[1]: Image.open(io.BytesIO(data[name].tobytes())).convert("RGB") for name in names}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=pack.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pack(parser.parse_args().out)


if __name__ == "__main__":
    main()
