"""The sections of an SPZ file, one per field, from packed bytes to a scene: the same in versions 2 to 4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from flashworld import limits
from flashworld.errors import SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.reading import SceneFile, check_count
from flashworld.io.scenes import spz_codec as codec
from flashworld.io.scenes.axes import AxisSigns

READ_ROWS = 1 << 16
BOMB_BYTES = 64 * 2**20
"""Below this a well-compressed file is not suspicious."""


class Section(NamedTuple):
    """One field: its output array, bytes per Gaussian, and decoder."""

    out: torch.Tensor
    packed: int
    unpack: Callable[[np.ndarray], np.ndarray]

    @property
    def size(self) -> int:
        """Bytes of the section."""
        return len(self.out) * self.packed

    def fill(self, stream: BinaryIO, name: str) -> None:
        """Decode the section at the current position of the stream.

        Raises:
            SceneFileError: the stream ends earlier.
        """
        for part in self.out.split(READ_ROWS):
            packed = np.frombuffer(exactly(stream, len(part) * self.packed, name), dtype=np.uint8)
            part.numpy()[:] = self.unpack(packed.reshape(len(part), self.packed))


@dataclass(frozen=True)
class Body:
    """Sections in file order, and the fields that they fill."""

    sections: tuple[Section, ...]
    means: torch.Tensor
    quats: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    sh: torch.Tensor

    def scene(self, signs: AxisSigns | None) -> Gaussians:
        """The scene, once every section is filled; its fields are those of the body, turned in place by `signs`."""
        sh = self.sh.unflatten(1, (-1, 3))
        if signs is not None:
            self.means.mul_(torch.from_numpy(signs.mean))
            self.quats.mul_(torch.from_numpy(signs.quat))
            sh.mul_(torch.from_numpy(signs.sh)[: sh.shape[1], None])
        return Gaussians(self.means, self.quats, self.scales, self.opacities[:, 0], sh)


def spz_body(version: int, count: int, degree: int, bits: int, source: SceneFile) -> Body:
    """Allocate a scene after checking the header.

    Args:
        version: 2, 3 or 4.
        count: Gaussians.
        degree: SH degree.
        bits: Fractional bits of positions.
        source: For the file's size and name.

    Raises:
        SceneFileError: degree, bits or count out of range, or more than a file of this size can contain.
    """
    if degree > 3 or bits > codec.MAX_FRACTIONAL_BITS:
        raise SceneFileError(f"{source.name}: SPZ header with SH degree {degree} and {bits} fractional bits")
    coefficients = (degree + 1) ** 2
    rotation = 3 if version == 2 else 4
    unpacked = check_count(count, source.name) * (13 + rotation + 3 * coefficients)
    if unpacked > BOMB_BYTES and unpacked > limits.MAX_SPZ_RATIO * source.size:
        raise SceneFileError(f"{source.name}: {source.size} bytes cannot hold {count} Gaussians")
    means, quats, scales, opacities, sh = (torch.empty(count, n) for n in (3, 4, 3, 1, 3 * coefficients))
    sections = (
        Section(means, 9, lambda packed: codec.unpack_positions(packed, bits)),
        Section(opacities, 1, codec.unpack_alphas),
        Section(sh[:, :3], 3, codec.unpack_colours),
        Section(scales, 3, codec.unpack_scales),
        Section(quats, rotation, codec.unpack_rotations_v2 if version == 2 else codec.unpack_rotations),
        *((Section(sh[:, 3:], sh.shape[1] - 3, codec.unpack_sh),) if degree else ()),
    )
    return Body(sections, means, quats, scales, opacities, sh)


def exactly(stream: BinaryIO, count: int, name: str) -> bytes:
    """The next `count` bytes.

    Raises:
        SceneFileError: there are fewer.
    """
    pieces, left = [], count
    while left and (piece := stream.read(left)):  # a decompressor may return less at a time
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise SceneFileError(f"{name}: the SPZ file ends before its last Gaussian")
    return b"".join(pieces)
