"""Compressed PLY, SOG and SPZ 4: round trips to the stated precision, files of other programs, and malformed files."""

from __future__ import annotations

import errno
import gzip
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from PIL import Image

from flashworld.errors import SceneError, SceneFileError, WriteError
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import read_scene, scene_bytes, write_scene
from flashworld.io.scenes.codebooks import nearest_value, value_codebook, vector_palette
from flashworld.io.scenes.compressed_ply import AT_ONCE
from flashworld.io.scenes.morton import morton_order
from tests.rotations import rotation_error

DATA = Path(__file__).parent / "data"


def matched(found: Gaussians, scene: Gaussians) -> Gaussians:
    """Gaussians of `found` in the order of `scene`, which files may change."""
    return found[torch.cdist(scene.means, found.means).argmin(dim=1)]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_compressed_ply_keeps_the_stated_precision(degree, make_scene, tmp_path):
    scene = make_scene(count=1000, degree=degree)
    write_scene(scene, tmp_path / "a.compressed.ply")
    found = matched(read_scene(tmp_path / "a.compressed.ply"), scene)
    assert found.sh_degree == degree
    extent = (scene.means.amax(0) - scene.means.amin(0)).max()
    assert (found.means - scene.means).abs().max() <= extent / 2046
    assert (found.opacities - scene.opacities).abs().max() <= 1 / 510 + 1e-6
    assert (found.scales.log() - scene.scales.log()).abs().max() < 0.003
    assert rotation_error(found.quats_wxyz, scene.quats_wxyz) < 0.0025
    assert (found.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.02
    assert degree == 0 or (found.sh[:, 1:] - scene.sh[:, 1:]).abs().max() <= 1 / 64 + 1e-6


def test_compressed_ply_of_many_slices_and_one_gaussian(make_scene, tmp_path):
    for count in (1, 256, 257, AT_ONCE + 1):
        write_scene(make_scene(count=count, degree=1), tmp_path / "a.compressed.ply")
        assert len(read_scene(tmp_path / "a.compressed.ply")) == count


def test_compressed_ply_is_read_by_another_library(make_scene, tmp_path):
    import gsply

    scene = make_scene(count=500)
    write_scene(scene, tmp_path / "a.compressed.ply")
    theirs = gsply.plyread(str(tmp_path / "a.compressed.ply"))
    ours = read_scene(tmp_path / "a.compressed.ply")
    np.testing.assert_allclose(theirs.means * [1, -1, -1], ours.means, atol=1e-5)
    np.testing.assert_allclose(theirs.scales, ours.scales.log(), atol=1e-5)
    np.testing.assert_allclose(theirs.sh0, ours.sh[:, 0], atol=1e-4)
    assert rotation_error(torch.from_numpy(theirs.quats) * torch.tensor([1, 1, -1, -1]), ours.quats_wxyz) < 1e-4


@pytest.mark.parametrize("suffix", [".compressed.ply", ".spz", ".sog"])
def test_files_of_splat_transform_are_read(suffix):
    """Written by PlayCanvas' splat-transform 3.7.0 from the PLY beside them."""
    scene = read_scene(DATA / "splat_transform.ply")
    found = read_scene(DATA / f"splat_transform{suffix}")
    if suffix == ".spz":  # that program copies PLY's numbers into SPZ, whose axes differ
        flip = torch.tensor([1.0, -1, -1])
        found = Gaussians(found.means * flip, found.quats_wxyz * torch.tensor([1.0, 1, -1, -1]), found.scales,
                          found.opacities, found.sh[:, :1])  # fmt: skip
    found = matched(found, scene)
    assert len(found) == len(scene) == 60
    assert (found.means - scene.means).abs().max() < 0.004
    assert rotation_error(found.quats_wxyz, scene.quats_wxyz) < 0.01
    assert (found.scales.log() - scene.scales.log()).abs().max() < 0.04
    assert (found.opacities - scene.opacities).abs().max() < 0.005
    assert (found.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.03
    if (
        suffix == ".sog"
    ):  # its palette holds only 32 vectors: this checks each coefficient's position and sign, not its precision
        for k in range(1, 9):
            both = torch.stack([found.sh[:, k].flatten(), scene.sh[:, k].flatten()])
            assert torch.corrcoef(both)[0, 1] > 0.75
    elif suffix != ".spz":
        assert (found.sh[:, 1:] - scene.sh[:, 1:]).abs().max() < 0.02


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_sog_keeps_the_stated_precision(degree, make_scene, tmp_path):
    scene = make_scene(count=1000, degree=degree)
    write_scene(scene, tmp_path / "a.sog")
    found = matched(read_scene(tmp_path / "a.sog"), scene)
    assert found.sh_degree == degree
    assert (found.means - scene.means).abs().max() < 5e-4
    assert (found.opacities - scene.opacities).abs().max() <= 1 / 510 + 1e-6
    assert (found.scales.log() - scene.scales.log()).abs().max() < 0.02
    assert rotation_error(found.quats_wxyz, scene.quats_wxyz) < 0.01
    assert (found.sh[:, 0] - scene.sh[:, 0]).abs().max() < 0.03
    if degree:  # noise, the worst case for a palette
        error = (found.sh[:, 1:] - scene.sh[:, 1:]).square().mean() / scene.sh[:, 1:].square().mean()
        assert error < 0.5


def test_sog_is_deterministic_and_holds_the_files_of_the_specification(make_scene, tmp_path):
    for name in ("a.sog", "b.sog"):
        write_scene(make_scene(), tmp_path / name)
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        names = set(archive.namelist())
        meta = json.loads(archive.read("meta.json"))
        with Image.open(io.BytesIO(archive.read("quats.webp"))) as image:
            alpha = np.asarray(image)[..., 3].reshape(-1)[:200]
    assert names == {"meta.json", *(f"{n}.webp" for n in (
        "means_l", "means_u", "quats", "scales", "sh0", "shN_centroids", "shN_labels"))}  # fmt: skip
    assert meta["version"] == 2 and meta["count"] == 200 and len(meta["sh0"]["codebook"]) == 256
    assert set(alpha) <= {252, 253, 254, 255}


def test_positions_outside_sogs_range_leave_no_file(make_scene, tmp_path):
    scene = make_scene()
    scene.means[3, 1] = 1e36
    with pytest.raises(SceneError, match="must lie within"):
        write_scene(scene, tmp_path / "a.sog")
    assert list(tmp_path.iterdir()) == []


def edited(edit):
    """An edit applied to the parts of a SOG file."""

    def make(data: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        meta = json.loads(parts["meta.json"])
        edit(meta, parts)
        parts.setdefault("meta.json", b"")
        if parts["meta.json"]:
            parts["meta.json"] = json.dumps(meta).encode()
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
        return buffer.getvalue()

    return make


def webp(width: int, height: int, value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height), (value,) * 4).save(buffer, "WEBP", lossless=True, exact=True)
    return buffer.getvalue()


HOSTILE_SOG = {
    "no zip": (lambda d: b"hello" * 9, "damaged or not a ZIP"),
    "cut": (lambda d: d[:-40], "damaged or not a ZIP"),
    "no meta": (edited(lambda m, p: p.update({"meta.json": b""})), "meta.json: not JSON"),
    "version 1": (edited(lambda m, p: m.pop("version")), "of version 2, got 1"),
    "count": (edited(lambda m, p: m.update(count=10**9)), "count must be a whole number from 1 to"),
    "more than pixels": (edited(lambda m, p: m.update(count=5000)), "fewer pixels than"),
    "no means": (edited(lambda m, p: m.pop("means")), "means must be an object"),
    "codebook": (edited(lambda m, p: m["scales"].update(codebook=[1, 2])), "codebook of scales must be 256 numbers"),
    "word": (edited(lambda m, p: m["means"].update(mins=["a", 0, 0])), "mins of means must be a number"),
    "far": (edited(lambda m, p: m["means"].update(maxs=[0, 0, 900])), "beyond all numbers"),
    "path": (edited(lambda m, p: m["sh0"].update(files=["../../etc/passwd"])), "holds no"),
    "no files": (edited(lambda m, p: m["sh0"].update(files=7)), "files of sh0 must be names"),
    "rotations": (edited(lambda m, p: p.update({"quats.webp": webp(16, 16)})), "of an unknown kind"),
    "huge picture": (edited(lambda m, p: p.update({"sh0.webp": webp(2000, 2000)})), "too large for"),
    "not a picture": (edited(lambda m, p: p.update({"sh0.webp": b"hello"})), "damaged or not a ZIP"),
    "labels": (edited(lambda m, p: p.update({"shN_labels.webp": webp(16, 16, 255)})), "its palette lacks"),
    "palette": (edited(lambda m, p: m["shN"].update(bands=1)), "palette of the SOG file has a size"),
    "long list": (edited(lambda m, p: p.update({f"{'n' * 200}{i}": b"" for i in range(400)})), "got a list of"),
}


@pytest.mark.parametrize("case", HOSTILE_SOG)
def test_hostile_sog_files_are_refused_in_one_sentence(case, make_scene, tmp_path):
    make, words = HOSTILE_SOG[case]
    write_scene(make_scene(), tmp_path / "good.sog")
    (tmp_path / "a.sog").write_bytes(make((tmp_path / "good.sog").read_bytes()))
    with pytest.raises(SceneFileError, match=words) as caught:
        read_scene(tmp_path / "a.sog")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def unpacked(archive: Path, folder: Path) -> Path:
    """The files of a SOG in a folder; returns the meta.json."""
    with zipfile.ZipFile(archive) as files:
        files.extractall(folder)
    return folder / "meta.json"


def test_unpacked_sog_holds_the_files_of_the_packed_one(make_scene, tmp_path):
    scene = make_scene(count=300, degree=2)
    write_scene(scene, tmp_path / "a.sog")
    (tmp_path / "folder").mkdir()
    write_scene(scene, tmp_path / "folder" / "meta.json")
    unpacked(tmp_path / "a.sog", tmp_path / "from zip")
    contents = [
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("folder", "from zip")
    ]
    assert len(contents[0]) == 8 and contents[0] == contents[1]
    found, packed = read_scene(tmp_path / "folder" / "meta.json"), read_scene(tmp_path / "a.sog")
    assert all(torch.equal(getattr(found, field), getattr(packed, field)) for field in ("means", "quats_wxyz", "sh"))
    assert scene_bytes(tmp_path / "folder" / "meta.json") == sum(map(len, contents[0].values()))
    assert scene_bytes(tmp_path / "a.sog") == (tmp_path / "a.sog").stat().st_size


def test_unpacked_sog_replaces_another_atomically(make_scene, tmp_path, monkeypatch):
    write_scene(make_scene(count=100, degree=1, seed=1), tmp_path / "meta.json")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    real, written = Path.write_bytes, []

    def full_disk(file: Path, data: bytes) -> int:
        written.append(file)
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(WriteError, match="cannot be written: No space left"):
            write_scene(make_scene(count=120, degree=1, seed=2), tmp_path / "meta.json")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    write_scene(make_scene(count=120, degree=1, seed=2), tmp_path / "meta.json")
    assert len(read_scene(tmp_path / "meta.json")) == 120 and len(list(tmp_path.iterdir())) == len(before)


def changed(file: Path, edit) -> None:
    meta = json.loads(file.read_text())
    edit(meta)
    file.write_text(json.dumps(meta))


HOSTILE_FOLDERS = {
    "no picture": (lambda f: (f / "quats.webp").unlink(), "there is no 'quats.webp' beside it"),
    "up": (lambda f: changed(f / "meta.json", lambda m: m["sh0"].update(files=["../secret.webp"])), "must lie beside"),
    "absolute": (lambda f: changed(f / "meta.json", lambda m: m["sh0"].update(files=["/etc/passwd"])), "must lie beside"),
    "dots": (lambda f: changed(f / "meta.json", lambda m: m["sh0"].update(files=[".."])), "must lie beside"),
    "nul": (lambda f: changed(f / "meta.json", lambda m: m["sh0"].update(files=["a\0"])), "there is no"),
    "itself": (lambda f: changed(f / "meta.json", lambda m: m["sh0"].update(files=["."])), "must be a file|must lie beside"),
    "link": (lambda f: (f / "sh0.webp").rename(f / "x") and (f / "sh0.webp").symlink_to(f / "x"), "got a folder, link"),
    "folder": (lambda f: (f / "sh0.webp").unlink() or (f / "sh0.webp").mkdir(), "got a folder, link"),
    "large": (lambda f: (f / "sh0.webp").write_bytes(bytes(3 * 2**20)), "must have at most"),
    "damaged": (lambda f: (f / "sh0.webp").write_bytes(b"RIFFhello"), "damaged or not a WebP picture"),
    "not JSON": (lambda f: (f / "meta.json").write_text("{"), "not JSON"),
    "large JSON": (lambda f: (f / "meta.json").write_bytes(b" " * (2**20 + 1)), "must have at most"),
    "another JSON": (lambda f: (f / "meta.json").write_text('{"lods": []}'), "expected a SOG file of version 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_FOLDERS)
def test_hostile_sog_folders_are_refused_in_one_sentence(case, make_scene, tmp_path):
    (tmp_path / "secret.webp").write_bytes(webp(16, 16))
    write_scene(make_scene(), tmp_path / "good.sog")
    meta = unpacked(tmp_path / "good.sog", tmp_path / "sog")
    spoil, words = HOSTILE_FOLDERS[case]
    spoil(meta.parent)
    with pytest.raises(SceneFileError, match=words) as caught:
        read_scene(meta)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def spz_4(data: bytes, **changes: object) -> bytes:
    """An SPZ file of version 3 rewritten as version 4."""
    body = gzip.decompress(data)
    magic, _, count, degree, bits, flags, _ = struct.unpack_from("<IIIBBBB", body)
    sizes = [9 * count, count, 3 * count, 3 * count, 4 * count, 3 * count * ((degree + 1) ** 2 - 1)][
        : 6 if degree else 5
    ]
    at, streams = 16, []
    for size in sizes:
        streams.append(zstandard.ZstdCompressor(level=1).compress(body[at : at + size]))
        at += size
    fields = {
        "version": 4,
        "count": count,
        "degree": degree,
        "bits": bits,
        "streams": len(sizes),
        "table": 32,
    } | changes
    head = struct.pack("<IIIBBBBI12x", magic, fields["version"], fields["count"], fields["degree"], fields["bits"], flags,
                       fields["streams"], fields["table"])  # fmt: skip
    table = b"".join(struct.pack("<QQ", len(s), n) for s, n in zip(streams, sizes, strict=True))
    return head + bytes(int(fields["table"]) - 32 if int(fields["table"]) > 32 else 0) + table + b"".join(streams)  # type: ignore[call-overload]


@pytest.mark.parametrize("degree", [0, 2])
@pytest.mark.parametrize("table", [32, 50])
def test_spz_4_reads_as_version_3_does(degree, table, make_scene, tmp_path):
    write_scene(make_scene(degree=degree), tmp_path / "a.spz")
    (tmp_path / "b.spz").write_bytes(spz_4((tmp_path / "a.spz").read_bytes(), table=table))
    three, four = read_scene(tmp_path / "a.spz"), read_scene(tmp_path / "b.spz")
    for field in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        assert torch.equal(getattr(three, field), getattr(four, field)), field


HOSTILE_SPZ_4 = {
    "version": (lambda d: spz_4(d, version=9), "got version 9"), "degree": (lambda d: spz_4(d, degree=4), "SH degree 4"),
    "streams": (lambda d: spz_4(d, streams=2), "cannot hold 2 streams"),
    "table": (lambda d: spz_4(d, table=7), "cannot hold 6 streams"),
    "count": (lambda d: spz_4(d, count=199), "a size that does not fit"),
    "many": (lambda d: spz_4(d, count=15_000_000), "cannot hold 15000000"),
    "cut": (lambda d: spz_4(d)[:-5], "a size that does not fit"), "header": (lambda d: spz_4(d)[:20], "ends before"),
    "damaged": (lambda d: spz_4(d)[:128] + b"abcd" + spz_4(d)[132:], "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_SPZ_4)
def test_hostile_spz_4_files_are_refused(case, make_scene, tmp_path):
    make, words = HOSTILE_SPZ_4[case]
    write_scene(make_scene(), tmp_path / "a.spz")
    (tmp_path / "b.spz").write_bytes(make((tmp_path / "a.spz").read_bytes()))
    with pytest.raises(SceneFileError, match=words):
        read_scene(tmp_path / "b.spz")


HOSTILE_COMPRESSED = {
    "cut": (lambda d: d[:-1], "too short"),
    "count": (lambda d: d.replace(b"element vertex 200", b"element vertex 999"), "do not fit 999"),
    "no scale": (lambda d: d.replace(b"packed_scale", b"packed_other"), "no column 'packed_scale'"),
    "half of the colours' bounds": (lambda d: d.replace(b"float min_g", b"float min_q"), "no column 'min_g'"),
    "types": (lambda d: d.replace(b"uint packed_color", b"float packed_color"), "must be of type uint"),
    "sh": (lambda d: d.replace(b"property uchar f_rest_23\n", b""), "9, 24 or 45 bytes"),
    "bounds": (
        lambda d: d[: d.index(b"end_header") + 11] + b"\xff" * 4 + d[d.index(b"end_header") + 15 :],
        "min_x must be finite",
    ),
    "ascii": (lambda d: d.replace(b"binary_little_endian", b"ascii"), "must be binary"),
}


@pytest.mark.parametrize("case", HOSTILE_COMPRESSED)
def test_hostile_compressed_ply_files_are_refused(case, make_scene, tmp_path):
    make, words = HOSTILE_COMPRESSED[case]
    write_scene(make_scene(), tmp_path / "a.compressed.ply")
    (tmp_path / "b.ply").write_bytes(make((tmp_path / "a.compressed.ply").read_bytes()))
    with pytest.raises(SceneFileError, match=words):
        read_scene(tmp_path / "b.ply")


def test_z_order_visits_every_gaussian_and_keeps_neighbours_close(make_scene):
    points = make_scene(count=3000).means
    order, means = morton_order(points).numpy(), points.numpy()
    assert sorted(order) == list(range(3000))
    steps = np.linalg.norm(np.diff(means[order], axis=0), axis=1).mean()
    assert steps < 0.25 * np.linalg.norm(np.diff(means, axis=0), axis=1).mean()
    assert morton_order(torch.ones(4, 3)).tolist() == [0, 1, 2, 3]


def test_codebooks_are_near_their_values():
    values = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    book = value_codebook(values)
    assert (np.diff(book) >= 0).all() and len(book) == 256
    assert np.abs(book[nearest_value(values, book)] - values).max() < 0.04
    assert np.square(book[nearest_value(values, book)] - values).mean() < (np.ptp(values) / 256) ** 2 / 12
    assert set(value_codebook(np.full(9, 2.5))) == {2.5}


def test_palette_entries_are_group_means_with_a_small_error():
    vectors = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    palette, group = vector_palette(vectors, 8)
    assert palette.shape == (256, 3) and group.max() < 256
    assert np.square(vectors - palette[group]).mean() < 0.06 * np.square(vectors).mean()
    for index in np.unique(group)[:20]:
        np.testing.assert_allclose(palette[index], vectors[group == index].mean(axis=0), atol=1e-5)
