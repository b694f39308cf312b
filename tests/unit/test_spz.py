"""SPZ files: round trips to the stated precision, agreement with an independent library, damaged and hostile files."""

from __future__ import annotations

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flashworld import limits
from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import spz, spz_codec
from flashworld.io.scenes.chunks import CHUNK_ROWS
from flashworld.io.scenes.spz import read_spz, write_spz
from tests.rotations import rotation_error

FIELDS = ("means", "quats_wxyz", "scales", "opacities", "sh")


def assert_precision(found: Gaussians, scene: Gaussians, position: float) -> None:
    """Within what the table in `spz` states."""
    slack = 1e-6
    assert (found.means - scene.means).abs().max() <= position + slack
    assert (found.opacities - scene.opacities).abs().max() <= 1 / 510 + slack
    assert (found.sh[:, 0] - scene.sh[:, 0].clamp(-10 / 3, 10 / 3)).abs().max() <= 0.0131
    higher = torch.cat([torch.zeros(1), (found.sh[:, 1:] - scene.sh[:, 1:].clamp(-1, 127 / 128)).flatten()])
    assert higher.abs().max() <= 1 / 256 + slack
    assert (found.scales.log() - scene.scales.log()).abs().max() <= 1 / 32 + 1e-5


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip_keeps_the_stated_precision(degree, make_scene, tmp_path):
    scene = make_scene(count=3000, degree=degree)
    write_spz(scene, tmp_path / "a.spz")
    found = read_spz(tmp_path / "a.spz")
    bits = spz_codec.fitting_fractional_bits(float(scene.means.abs().max()))
    assert found.sh_degree == degree
    assert_precision(found, scene, position=2.0 ** -(bits + 1))
    assert rotation_error(found.quats_wxyz, scene.quats_wxyz) < 0.0021
    torch.testing.assert_close(found.quats_wxyz.norm(dim=1), torch.ones(len(scene)))


def test_second_round_trip_changes_nothing(make_scene, tmp_path):
    write_spz(make_scene(), tmp_path / "a.spz", fractional_bits=12)
    write_spz(read_spz(tmp_path / "a.spz"), tmp_path / "b.spz", fractional_bits=12)
    first, second = (gzip.decompress((tmp_path / name).read_bytes()) for name in ("a.spz", "b.spz"))
    changed = np.frombuffer(first, np.uint8) != np.frombuffer(second, np.uint8)
    assert changed.mean() < 1e-3  # a rotation whose two largest components are equal may swap them


def test_writing_is_deterministic(make_scene, tmp_path):
    for name in ("a.spz", "b.spz"):
        write_spz(make_scene(), tmp_path / name)
    assert (tmp_path / "a.spz").read_bytes() == (tmp_path / "b.spz").read_bytes()


def test_round_trip_over_several_slices(make_scene, tmp_path):
    scene = make_scene(count=2 * CHUNK_ROWS + 3, degree=1)
    write_spz(scene, tmp_path / "a.spz")
    assert_precision(read_spz(tmp_path / "a.spz"), scene, position=1e-5)


@pytest.mark.parametrize("extent", [1e-3, 0.4, 1.0, 7.9, 100.0, 2047.9, 5000.0, 4e6])
def test_fractional_bits_fit_the_scene(extent, make_scene, tmp_path):
    scene = make_scene(count=64)
    scene.means.mul_(extent / scene.means.abs().max())
    write_spz(scene, tmp_path / "a.spz")
    bits = gzip.decompress((tmp_path / "a.spz").read_bytes())[13]
    assert 1 <= bits <= 24
    assert extent * 2**bits < 2**23
    assert bits == 24 or extent * 2 ** (bits + 1) > 2**23 - 2  # one more would not fit
    error = (read_spz(tmp_path / "a.spz").means - scene.means).abs().max()
    assert error <= 2.0 ** -(bits + 1) * 1.001


def test_positions_that_cannot_fit_are_refused(make_scene, tmp_path):
    scene = make_scene()
    scene.means[5, 1] = -1e7
    with pytest.raises(SceneError, match="24 bits"):
        write_spz(scene, tmp_path / "a.spz")
    with pytest.raises(SceneError, match="30 fractional bits"):
        write_spz(make_scene(), tmp_path / "a.spz", fractional_bits=30)
    scene.means[5, 1] = float("nan")
    with pytest.raises(SceneError, match="means of the scene must be finite"):
        write_spz(scene, tmp_path / "a.spz")
    with pytest.raises(SceneError, match="no Gaussians"):
        write_spz(make_scene()[:0], tmp_path / "a.spz")
    assert list(tmp_path.iterdir()) == []


def test_values_out_of_range_are_clamped(make_scene, tmp_path):
    scene = make_scene(count=2)
    scene.sh[0] = 50.0
    scene.sh[1] = -50.0
    scene.scales[0] = torch.tensor([0.0, 1e-9, 1e9])
    scene.opacities[:] = torch.tensor([0.0, 1.0])
    write_spz(scene, tmp_path / "a.spz")
    found = read_spz(tmp_path / "a.spz")
    torch.testing.assert_close(found.sh[:, 0, 0], torch.tensor([3.3333, -3.3333]), rtol=1e-4, atol=0)
    torch.testing.assert_close(found.sh[:, 3, 2], torch.tensor([127 / 128, -1.0]))
    torch.testing.assert_close(found.scales[0], torch.tensor([4.54e-5, 4.54e-5, 379.0]), rtol=1e-3, atol=0)
    assert found.opacities.tolist() == [0.0, 1.0]


def as_linear(data) -> dict[str, np.ndarray]:
    """The independent library's scene in our conventions."""
    sh = data.sh0[:, None] if data.shN is None else np.concatenate([data.sh0[:, None], data.shN], axis=1)
    return {
        "means": data.means, "scales": np.exp(data.scales), "quats_wxyz": data.quats,
        "opacities": 1 / (1 + np.exp(-data.opacities)), "sh": sh,
    }  # fmt: skip


def assert_agree(found: Gaussians, other: dict[str, np.ndarray]) -> None:
    for field in ("means", "scales", "opacities", "sh"):
        np.testing.assert_allclose(getattr(found, field), other[field], rtol=2e-6, atol=2e-6)
    assert rotation_error(found.quats_wxyz, torch.from_numpy(np.ascontiguousarray(other["quats_wxyz"]))) < 1e-5


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_independent_reader_sees_the_same_scene(degree, gsply, make_scene, tmp_path):
    write_spz(make_scene(count=1000, degree=degree), tmp_path / "a.spz")
    assert_agree(read_spz(tmp_path / "a.spz"), as_linear(gsply.read_spz(tmp_path / "a.spz")))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_independent_writer_is_read(degree, gsply, make_scene, tmp_path):
    scene = make_scene(count=1000, degree=degree)
    data = gsply.GSData.from_arrays(
        means=scene.means.numpy(), scales=scene.scales.log().numpy(), quats=scene.quats_wxyz.numpy(),
        opacities=torch.logit(scene.opacities).numpy(), sh0=scene.sh[:, 0].numpy(),
        shN=scene.sh[:, 1:].numpy() if degree else None, format="ply",
    )  # fmt: skip
    gsply.write_spz(tmp_path / "a.spz", data, version=3, fractional_bits=12)
    assert_agree(read_spz(tmp_path / "a.spz"), as_linear(gsply.read_spz(tmp_path / "a.spz")))
    write_spz(scene, tmp_path / "b.spz", fractional_bits=12)
    ours, theirs = (
        np.frombuffer(gzip.decompress((tmp_path / n).read_bytes()), np.uint8).astype(int) for n in ("b.spz", "a.spz")
    )
    same = ours == theirs
    assert same.mean() > 0.999  # halves are rounded to even here, away from zero there


def packed(version: int, scene_bytes: bytes, count: int, degree: int, bits: int = 12, magic: int = 0x5053474E) -> bytes:
    return struct.pack("<IIIBBBB", magic, version, count, degree, bits, 0, 0) + scene_bytes


def test_version_2_is_read_as_the_independent_reader_does(gsply, tmp_path):
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-0.55, 0.55, (500, 3))
    body = rng.integers(0, 256, 500 * 16, dtype=np.uint8).tobytes()
    body += np.rint(xyz * 127.5 + 127.5).astype(np.uint8).tobytes()
    body += rng.integers(0, 256, 500 * 24, dtype=np.uint8).tobytes()
    (tmp_path / "a.spz").write_bytes(gzip.compress(packed(2, body, 500, 2)))
    assert_agree(read_spz(tmp_path / "a.spz"), as_linear(gsply.read_spz(tmp_path / "a.spz")))


def test_all_bit_patterns_of_rotations_give_unit_quaternions():
    codes = np.random.default_rng(0).integers(0, 256, (20_000, 4), dtype=np.uint8)
    for quats in (spz_codec.unpack_rotations(codes), spz_codec.unpack_rotations_v2(codes[:, :3])):
        np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, rtol=1e-5)


def test_difficult_rotations_round_trip():
    root = np.sqrt(0.5)
    quats = np.array(
        [[1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 0, -3], [0.5, -0.5, 0.5, -0.5], [root, 0, -root, 0], [1e-9, 1e-9, 0, 0]],
        dtype=np.float32,
    )
    found = torch.from_numpy(spz_codec.unpack_rotations(spz_codec.pack_rotations(quats)))
    assert rotation_error(found, torch.from_numpy(quats)) < 0.0021


def test_memory_use_is_bounded(make_scene, tmp_path):
    scene = make_scene(count=400_000)
    tracemalloc.start()
    try:
        write_spz(scene, tmp_path / "a.spz")
        assert tracemalloc.get_traced_memory()[1] < 15e6
        tracemalloc.reset_peak()
        read_spz(tmp_path / "a.spz")
        assert tracemalloc.get_traced_memory()[1] < 25e6
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def good_bytes(make_scene, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "a.spz"
    write_spz(make_scene(count=30, degree=1), path)
    return path.read_bytes()


def inner(edit):
    """An edit of the decompressed bytes."""
    return lambda data: gzip.compress(edit(gzip.decompress(data)))


HOSTILE = {
    "empty": (lambda d: b"", "1 to"),
    "not gzip": (lambda d: b"hello" * 10, "not gzip"),
    "empty gzip": (lambda d: gzip.compress(b""), "ends before"),
    "header alone": (lambda d: gzip.compress(gzip.decompress(d)[:16]), "ends before"),
    "cut": (lambda d: d[:-30], "damaged"),
    "cut inside": (inner(lambda b: b[:-1]), "ends before"),
    "checksum": (lambda d: d[:-8] + b"abcdefgh", "damaged"),
    "magic": (inner(lambda b: b"NOPE" + b[4:]), "expected an SPZ file"),
    "version 1": (inner(lambda b: b[:4] + b"\x01" + b[5:]), "version 2, 3 or 4, got"),
    "version 5": (lambda d: b"NGSP\x05" + bytes(200), "version 2, 3 or 4, got version 5"),
    "degree": (inner(lambda b: b[:12] + b"\x04" + b[13:]), "SH degree 4"),
    "bits": (inner(lambda b: b[:13] + b"\xff" + b[14:]), "255 fractional bits"),
    "no Gaussians": (inner(lambda b: b[:8] + bytes(4) + b[12:]), "got 0"),
    "too many": (inner(lambda b: b[:8] + b"\xff\xff\xff\xff" + b[12:]), "got 4294967295"),
    "lying count": (inner(lambda b: b[:8] + struct.pack("<I", 15_000_000) + b[12:]), "cannot hold"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence_within_little_memory(case, good_bytes, tmp_path):
    make, words = HOSTILE[case]
    (tmp_path / "a.spz").write_bytes(make(good_bytes))
    tracemalloc.start()
    try:
        with pytest.raises(SceneFileError, match=words) as caught:
            read_spz(tmp_path / "a.spz")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_decompression_bomb_is_refused_without_decompressing_it(tmp_path):
    count = limits.MAX_GAUSSIANS
    (tmp_path / "a.spz").write_bytes(gzip.compress(packed(3, bytes(count * 20), count, 0), compresslevel=1))
    assert (tmp_path / "a.spz").stat().st_size < 3e6
    tracemalloc.start()
    try:
        with pytest.raises(SceneFileError, match="cannot hold 16000000"):
            read_spz(tmp_path / "a.spz")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    (tmp_path / "b.spz").write_bytes(gzip.compress(gzip.compress(bytes(10**7))))  # gzip in gzip is not unpacked twice
    with pytest.raises(SceneFileError, match="expected an SPZ"):
        read_spz(tmp_path / "b.spz")


def test_bytes_after_the_body_are_ignored_unless_a_flag_announces_extensions(good_bytes, tmp_path):
    (tmp_path / "a.spz").write_bytes(gzip.compress(gzip.decompress(good_bytes) + bytes(10**6)))
    assert len(read_spz(tmp_path / "a.spz")) == 30


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=3),
    inside=st.booleans(),
    cut=st.integers(0, 10**6),
)
def test_damaged_files_give_a_scene_or_a_scene_file_error(edits, inside, cut, good_bytes, tmp_path):
    data = bytearray(gzip.decompress(good_bytes) if inside else good_bytes)
    for position, new in edits:
        start = position % len(data) if position % 2 else position % 20
        data[start : start + len(new)] = new
    if cut % 4 == 0:
        del data[cut % len(data) :]
    (tmp_path / "a.spz").write_bytes(gzip.compress(bytes(data), compresslevel=1) if inside else data)
    try:
        scene = read_spz(tmp_path / "a.spz")
    except SceneFileError as error:
        assert "\n" not in str(error)
    else:
        assert all(torch.isfinite(getattr(scene, field)).all() for field in FIELDS)


def test_header_is_sixteen_bytes():
    assert spz.HEADER.size == 16


def test_huge_values_are_clamped_without_warnings(make_scene, tmp_path):
    scene = make_scene(4, degree=1)
    scene.sh[0], scene.sh[1] = 3e38, -3e38
    scene.quats_wxyz[2:] = torch.tensor([3e30, 0.0, 4e30, 0.0])
    with np.errstate(all="raise"):
        write_spz(scene, tmp_path / "a.spz")
    found = read_spz(tmp_path / "a.spz")
    assert found.sh[0, 0].tolist() == pytest.approx([10 / 3] * 3) and found.sh[1, 1].tolist() == [-1.0] * 3
    assert found.quats_wxyz[3].tolist() == pytest.approx([0.6, 0.0, 0.8, 0.0], abs=2e-3)
