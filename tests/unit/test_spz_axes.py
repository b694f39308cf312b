"""SPZ files that state their own axes: the scene is turned to right, up, back, or refused; never read as something else."""

from __future__ import annotations

import gzip
import struct

import pytest
import torch
import zstandard

from flashworld.cameras import quat_to_matrix
from flashworld.errors import SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.scenes.spz import read_spz, write_spz

COORDINATES, ORBIT = 0xADBE0003, 0xADBE0002
NAMES = {1: "LDB", 2: "RDB", 3: "LUB", 4: "RUB", 5: "LDF", 6: "RDF", 7: "LUF", 8: "RUF"}
DIRECTIONS = {"R": 1.0, "L": -1.0, "U": 1.0, "D": -1.0, "B": 1.0, "F": -1.0}


def record(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


def axes(code: int) -> bytes:
    return record(COORDINATES, struct.pack("<I", code))


@pytest.fixture
def save(make_scene, tmp_path):
    """A function (version, records) -> the path of an SPZ of one fixed scene of SH degree 3 that carries them."""
    write_spz(make_scene(count=50, degree=3), tmp_path / "plain.spz")
    data = gzip.decompress((tmp_path / "plain.spz").read_bytes())

    def make(version: int, records: bytes, flags: int = 2):
        if version == 3:
            made = gzip.compress(data[:14] + bytes([flags]) + data[15:] + records)
        else:
            sizes, at, streams = [50 * width for width in (9, 1, 3, 3, 4, 45)], 16, []
            for size in sizes:
                streams.append(zstandard.compress(data[at : at + size]))
                at += size
            head = struct.pack("<IIIBBBBI12x", 0x5053474E, 4, 50, 3, data[13], flags, 6, 32 + len(records))
            table = b"".join(struct.pack("<QQ", len(s), n) for s, n in zip(streams, sizes, strict=True))
            made = head + records + table + b"".join(streams)
        (tmp_path / "made.spz").write_bytes(made)
        return tmp_path / "made.spz"

    return make


def covariances(scene: Gaussians) -> torch.Tensor:
    half = quat_to_matrix(scene.quats_wxyz) * scene.scales[:, None]
    return half @ half.mT


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("code", NAMES)
def test_stated_axes_turn_centres_shapes_and_colours(version, code, save, evaluate_sh):
    stored = read_spz(save(version, b"", flags=0))
    found = read_spz(save(version, record(ORBIT, bytes(12)) + axes(code) + record(1, b"")))
    turn = torch.diag(torch.tensor([DIRECTIONS[letter] for letter in NAMES[code]]))
    torch.testing.assert_close(found.means, stored.means @ turn)
    torch.testing.assert_close(covariances(found), turn @ covariances(stored) @ turn)
    directions = torch.nn.functional.normalize(torch.randn(50, 3), dim=1)
    torch.testing.assert_close(evaluate_sh(found.sh, directions), evaluate_sh(stored.sh, directions @ turn))
    assert torch.equal(found.scales, stored.scales) and torch.equal(found.opacities, stored.opacities)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("records", "flags"),
    [
        (b"", 2), (axes(0), 2), (axes(4), 2), (axes(6), 0), (axes(6), 1), (record(ORBIT, bytes(12)), 2),
        (record(7, b"a" * 900), 3), (axes(4) + axes(6), 2), (b"\1\2\3", 2), (struct.pack("<II", 1, 2**32 - 1) + axes(6), 2),
    ],
)  # fmt: skip
def test_other_files_keep_right_up_back(version, records, flags, save):
    plain, found = read_spz(save(version, b"", flags=0)), read_spz(save(version, records, flags))
    for field in ("means", "quats_wxyz", "sh"):
        assert torch.equal(getattr(found, field), getattr(plain, field))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(
    ("records", "words"),
    [
        (axes(9), "states its axes as number 9"), (axes(16), "states its axes as number 16"),
        (axes(2**32 - 1), "states its axes as number 4294967295"),
        (record(COORDINATES, b"\6"), "cut short"), (axes(6)[:-1], "cut short"),
        (record(7, bytes(2**20)), "at most 1048576 bytes of extensions"),
    ],
)  # fmt: skip
def test_axes_that_cannot_be_read_are_refused(version, records, words, save):
    with pytest.raises(SceneFileError, match=words) as caught:
        read_spz(save(version, records))
    assert "\n" not in str(caught.value)


def test_checksum_is_verified_after_the_records(save):
    path = save(3, axes(6))
    data = path.read_bytes()
    path.write_bytes(data[:-8] + bytes([data[-8] ^ 1]) + data[-7:])
    with pytest.raises(SceneFileError, match="damaged"):
        read_spz(path)
