"""Figures for the documentation: `python -m flashworld.nano.training.contact_sheet [--log log.jsonl ...] [--out docs/nano]`.

Writes `worlds.jpg` (held-out worlds: input image, generated views over ground truth, depth over ground-truth depth),
`photographs.jpg`, `captions.jpg` and, from the logs of training runs in their order, `curves.png`. JPEGs stay below
`MAX_JPEG_BYTES`.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
import textwrap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from flashworld.errors import WriteError
from flashworld.io.atomic import replacing
from flashworld.nano.training import methods
from flashworld.nano.training.captions import caption
from flashworld.nano.training.curves import draw_curves
from flashworld.nano.training.evaluate import held_out_photos
from flashworld.nano.training.measures import Views
from flashworld.nano.training.request_evaluation import PHOTO_SEED, as_frame, expected, generate_scene
from flashworld.nano.training.specs import sample_spec
from flashworld.nano.training.unseen import FIRST_CAPTION_SEED, Trial, make_trial, unseen_atlas
from flashworld.nano.training.worlds import SKY_DISTANCE
from flashworld.pipeline import FlashWorldPipeline
from flashworld.result import SceneResult
from flashworld.types import Frame

log = logging.getLogger(__name__)
MAX_JPEG_BYTES = 300_000
QUALITIES = range(90, 20, -6)
WORLD_ROWS, CAPTION_ROWS = 6, 8
GAP = 4
TEXT_ROWS = 14
"""Height of a line of text, pixels."""
TEXT_LINES, TEXT_COLUMNS = 3, 125
NEAREST = 0.5
"""Depth shown as white, scene units; the sky is black, and grey is proportional to 1 / depth in between."""


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/nano"))
    parser.add_argument(
        "--log", type=Path, nargs="*", default=[], help="log.jsonl of each training run, in chronological order"
    )
    parser.add_argument("--weights", type=Path, help="nano folder to use; default: the packaged model")
    parser.add_argument("--only-curves", action="store_true", help="draw only the curves")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.log:
        draw_curves(args.log, args.out / "curves.png")
    if args.only_curves:
        return
    pipeline = FlashWorldPipeline.from_pretrained(args.weights or "nano", device="cpu")
    with torch.inference_mode():
        for name, sheet in (("worlds", world_sheet), ("photographs", photo_sheet), ("captions", caption_sheet)):
            save_jpeg(sheet(pipeline), args.out / f"{name}.jpg")


def world_sheet(pipeline: FlashWorldPipeline) -> Frame:
    """Held-out worlds, two rows each: generated views and ground truth."""
    config, atlas, rows = pipeline.networks.config, unseen_atlas(held_out_photos()), []
    for seed in range(WORLD_ROWS):
        trial = make_trial(seed, atlas, frames=config.frames, height=config.height, width=config.width)
        rows += world_rows(trial, methods.model(pipeline)(trial))
    return labelled(rows, ["picture given, truth below", "its view", "half way", "in between", "last view", "depth"])


def world_rows(trial: Trial, views: Views) -> list[list[Frame]]:
    """Two rows of a sheet."""
    last = len(trial.all_cameras) - 1
    chosen = [0, last // 2 // 2 * 2, last // 2 + 1 - (last // 2) % 2, last]
    shown = [as_frame(views.rgb[i]) for i in chosen]
    true = [as_frame(trial.rgb[i]) for i in chosen]
    depths = [views.depth[last], trial.depth[last].nan_to_num(SKY_DISTANCE)]
    blank = np.full_like(trial.picture, 255)
    return [[trial.picture, *shown, depth_picture(depths[0])], [blank, *true, depth_picture(depths[1])]]


def photo_sheet(pipeline: FlashWorldPipeline) -> Frame:
    """Held-out photographs."""
    rows = []
    for i, photo in enumerate(held_out_photos().values()):
        result = generate_scene(pipeline, None, PHOTO_SEED + i, image=photo)
        given = result.request.picture
        rows.append([np.asarray(given), *scene_row(result)])
    return labelled(rows, ["photograph", "its view", "half way", "last view", "depth"])


def caption_sheet(pipeline: FlashWorldPipeline) -> Frame:
    """Captions, with the ground-truth image at the right."""
    atlas, rows, texts = unseen_atlas({}), [], []
    for i in range(CAPTION_ROWS):
        spec = sample_spec(FIRST_CAPTION_SEED + i, gallery_share=0.0)
        texts.append(caption(spec, 0))
        result = generate_scene(pipeline, None, spec.seed, text=texts[-1])
        request = result.request
        rows.append([*scene_row(result), expected(spec, atlas, request.height, request.width)[1]])
    return labelled(rows, ["first view", "half way", "last view", "depth", "the scene it means"], texts)


def scene_row(result: SceneResult) -> list[Frame]:
    """First, middle and last view, and the last one's depth."""
    cameras = result.request.cameras
    views = methods.views_of(result, cameras[[0, len(cameras) // 2, len(cameras) - 1]])
    return [*(as_frame(picture) for picture in views.rgb), depth_picture(views.depth[-1])]


def depth_picture(depth: torch.Tensor) -> Frame:
    """1 / depth as grey: near is bright, sky and empty pixels are black. uint8 (H, W, 3)"""
    near = torch.where(depth > 0, NEAREST / depth.clamp(min=NEAREST), torch.zeros_like(depth))
    grey = ((near - NEAREST / SKY_DISTANCE) / (1 - NEAREST / SKY_DISTANCE)).clamp(0, 1).sqrt()
    return as_frame(grey[..., None].expand(-1, -1, 3))


def labelled(rows: list[list[Frame]], columns: list[str], texts: list[str] | None = None) -> Frame:
    """Arrange images of equal size in a grid at half size, with column titles and a caption above each row."""
    height, width = (side // 2 for side in rows[0][0].shape[:2])
    step = height + GAP + (TEXT_LINES * TEXT_ROWS if texts else 0)
    sheet = Image.new("RGB", (len(columns) * (width + GAP), TEXT_ROWS + len(rows) * step), "white")
    draw = ImageDraw.Draw(sheet)
    for x, title in enumerate(columns):
        draw.text((x * (width + GAP) + 2, 1), title, "black")
    for y, row in enumerate(rows):
        top = TEXT_ROWS + y * step
        if texts:
            draw.text((2, top), textwrap.fill(texts[y], TEXT_COLUMNS), "black", spacing=2)
        for x, picture in enumerate(row):
            small = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (x * (width + GAP), top + step - height - GAP))
    return np.asarray(sheet)


def save_jpeg(sheet: Frame, path: Path) -> None:
    """Write a sheet at the highest JPEG quality that stays below `MAX_JPEG_BYTES`.

    Raises:
        WriteError: the file is too large at every quality.
    """
    for quality in QUALITIES:
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAX_JPEG_BYTES:
            with replacing(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
            log.info("%s: %d kB, quality %d", path, buffer.tell() // 1000, quality)
            return
    raise WriteError(f"{path.name}: a sheet must take at most {MAX_JPEG_BYTES} bytes, got {buffer.tell()}")


if __name__ == "__main__":
    main()
