"""Check that our scene files open in third-party viewers: upright, complete, and matching our own render.

    python -m benchmarks.viewers --out out/viewers [--only spark supersplat blender splat-transform]
    python -m docs.make_viewers out/viewers                                  # `make viewers` does both

Downloads three.js with Spark, SuperSplat's viewer and splat-transform from npm and Blender from PyPI, versions pinned,
into `build/viewers` (1.2 GB). Chromium renders on the CPU. Each image is compared with our own render from the same
camera. The exit code is 1 if a viewer shows a file in the wrong orientation, has another number of Gaussians, or differs
by more than is stated in LEAST_DB.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.formats import by_another_reader, measured_formats
from benchmarks.viewers.blender import blender
from benchmarks.viewers.browser import Shown, browser
from benchmarks.viewers.compare import orientation, psnr_db
from benchmarks.viewers.programs import BPY, blender_python, npm_packages, versions
from benchmarks.viewers.subject import EXAMPLE, Subject, load_subject, write_files
from benchmarks.viewers.viewers import SPARK_FORMATS, SUPERSPLAT_FORMATS, spark, supersplat

CACHE = Path(__file__).parents[2] / "build" / "viewers"
NAMES = ("spark", "spark-defaults", "supersplat", "blender", "splat-transform")
LEAST_DB = {"spark": 35.0, "spark-defaults": 35.0, "supersplat": 33.0, "blender": 18.0, "splat-transform": 20.0}
"""Blender draws opaque spheres; splat-transform's .splat has no view dependence; both are compared with the full render."""
PICTURE_OF = ".ply"
"""The format whose images are kept."""
WEBP = {"quality": 80, "method": 6}


def jobs(
    names: tuple[str, ...], subject: Subject, folder: Path, stack: ExitStack
) -> Iterator[tuple[str, str, Callable[[], Shown]]]:
    """The function that opens each format in each viewer."""
    packages = npm_packages(CACHE)
    web = stack.enter_context(browser(packages, folder))
    if "spark" in names:
        for suffix in SPARK_FORMATS:
            yield "spark", suffix, lambda suffix=suffix: spark(web, subject, suffix)
    if "spark-defaults" in names:
        yield "spark-defaults", ".ply", lambda: spark(web, subject, ".ply", {})
    if "supersplat" in names:
        for suffix in SUPERSPLAT_FORMATS:
            yield "supersplat", suffix, lambda suffix=suffix: supersplat(web, subject, suffix)
    if "blender" in names:
        python = blender_python(CACHE)
        yield "blender", ".ply", lambda: blender(python, subject, folder)


def checked(viewer: str, suffix: str, shown: Shown, subject: Subject) -> dict[str, Any]:
    """The figures of one viewer and one file."""
    expected = subject.plain_rgb if suffix == ".splat" else subject.rgb
    psnr, way = psnr_db(shown.rgb, expected), orientation(shown.rgb, expected)
    passed = way == "upright" and shown.count == len(subject.scene) and psnr >= LEAST_DB[viewer]
    return {
        "viewer": viewer, "format": suffix, "count": shown.count, "psnr_db": round(psnr, 1), "orientation": way, "passed": passed
    }  # fmt: skip


def splat_transform() -> Path:
    """Path of splat-transform's command line."""
    return npm_packages(CACHE) / "node_modules/@playcanvas/splat-transform/bin/cli.mjs"


def converted(subject: Subject, files: dict[str, Path]) -> Iterator[dict[str, Any]]:
    """What splat-transform reads from each file, rendered by us."""
    cli = splat_transform()
    for suffix, file in files.items():
        other = by_another_reader(cli, file, subject.scene, subject.camera, (subject.height, subject.width))
        passed = other.count == len(subject.scene) and other.psnr_db >= LEAST_DB["splat-transform"]
        yield {
            "viewer": "splat-transform", "format": suffix, "count": other.count, "psnr_db": round(other.psnr_db, 1), "passed": passed
        }  # fmt: skip


def main() -> int:
    """Run the viewers and write figures and images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/viewers"))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    subject, folder = load_subject(), options.out / "files"
    folder.mkdir(parents=True, exist_ok=True)
    files = write_files(subject, folder)
    Image.fromarray(subject.rgb).save(options.out / "ours.webp", **WEBP)
    rows = []
    print(f"{EXAMPLE.parent.name}: {len(subject.scene):,} Gaussians, {subject.height} x {subject.width}")
    with ExitStack() as stack:
        for viewer, suffix, show in jobs(tuple(options.only), subject, folder, stack):
            shown = show()
            rows.append(checked(viewer, suffix, shown, subject))
            print(rows[-1], flush=True)
            if suffix == PICTURE_OF:
                Image.fromarray(shown.rgb).save(options.out / f"{viewer}.webp", **WEBP)
    report: dict[str, Any] = {"example": EXAMPLE.parent.name, "gaussians": len(subject.scene)}
    if "splat-transform" in options.only:
        for row in converted(subject, files):
            rows.append(row)
            print(row, flush=True)
        report["sizes"] = measured_formats(cli=splat_transform())
    report |= {"viewers": rows, "versions": {**versions(), "bpy": BPY}}
    (options.out / "viewers.json").write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(row["passed"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
