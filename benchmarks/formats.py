"""Size of one scene in every format, and its PSNR along the scene's path.

    python -m benchmarks.formats [--scene FILE --path path.json] [--splat-transform bin/cli.mjs] [--json]

PSNR is that of the scene read back against the scene in the PLY, over views of the path, by this machine's renderer. With
the command line of npm's @playcanvas/splat-transform each file is also read by that program, written as PLY, and compared, as
an independent reader. `light` is a scene reduced to a fraction of its Gaussians (`flashworld.lighten`), compared on other views
of the path than those it was optimised for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import SCENE_SUFFIXES, read_scene, write_scene
from flashworld.light_views import split_views
from flashworld.lighten import lighten, psnr_along
from flashworld.trajectories.json_forms import parse_trajectory

EXAMPLE = Path(__file__).parents[1] / "examples" / "coffee" / "result"
VIEWS = 6
VIEWERS = Path(__file__).parents[1] / "docs" / "viewers.json"
"""Figures of `benchmarks.viewers`."""
INDEPENDENT = ("splat-transform", "spark", "supersplat", "blender")
LIGHT_PARTS = (2, 4, 8)
TURNED_BY_OTHERS = (".spz",)
"""splat-transform interprets SPZ's numbers in PLY's axes, which are rotated by half a turn about x."""


def turned(scene: Gaussians) -> Gaussians:
    """Half a turn about x, for SH of degree 0."""
    flip = torch.tensor([1.0, -1.0, -1.0])
    return Gaussians(
        scene.means * flip,
        scene.quats_wxyz * torch.tensor([1.0, 1, -1, -1]),
        scene.scales,
        scene.opacities,
        scene.sh[:, :1],
    )


def unrounded(scene: Gaussians, seed: int = 0) -> Gaussians:
    """A scene from an SPZ file with random offsets within SPZ's quantisation steps: otherwise SPZ would be lossless here."""
    generator = torch.Generator().manual_seed(seed)

    def spread(values: torch.Tensor, step: float) -> torch.Tensor:
        return (torch.rand(values.shape, generator=generator) - 0.5) * step

    sh = torch.cat(
        [scene.sh[:, :1] + spread(scene.sh[:, :1], 0.026), scene.sh[:, 1:] + spread(scene.sh[:, 1:], 1 / 128)], dim=1
    )
    return Gaussians(
        scene.means + spread(scene.means, 1e-5),
        torch.nn.functional.normalize(scene.quats_wxyz + spread(scene.quats_wxyz, 0.0028), dim=1),
        scene.scales * spread(scene.scales, 1 / 16).exp(),
        (scene.opacities + spread(scene.opacities, 1 / 255)).clamp(0, 1),
        sh,
    )


@dataclass(frozen=True)
class OtherReading:
    """What another program reads from a file: the number of Gaussians, and its PSNR against the scene in dB."""

    count: int
    psnr_db: float


def by_another_reader(cli: Path, file: Path, scene: Gaussians, views: Cameras, size: tuple[int, int]) -> OtherReading:
    """What splat-transform reads from a file, which it writes as PLY for us."""
    target = file.parent / "theirs.ply"
    words = ["node", str(cli), "-w", "-q", str(file), str(target)]
    subprocess.run(words, check=True, capture_output=True)
    found = read_scene(target)
    if file.suffix in TURNED_BY_OTHERS:
        found, scene = (
            turned(found),
            Gaussians(scene.means, scene.quats_wxyz, scene.scales, scene.opacities, scene.sh[:, :1]),
        )
    return OtherReading(len(found), psnr_along(scene, found, views, *size))


def largest(scene: Gaussians, count: int) -> Gaussians:
    """The Gaussians that cover most, by opacity times area: what dropping alone, without merging, would keep."""
    cover = scene.opacities * scene.scales.topk(2, dim=1).values.prod(dim=1)
    return scene[cover.topk(count).indices.sort().values]


def measured_formats(
    scene_file: Path = EXAMPLE / "scene.spz", path_file: Path = EXAMPLE / "path.json", cli: Path | None = None
) -> dict[str, Any]:
    """Bytes and PSNR of a scene in every format, and of light editions of it.

    Args:
        scene_file: The scene.
        path_file: The cameras from which it is compared.
        cli: splat-transform's command line, to read each file independently.
    """
    data = json.loads(path_file.read_text())
    size = tuple(data["image_size"])
    path = parse_trajectory(data, height=size[0], width=size[1], fov_y_deg=60.0).cameras
    views = path[:: max(1, len(path) // VIEWS)]
    scene = read_scene(scene_file)
    scene = unrounded(scene) if scene_file.suffix == ".spz" else scene
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_scene(scene, Path(folder) / "scene.ply")
        scene = read_scene(Path(folder) / "scene.ply")
        for suffix in SCENE_SUFFIXES:
            file = Path(folder) / f"scene{suffix}"
            write_scene(scene, file)
            row = {
                "format": suffix,
                "bytes": file.stat().st_size,
                "psnr_db": psnr_along(scene, read_scene(file), views, *size),
            }
            if cli:
                row["other_reader_db"] = by_another_reader(cli, file, scene, views, size).psnr_db
            rows.append(row)
        split = split_views(path, VIEWS, VIEWS)
        for part in LIGHT_PARTS:
            light, file = lighten(scene, len(scene) // part, split.optimised), Path(folder) / "light.spz"
            write_scene(light, file)
            row = {"format": f"light 1/{part}, .spz", "bytes": file.stat().st_size}
            row["psnr_db"] = psnr_along(scene, read_scene(file), split.compared, *size)
            row["dropping_db"] = psnr_along(scene, largest(scene, len(light)), split.compared, *size)
            rows.append(row)
    return {
        "gaussians": len(scene),
        "sh_degree": scene.sh_degree,
        "views": len(views),
        "light_views": len(split.compared),
        "height": size[0],
        "width": size[1],
        "formats": rows,
    }


def read_by(suffix: str) -> list[str]:
    """The programs that opened a file of this format correctly when `make viewers` was last run."""
    if not VIEWERS.is_file():
        return []
    rows = json.loads(VIEWERS.read_text())["viewers"]
    return [row["viewer"] for row in rows if row["format"] == suffix and row["passed"] and row["viewer"] in INDEPENDENT]


def main() -> None:
    """Write every format, read it back and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, default=EXAMPLE / "scene.spz")
    parser.add_argument("--path", type=Path, default=EXAMPLE / "path.json")
    parser.add_argument("--splat-transform", type=Path, metavar="CLI", help="its bin/cli.mjs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    report = measured_formats(options.scene, options.path, options.splat_transform)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    count = report["gaussians"]
    print(
        f"{count:,} Gaussians, SH degree {report['sh_degree']}, {report['views']} views of {report['height']} x {report['width']}, "
        f"light ones on {report['light_views']} others"
    )
    print(f"{'format':20}{'MB':>8}{'bytes each':>12}{'PSNR dB':>9}{'by splat-transform':>20}  read by")
    for row in report["formats"]:
        other = f"{row['other_reader_db']:20.1f}" if "other_reader_db" in row else " " * 20
        print(
            f"{row['format']:20}{row['bytes'] / 1e6:8.2f}{row['bytes'] / count:12.1f}{row['psnr_db']:9.1f}{other}"
            f"  {', '.join(read_by(row['format']))}"
        )


if __name__ == "__main__":
    main()
