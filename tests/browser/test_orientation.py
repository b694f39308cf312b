"""The scene looks in both viewers as our own renderer draws it from the same camera: not mirrored, not upside down.

Bounds: Spark reads the SPZ (8-bit colours, 12-bit positions) and cuts tails at 3 sigma: at least 34 dB. gsplat.js in
Model3D works with 8-bit everything and its own blending: at least 28 dB. Mirrored or inverted pictures stay below 18.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scenes import FOCUS, asymmetric_scene
from steps import SCENE_STAGE, canvas_pixels, decode, generate_and_wait, open_plain, psnr, show_scene, stage_js

from flashworld.cameras import Cameras, intrinsics_from_fov
from flashworld.io.scenes.plain_preview import FOCAL_PX, start_camera
from flashworld.rendering import render

SEED = 7
SPARK_DB, MODEL3D_DB, WRONG_DB = 34.0, 28.0, 18.0
HEIGHT, WIDTH = 240, 320
STAGE_GREY = (0xE9 / 255, 0xED / 255, 0xF0 / 255)


def ours(cameras: Cameras, height: int, width: int, background) -> np.ndarray:
    rgb = render(asymmetric_scene(SEED), cameras, height, width, background=background).rgb[0]
    return (rgb.clamp(0, 1) * 255).round().byte().numpy()


def assert_same_way_round(seen: np.ndarray, wanted: np.ndarray, bound: float) -> None:
    assert psnr(seen, wanted) >= bound
    for wrong in (seen[:, ::-1], seen[::-1], seen[::-1, ::-1]):
        assert psnr(wrong, wanted) < WRONG_DB


@pytest.fixture
def page_with_scene(visit):
    page = visit(device_scale_factor=1)
    generate_and_wait(page, "dense", seed=SEED)
    return page


def test_both_viewers_show_what_our_renderer_shows(page_with_scene):
    page = page_with_scene
    show_scene(page)
    page.add_style_tag(
        content=f"{SCENE_STAGE} .fw-view {{ width: {WIDTH}px !important; height: {HEIGHT}px !important; }}"
    )
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.canvas.width === {WIDTH}")
    page.evaluate(f"{stage_js(SCENE_STAGE)}.slot.match({HEIGHT})")  # the low-pass of a picture of this very size
    page.evaluate(f"{stage_js(SCENE_STAGE)}.reset()")
    row = page.evaluate(f"{stage_js(SCENE_STAGE)}.state.cameras[0]")
    numbers = torch.tensor([row], dtype=torch.float32)
    camera = Cameras(numbers[:, 3:7], numbers[:, :3], intrinsics_from_fov(row[7], 96, 128)[None])
    assert_same_way_round(canvas_pixels(page, SCENE_STAGE), ours(camera, HEIGHT, WIDTH, STAGE_GREY), SPARK_DB)

    open_plain(page)
    seen = steady_model3d(page)
    height, width = seen.shape[:2]
    w2c, _ = start_camera(camera, FOCUS)
    c2w = torch.linalg.inv(w2c).float() @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    lens = torch.tensor([FOCAL_PX / width, FOCAL_PX / height, 0.5, 0.5])
    assert_same_way_round(seen, ours(Cameras.from_c2w(c2w[None], lens), height, width, (0.0, 0.0, 0.0)), MODEL3D_DB)


def steady_model3d(page) -> np.ndarray:
    """Model3D's canvas as the screen shows it, after its points have faded in."""
    box = page.locator("#fw-plain canvas").bounding_box()
    last = None
    for _ in range(40):
        page.wait_for_timeout(700)
        now = decode(page.screenshot(clip=box))
        if last is not None and now.mean() > 20 and psnr(now, last) > 45:
            return now
        last = now
    return now
