"""Targets: PLY, SPZ and .splat files; what is read is also written in every format, and sometimes rendered."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
import zstandard
from PIL import Image

from flashworld import limits
from flashworld.cameras import Cameras
from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import read_scene, write_scene
from flashworld.io.scenes.splat import ROW
from tests.fuzz.hostile import NUMBERS, damaged, damaged_bytes, json_bytes, scalar
from tests.fuzz.law import Case, check_sentence, leaves
from tests.fuzz.targets import Target

COLUMNS = [
    "x",
    "y",
    "z",
    "f_dc_0",
    "f_dc_1",
    "f_dc_2",
    "opacity",
    *(f"scale_{i}" for i in range(3)),
    *(f"rot_{i}" for i in range(4)),
]
VIEWS = Cameras(
    torch.tensor([[1.0, 0, 0, 0], [0.9, 0, 0.4, 0]]), torch.tensor([[0.0, 0, 2], [1, 0, 2]]),
    torch.tensor([[0.6, 0.9, 0.5, 0.5]] * 2),
)  # fmt: skip


def check_scene(scene: Gaussians) -> None:
    """What writers and renderers assume."""
    assert 1 <= len(scene) <= limits.MAX_GAUSSIANS
    for name in ("means", "quats_wxyz", "scales", "opacities", "sh"):
        values = getattr(scene, name)
        assert values.dtype == torch.float32 and bool(torch.isfinite(values).all()), name
    assert bool((scene.scales > 0).all()) and bool((scene.quats_wxyz != 0).any(dim=1).all())
    assert 0 <= float(scene.opacities.min()) and float(scene.opacities.max()) <= 1


def check_onward(rng: random.Random, folder: Path) -> object:
    """A check that also writes the scene to another file and reads it again, or renders it."""

    def check(scene: Gaussians) -> None:
        check_scene(scene)
        before = leaves(folder)
        target = folder / f"onward.{rng.choice(['ply', 'compressed.ply', 'spz', 'sog', 'splat'])}"
        try:
            write_scene(scene, target)
        except SceneError as error:
            check_sentence(str(error))
            assert leaves(folder) == before
        else:
            assert leaves(folder) == before | {target.name}
            check_scene(read_scene(target))
        if rng.random() < 0.2:
            from flashworld.rendering import render

            pictures = render(scene, VIEWS, 24, 32)
            assert bool(torch.isfinite(pictures.rgb).all())

    return check


def number(rng: random.Random, hostile: float) -> float:
    """An ordinary number or, with probability `hostile`, an extreme one."""
    value = rng.choice(NUMBERS) if rng.random() < hostile else rng.gauss(0, 1)
    return float(np.clip(float(value) if abs(value) < 1e300 or value != value else np.inf, -np.inf, np.inf))


def _ply(rng: random.Random, folder: Path) -> Case:
    """A PLY assembled from valid and invalid parts."""
    kind = rng.choice(["binary_little_endian", "binary_big_endian", "ascii"])
    higher = rng.choice([0, 0, 9, 24, 45] * 3 + [8, 46])
    names = [
        *COLUMNS,
        *(f"f_rest_{i}" for i in range(higher)),
        *rng.choice([[], ["nx", "ny", "nz"], ["extra"]] * 4 + [["x"]]),
    ]
    rng.shuffle(names)
    if rng.random() < 0.1:
        names.remove(rng.choice(names))
    types = {name: rng.choice(["float"] * 12 + ["double", "uchar", "int", "float32", "short"]) for name in names}
    rows = rng.choice([0, 1, 2, 2, 5, 50])
    claimed = rng.choice([rows] * 30 + [rows + 1, -1, 10**9, 16_000_000, 16_000_001, 10**20, "ten", ""])
    head = ["ply", f"format {kind} 1.0", f"element vertex {claimed}"]
    head += [f"property {types[name]} {name}" for name in names]
    if rng.random() < 0.15:
        head.insert(2, rng.choice(["comment " + "c" * rng.choice([10, 60_000, 3_000_000]), "obj_info \u00e9\x1b[0m", "element face 3",
                                   "element face 2\nproperty list uchar int vertex_indices", "nonsense \u202d", "property float lost",
                                   "element chunk 1\nproperty float min_x", "element \x1b 1000000000000\nproperty double d",
                                   "comment axes right-up-back", "format ascii 1.0"]))  # fmt: skip
    end = rng.choice(["\n"] * 8 + ["\r\n", "\r"])
    header = end.join([*head, "end_header"]) + end
    order = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}[kind]
    code = {"float": "f4", "float32": "f4", "double": "f8", "uchar": "u1", "int": "i4", "short": "i2"}
    table = np.zeros(rows, dtype=[(f"c{i}", order + code[types[name]]) for i, name in enumerate(names)])
    hostile = rng.choice([0, 0, 0.002, 0.1])
    with np.errstate(all="ignore"):
        for column in table.dtype.names or ():
            whole = table.dtype[column].kind in "iu"
            values = [rng.randrange(100) if whole else number(rng, hostile) for _ in range(rows)]
            table[column] = np.array(values, dtype=np.float64).astype(table.dtype[column])
    body = (
        table.tobytes()
        if kind != "ascii"
        else "\n".join(" ".join(str(v) for v in row) for row in table.tolist()).encode()
    )
    data = header.encode("utf-8") + body
    if rng.random() < 0.25:
        data = damaged_bytes(rng, data, headers=len(header))
    return _file(rng, folder, "a.ply", data)


def _file(rng: random.Random, folder: Path, name: str, data: bytes) -> Case:
    (folder / name).write_bytes(data)
    return Case(lambda: read_scene(folder / name), check_onward(rng, folder), (SceneFileError,))


@cache
def spz_body(degree: int, version: int) -> bytes:
    """The fields of 40 Gaussians, as arbitrary bytes."""
    return random.Random(0).randbytes(40 * (14 + version + 3 * (degree + 1) ** 2))


def extensions(rng: random.Random) -> bytes:
    """Extension records of an SPZ, some of them about its axes, some malformed."""
    pieces = []
    for _ in range(rng.choice([0, 0, 1, 2, 40])):
        content = rng.choice(
            [struct.pack("<I", rng.choice([*range(18), 2**32 - 1])), b"", rng.randbytes(12), bytes(2**20)]
        )
        length = len(content) if rng.random() < 0.9 else rng.choice([0, 3, 2**31, 2**32 - 1])
        pieces.append(struct.pack("<II", rng.choice([0xADBE0002, 0xADBE0003, 0xADBE0003, 0]), length) + content)
    return b"".join(pieces)


def _spz(rng: random.Random, folder: Path) -> Case:
    degree, version = rng.randrange(4), rng.choice([2, 3])
    fields = [0x5053474E, version, 40, degree, rng.choice([0, 12, 24]), rng.choice([0, 1, 2]), 0]
    if rng.random() < 0.4:
        place = rng.randrange(7)
        fields[place] = rng.choice(
            [0, 1, 4, 25, 39, 41, 255] if place > 2 else [0, 1, 39, 41, 16_000_000, 16_000_001, 2**32 - 1]
        )
    body = (
        struct.pack("<IIIBBBB", *fields)
        + spz_body(degree, version)
        + rng.choice([b"", extensions(rng), b"more", bytes(100_000)])
    )
    if rng.random() < 0.2:
        body = damaged_bytes(rng, body, headers=16)
    data = gzip.compress(body, rng.choice([0, 6]))
    if rng.random() < 0.3:
        data = damaged_bytes(rng, data, headers=20)
    if rng.random() < 0.1:
        data = rng.choice(
            [body, data + data, data + b"\0" * 99, b"NGSP" + body, gzip.compress(data), named(body), b"\x1f\x8b"]
        )
    return _file(rng, folder, "a.spz", data)


def named(body: bytes) -> bytes:
    """gzip with a file name of 200 kB in front."""
    buffer = io.BytesIO()
    with gzip.GzipFile("n" * 200_000, "wb", fileobj=buffer) as stream:
        stream.write(body)
    return buffer.getvalue()


@cache
def bomb(fill: bytes, megabytes: int) -> bytes:
    """A decompression bomb: an SPZ of one repeated byte."""
    rows = megabytes * 2**20 // 20
    return gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, rows, 0, 12, 0, 0) + fill * (rows * 20), 6)


def _bombs(rng: random.Random, folder: Path) -> Case:
    data = bytearray(bomb(rng.choice([b"\0", b"\xff"]), rng.choice([1, 20])))
    if rng.random() < 0.5:
        claimed = rng.choice([10_000_000, 16_000_000, 3_400_000])
        data = bytearray(
            gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, claimed, rng.randrange(4), 12, 0, 0) + bytes(10**6))
        )
    (folder / "a.spz").write_bytes(data)
    return Case(lambda: read_scene(folder / "a.spz"), check_scene, (SceneFileError,))


def _splat(rng: random.Random, folder: Path) -> Case:
    rows = np.zeros(rng.choice([0, 1, 30]), dtype=ROW)
    hostile = rng.choice([0, 0.005, 0.1])
    with np.errstate(all="ignore"):
        for row in rows:
            row["mean"] = [number(rng, hostile) for _ in range(3)]
            row["scale"] = [number(rng, hostile) for _ in range(3)]
            row["rgba"], row["quat"] = (
                list(rng.randbytes(4)),
                rng.choice([[128] * 4, [255, 128, 128, 128], [64, 190, 192, 192]]),
            )
        if len(rows) and rng.random() < 0.2:
            rows["quat"] = np.frombuffer(rng.randbytes(4 * len(rows)), np.uint8).reshape(-1, 4)
    data = rows.tobytes() + b"x" * rng.choice([0, 0, 0, 1, 31])
    return _file(rng, folder, "a.splat", damaged_bytes(rng, data) if rng.random() < 0.3 else data)


@cache
def written(suffix: str, degree: int) -> bytes:
    """A complete file of 60 Gaussians."""
    generator = torch.Generator().manual_seed(degree)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    scene = Gaussians(
        normal(60, 3), normal(60, 4), normal(60, 3).exp(), normal(60).sigmoid(), normal(60, (degree + 1) ** 2, 3)
    )
    with tempfile.TemporaryDirectory() as folder:
        write_scene(scene, Path(folder) / f"a{suffix}")
        return (Path(folder) / f"a{suffix}").read_bytes()


def _compressed_ply(rng: random.Random, folder: Path) -> Case:
    data = written(".compressed.ply", rng.randrange(4))
    if rng.random() < 0.9:
        data = damaged_bytes(rng, data, headers=rng.choice([900, 2500]))
    if rng.random() < 0.3:
        old, new = rng.choice([(b"chunk 1", b"chunk 9"), (b"vertex 60", b"vertex 61"), (b"sh 60", b"sh 7"), (b"uchar", b"float"),
                               (b"little", b"big"), (b"min_r", b"max_q"), (b"element sh", b"element sk")])  # fmt: skip
        data = data.replace(old, new)
    return _file(rng, folder, rng.choice(["a.ply", "a.compressed.ply"]), data)


def _sog(rng: random.Random, folder: Path) -> Case:
    """An SOG damaged as a ZIP, as JSON, or as pictures."""
    data = written(".sog", rng.randrange(4))
    kind = rng.randrange(4)
    if kind == 0:
        return _file(rng, folder, "a.sog", damaged_bytes(rng, data, headers=rng.choice([64, 2000])))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if kind == 1:
        meta = json.loads(parts["meta.json"])
        part = rng.choice([meta, *(value for value in meta.values() if isinstance(value, dict))])
        field = rng.choice(list(part))
        part[field] = damaged(rng, part[field]) if isinstance(part[field], list | dict) else scalar(rng)
        parts["meta.json"] = json_bytes(rng, meta)
    else:
        name = rng.choice(list(parts))
        size = (rng.choice([1, 8, 9, 300, 4000]), rng.choice([1, 8, 9, 300]))
        buffer = io.BytesIO()
        Image.effect_noise(size, 90).convert(rng.choice(["RGB", "RGBA", "L"])).save(
            buffer, rng.choice(["WEBP", "PNG", "BMP"])
        )
        parts[name] = buffer.getvalue() if rng.random() < 0.5 else damaged_bytes(rng, parts[name])
    if rng.random() < 0.2:
        parts[rng.choice(["../x", "a" * 3000, "meta.json2", "sh0.webp"])] = parts.pop(rng.choice(list(parts)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    ) as archive:
        for name, value in parts.items():
            archive.writestr(name, value)
    return _file(rng, folder, "a.sog", buffer.getvalue())


def _sog_folder(rng: random.Random, folder: Path) -> Case:
    """An unpacked SOG whose parts are damaged, missing, links, or named in ways that lead elsewhere."""
    with zipfile.ZipFile(io.BytesIO(written(".sog", rng.randrange(4)))) as archive:
        archive.extractall(folder)
    meta = json.loads((folder / "meta.json").read_bytes())
    part = rng.choice([value for value in meta.values() if isinstance(value, dict) and "files" in value])
    file = folder / rng.choice(sorted(file.name for file in folder.iterdir()))
    kind = rng.randrange(6)
    if kind == 0:
        file.write_bytes(damaged_bytes(rng, file.read_bytes(), headers=rng.choice([32, 2000])))
    elif kind == 1:
        names = ["../a", "/etc/passwd", "..", ".", "", "a\0b", "\ud800", "x" * 300, "a\\b", "meta.json", "C:a", 7, None]
        part["files"][rng.randrange(len(part["files"]))] = rng.choice(names)
        (folder / "meta.json").write_bytes(json_bytes(rng, meta))
    elif kind == 2:
        part["files"] = damaged(rng, part["files"])
        (folder / "meta.json").write_bytes(json_bytes(rng, meta))
    elif kind == 3:
        file.unlink()
    elif kind == 4:
        file.unlink()
        file.symlink_to(rng.choice(["/dev/zero", "/etc/passwd", file.name, "."]))
    else:
        file.unlink()
        file.mkdir()
    return Case(lambda: read_scene(folder / "meta.json"), check_scene, (SceneFileError,))


def _spz_4(rng: random.Random, folder: Path) -> Case:
    degree = rng.randrange(4)
    sizes = [9 * 40, 40, 3 * 40, 3 * 40, 4 * 40, 40 * 3 * ((degree + 1) ** 2 - 1)][: 6 if degree else 5]
    streams = [zstandard.ZstdCompressor(level=1).compress(rng.randbytes(size)) for size in sizes]
    if rng.random() < 0.3:
        which = rng.randrange(len(streams))
        streams[which] = rng.choice([damaged_bytes(rng, streams[which]), zstandard.compress(bytes(30_000_000)), b""])
    table = [list(pair) for pair in zip(map(len, streams), sizes, strict=True)]
    records = extensions(rng)
    fields = [0x5053474E, 4, 40, degree, 12, rng.choice([0, 2, 3]), len(sizes), 32 + len(records)]
    if rng.random() < 0.5:
        wrong = rng.choice([0, 1, 3, 41, 255])
        place = rng.randrange(8)
        fields[place] = wrong if place in (3, 4, 5, 6) else rng.choice([0, 5, 39, 16_000_000, 2**32 - 1])
    if rng.random() < 0.2:
        rng.choice(table)[rng.randrange(2)] = rng.choice([0, 1, 2**31, 2**63, 2**64 - 1])
    data = (
        struct.pack("<IIIBBBBI12x", *fields)
        + records
        + b"".join(struct.pack("<QQ", *pair) for pair in table)
        + b"".join(streams)
    )
    return _file(rng, folder, "a.spz", damaged_bytes(rng, data, headers=32) if rng.random() < 0.3 else data)


def _names(rng: random.Random, folder: Path) -> Case:
    """Names of no file, and files that are not scenes."""
    (folder / "folder.ply").mkdir()
    (folder / "link.ply").symlink_to("link.ply")
    (folder / "empty.spz").touch()
    (folder / "a\nb.ply").write_bytes(b"ply\n")
    names = ["folder.ply", "link.ply", "empty.spz", "a\nb.ply", "none.splat", "a\0.ply", "\ud800.ply", "x" * 300 + ".ply",
             "a.\x1b[31m", "a", "", ".", "\u202ea.obj", "a." + "y" * 9000]  # fmt: skip
    place = "/dev/zero" if rng.random() < 0.05 else f"{folder}/{rng.choice(names)}"
    return Case(lambda: read_scene(place), check_scene, (SceneFileError,))


TARGETS = (
    Target("scene, PLY", 24, _ply),
    Target("scene, SPZ", 14, _spz),
    Target("scene, SPZ bombs", 1, _bombs),
    Target("scene, .splat", 8, _splat),
    Target("scene, compressed PLY", 12, _compressed_ply),
    Target("scene, SOG", 12, _sog),
    Target("scene, unpacked SOG", 8, _sog_folder),
    Target("scene, SPZ 4", 10, _spz_4),
    Target("scene, names", 3, _names),
)
