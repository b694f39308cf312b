"""The rows of `docs/limits.md` about scene files: each broken in one way, read, and refused."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from docs.limits_row import Row
from flashworld import limits as at
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import read_scene, write_scene
from flashworld.io.scenes.ply_header import MAX_PROPERTIES
from flashworld.io.scenes.splat import MAX_EXTENT, ROW

FULL = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3"


def scene_rows(folder: Path) -> Iterator[Row]:
    """Scene files that are handed in."""

    def row(*args: Any, **more: Any) -> Row:  # noqa: ANN401
        return Row("Scene files", *args, **more)

    def file(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    def ply(count: int, columns: str = "x y z", body: bytes = b"") -> Path:
        names = "".join(f"property float {name}\n" for name in columns.split())
        head = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{names}end_header\n"
        return file("scene.ply", head.encode() + body)

    def header(*lines: str, columns: str = FULL, body: bytes = b"", form: str = "format ascii 1.0") -> object:
        """A PLY whose header holds further lines before its columns."""
        names = [f"property float {name}" for name in columns.split()]
        text = "\n".join(["ply", form, *lines, *names, "end_header", ""])
        return read_scene(file("scene.ply", text.encode() + body))

    def spz(version: int = 3, degree: int = 0, count: int = 3, records: bytes = b"") -> object:
        """An SPZ of zeros for three Gaussians."""
        head = struct.pack("<IIIBBBB", 0x5053474E, version, count, degree, 12, 2 if records else 0, 0)
        return read_scene(file("scene.spz", gzip.compress(head + bytes(3 * 20) + records)))

    def axes(content: bytes) -> bytes:
        """The record SPZ_ADOBE_coordinate_system."""
        return struct.pack("<II", 0xADBE0003, len(content)) + content

    def sparse() -> Path:
        with (folder / "scene.ply").open("wb") as target:
            target.truncate(at.MAX_SCENE_FILE_BYTES + 1)  # takes no disk
        return folder / "scene.ply"

    def device() -> Path:
        (folder / "folder.ply").mkdir(exist_ok=True)
        return folder / "folder.ply"

    def bomb() -> Path:
        header = struct.pack("<IIIBBBB", 0x5053474E, 3, at.MAX_GAUSSIANS, 2, 12, 0, 0)
        packed = gzip.compress(header + bytes(100_000))
        return file("scene.spz", packed.ljust(1024, b"\0"))  # one size whatever zlib makes of it

    def written(name: str) -> Path:
        write_scene(a_scene(), folder / name)
        return folder / name

    yield row(
        "name",
        ".ply, .compressed.ply, .spz, .sog, .splat; meta.json",
        lambda: read_scene(file("scene.obj", b"o")),
        lambda: read_scene(written("a.ply")),
    )
    yield row(
        "file", f"{at.MAX_SCENE_FILE_BYTES // 2**30} GiB", lambda: read_scene(sparse()), None, ("MAX_SCENE_FILE_BYTES",)
    )
    yield row(
        "Gaussians", f"1 to {at.MAX_GAUSSIANS:,}", lambda: read_scene(ply(at.MAX_GAUSSIANS + 1, FULL)), None,
        ("MAX_GAUSSIANS",),
    )  # fmt: skip
    yield row("PLY", "whole", lambda: read_scene(ply(1000, FULL)))
    yield row("PLY", "the columns of a Gaussian scene", lambda: read_scene(ply(1, "x y z", bytes(12))))
    yield row("file", "there, and readable", lambda: read_scene(folder / "none.ply"))
    yield row("file", "no folder, no device", lambda: read_scene(device()))
    yield row("numbers", "finite", lambda: read_scene(ply(1, FULL, np.full(14, np.nan, "<f4").tobytes())))
    yield row("rotations", "not zero", lambda: read_scene(ply(1, FULL, bytes(56))))
    one = "element vertex 1"
    yield row("PLY", "a header of at most 64 KiB", lambda: header("comment " + "c" * 70_000, one))
    yield row("PLY", "names its format once", lambda: header(one, form="comment"))
    yield row("PLY", "a header of known words", lambda: header("elephant", one))
    yield row("PLY", "properties of known types", lambda: header(one, "property half x"))
    yield row("PLY", "counts of at most 15 digits", lambda: header("element vertex ten"))
    yield row("PLY", "each property once an element", lambda: header(one, "property float x"))
    many = " ".join(f"c{n}" for n in range(MAX_PROPERTIES))
    yield row("PLY", f"{MAX_PROPERTIES} properties an element", lambda: header(one, columns=f"{FULL} {many}"))
    yield row("PLY", "an element `vertex`", lambda: header("element face 1"))
    yield row("PLY", "SH of degree 0 to 3", lambda: header(one, columns=f"{FULL} f_rest_0"))
    yield row("compressed PLY", "its columns", lambda: header("element chunk 1", "property float min_x", one))
    yield row(
        "PLY", "no lists before the vertices, unless ASCII",
        lambda: header("element face 1", "property list uchar int i", one, form="format binary_little_endian 1.0"),
    )  # fmt: skip
    yield row("PLY in ASCII", "numbers", lambda: header(one, body=b"a " * 14 + b"\n"))
    yield row("PLY in ASCII", "lines of 64 KiB", lambda: header(one, body=b"1" * 70_000))
    yield row("SPZ", "version 2, 3 or 4", lambda: read_scene(file("scene.spz", b"NGSP\5" + bytes(60))))
    yield row("SPZ", "whole", lambda: read_scene(file("scene.spz", written("b.spz").read_bytes()[:40])))
    yield row("SPZ", "gzip or Zstandard", lambda: read_scene(file("scene.spz", b"hello" * 9)))
    yield row("SPZ", "version 2, 3 or 4", lambda: spz(version=1))
    yield row("SPZ", "SH of degree 0 to 3", lambda: spz(degree=4))
    yield row("SPZ", "as many Gaussians as its header says", lambda: spz(count=4))
    yield row(
        "SPZ", f"above 64 MiB unpacked: at most {at.MAX_SPZ_RATIO} times the file", lambda: read_scene(bomb()), None,
        ("MAX_SPZ_RATIO",),
    )  # fmt: skip
    yield row(
        "SPZ that states its axes", "numbers 0 to 8", lambda: spz(records=axes(b"\x0c\0\0\0")),
        lambda: spz(records=axes(b"\x08\0\0\0")),
    )  # fmt: skip
    yield row("SPZ that states its axes", "in a whole record", lambda: spz(records=axes(b"\x06")))
    yield row("SPZ", "1 MiB of extensions", lambda: spz(records=bytes(2**20 + 1)), lambda: spz(records=bytes(8)))
    yield from packed_rows(row, file, written)
    yield row(".splat", "rows of 32 bytes", lambda: read_scene(file("scene.splat", bytes(33))))


def packed_rows(row: Any, file: Any, written: Any) -> Iterator[Row]:  # noqa: ANN401 - functions of the caller
    """Compressed PLY, SOG, SPZ 4, and .splat files that are none."""

    def changed(name: str, old: bytes, new: bytes) -> object:
        data = written(name).read_bytes()
        return read_scene(file(f"changed{name[1:]}", data.replace(old, new)))

    def sog(edit: Callable[[dict, dict], object]) -> object:
        with zipfile.ZipFile(written("a.sog")) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        meta = json.loads(parts["meta.json"])
        edit(meta, parts)
        with zipfile.ZipFile(file("scene.sog", b""), "w") as archive:
            for name, part in {**parts, "meta.json": json.dumps(meta)}.items():
                archive.writestr(name, part)
        return read_scene(folder_of(file) / "scene.sog")

    def unpacked(edit: Callable[[dict, Path], object]) -> object:
        place = folder_of(file) / "unpacked"
        shutil.rmtree(place, ignore_errors=True)
        with zipfile.ZipFile(written("a.sog")) as archive:
            archive.extractall(place)
        meta = json.loads((place / "meta.json").read_text())
        edit(meta, place)
        (place / "meta.json").write_text(json.dumps(meta))
        return read_scene(place / "meta.json")

    def folder_of(make: Any) -> Path:  # noqa: ANN401
        return make("scene.sog.part", b"").parent

    def webp(side: int, value: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGBA", (side, side), (value,) * 4).save(buffer, "WEBP", lossless=True, exact=True)
        return buffer.getvalue()

    def spz_4(streams: int = 6, plain: int = 27, body: bytes = b"") -> object:
        head = struct.pack("<IIIBBBBI12x", 0x5053474E, 4, 3, 2, 12, 0, streams, 32)
        return read_scene(
            file("four.spz", head + struct.pack("<QQ", len(body), plain) + struct.pack("<QQ", 0, 0) * 5 + body)
        )

    def splat(**fields: object) -> object:
        rows = np.zeros(20, dtype=ROW)
        rows["quat"] = [255, 128, 128, 128]
        for name, value in fields.items():
            rows[name] = value
        return read_scene(file("scene.splat", rows.tobytes()))

    packed = "a.compressed.ply"
    yield row("compressed PLY", "whole", lambda: read_scene(file("cut.ply", written(packed).read_bytes()[:-1])), lambda: read_scene(written(packed)))  # fmt: skip
    yield row(
        "compressed PLY",
        "a chunk for 256 Gaussians",
        lambda: changed(packed, b"element chunk 1\n", b"element chunk 2\n"),
    )
    yield row("compressed PLY", "SH of degree 0 to 3", lambda: changed(packed, b"property uchar f_rest_0\n", b""))
    yield row("compressed PLY", "binary", lambda: changed(packed, b"binary_little_endian", b"ascii"))
    yield row(
        "compressed PLY", "numbers of 32 bits", lambda: changed(packed, b"uint packed_scale", b"int packed_scale")
    )
    yield row("SOG", "a ZIP", lambda: read_scene(file("scene.sog", b"hello" * 9)), lambda: read_scene(written("a.sog")))
    yield row(
        "SOG", "a list of 64 KiB", lambda: sog(lambda m, p: p.update({"n" * 250 + str(i): b"" for i in range(400)}))
    )
    yield row("SOG", "version 2", lambda: sog(lambda m, p: m.update(version=1)))
    yield row("SOG", "positions within numbers", lambda: sog(lambda m, p: m["means"].update(maxs=[900, 0, 0])))
    yield row("SOG", "rotations of a known kind", lambda: sog(lambda m, p: p.update({"quats.webp": webp(4, 0)})))
    yield row(
        "SOG", "a palette that holds every label", lambda: sog(lambda m, p: p.update({"shN_labels.webp": webp(4, 255)}))
    )
    yield row("SOG", "a palette of its size", lambda: sog(lambda m, p: m["shN"].update(bands=1)))
    yield row("SOG", "objects in meta.json", lambda: sog(lambda m, p: m.update(means=7)))
    yield row("SOG", "numbers in meta.json", lambda: sog(lambda m, p: m["scales"].update(codebook=[1])))
    yield row("SOG", "a pixel a Gaussian", lambda: sog(lambda m, p: m.update(count=1000)))
    yield row("SOG", "names of its pictures", lambda: sog(lambda m, p: m["sh0"].update(files=7)))
    yield row("SOG", "pictures of its size", lambda: sog(lambda m, p: p.update({"sh0.webp": webp(1000, 0)})))
    yield row("SOG", "pictures inside", lambda: sog(lambda m, p: m["sh0"].update(files=["none.webp"])))
    yield row("SOG", "files of their size", lambda: sog(lambda m, p: p.update({"sh0.webp": bytes(5_000_000)})))
    what = "unpacked SOG"
    yield row(what, "pictures beside it", lambda: unpacked(lambda m, p: m["sh0"].update(files=["../sh0.webp"])))
    yield row(what, "pictures that exist", lambda: unpacked(lambda m, p: (p / "sh0.webp").unlink()))
    yield row(
        what,
        "pictures that are files",
        lambda: unpacked(lambda m, p: (p / "sh0.webp").replace(p / "x") and (p / "sh0.webp").mkdir()),
    )
    yield row(
        what, "files of their size", lambda: unpacked(lambda m, p: (p / "sh0.webp").write_bytes(bytes(5_000_000)))
    )
    yield row(what, "WebP pictures", lambda: unpacked(lambda m, p: (p / "sh0.webp").write_bytes(b"hello")))
    yield row("SPZ 4", "a stream a field", lambda: spz_4(streams=2))
    yield row("SPZ 4", "streams of their size", lambda: spz_4(plain=28))
    yield row("SPZ 4", "streams of Zstandard", lambda: spz_4(body=b"hello"))
    yield row(".splat", "not another format renamed", lambda: read_scene(file("scene.splat", b"ply\n" + bytes(28))))
    yield row(
        ".splat",
        f"positions and sizes within {MAX_EXTENT:g}",
        lambda: splat(mean=2 * MAX_EXTENT),
        lambda: splat(mean=MAX_EXTENT),
    )
    yield row(".splat", "rotations of length 1", lambda: splat(quat=7))


def a_scene() -> Gaussians:
    """Three grey Gaussians."""
    return Gaussians(
        torch.randn(3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0, 0, 0, 0]] * 3),
        torch.full((3, 3), 0.1), torch.full((3,), 0.5), torch.zeros(3, 9, 3),
    )  # fmt: skip
