"""The model's crop: the centred part of an image that fills the output, and the change of intrinsics by it.

Cropping and the bicubic, antialiased resize are done by Pillow on 8-bit values, as in the original, so that the
image the network sees is the same to one grey level.

Source: crop rule of FlashWorld's reference code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from flashworld.io.images.reading import Photo
from flashworld.types import Frame, Intrinsics


@dataclass(frozen=True)
class Crop:
    """The centred part of an image that fills the output: cropped first, then resized.

    Attributes:
        x0: Left column of the crop, in image pixels.
        y0: Top row of the crop, in image pixels.
        width: Columns of the crop.
        height: Rows of the crop.
        scale: Output pixels per image pixel, the same in x and y.
    """

    x0: int
    y0: int
    width: int
    height: int
    scale: float

    def to_output_px(self, intrinsics_px: torch.Tensor) -> torch.Tensor:
        """Convert fx, fy, cx, cy from pixels of the whole image to pixels of the output. (..., 4)"""
        offset = intrinsics_px.new_tensor([0.0, 0.0, self.x0, self.y0])
        return (intrinsics_px - offset) * self.scale


def crop_box(picture_height: int, picture_width: int, height: int, width: int) -> Crop:
    """Find the centre crop of an image that fills height x width.

    The truncation towards zero is the original's: for some sizes it drops one row or column.

    Args:
        picture_height: Rows of the picture.
        picture_width: Columns of the picture.
        height: Rows of the output.
        width: Columns of the output.
    """
    scale = max(height / picture_height, width / picture_width)
    cut_height, cut_width = max(1, int(height / scale)), max(1, int(width / scale))
    return Crop((picture_width - cut_width) // 2, (picture_height - cut_height) // 2, cut_width, cut_height, scale)


def prepare_picture(pixels: Frame, height: int, width: int) -> tuple[Frame, Crop]:
    """Crop the centre of an image and resize it (bicubic, antialiased) to the model's input.

    Args:
        pixels: RGB, uint8, (h0, w0, 3).
        height: Rows of the output.
        width: Columns of the output.

    Returns:
        The output image, uint8 (height, width, 3), and the crop, which also converts intrinsics.
    """
    crop = crop_box(pixels.shape[0], pixels.shape[1], height, width)
    cut = Image.fromarray(pixels).crop((crop.x0, crop.y0, crop.x0 + crop.width, crop.y0 + crop.height))
    return np.asarray(cut.resize((width, height), Image.Resampling.BICUBIC)), crop


def photo_intrinsics(photo: Photo, crop: Crop, height: int, width: int) -> Intrinsics | None:
    """Intrinsics of the output picture from the photo's own focal length, centred; None when it has none. (4,)"""
    if photo.focal_px is None:
        return None
    focal = photo.focal_px * crop.scale
    return torch.tensor([focal / width, focal / height, 0.5, 0.5])
