"""Every source of a picture: each file format, the clipboard, the camera. The picture on the stage is checked."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from steps import (
    PATH_STAGE,
    SCENE_STAGE,
    decode,
    generate,
    open_accordion,
    psnr,
    show_scene,
    stage_js,
    wait_for_result,
    wait_for_stage,
)

ROWS, COLUMNS = 240, 320
SAME_DB = 26.0
"""JPEG at 320 px against the picture itself; one that is turned, mirrored or wrongly coloured stays below 16."""


def corners() -> np.ndarray:
    """Four quarters of different colours, smooth enough for every codec."""
    pixels = np.zeros((ROWS, COLUMNS, 3), np.uint8)
    half, middle = ROWS // 2, COLUMNS // 2
    pixels[:half, :middle] = (200, 40, 40)
    pixels[:half, middle:] = (40, 160, 60)
    pixels[half:, :middle] = (50, 70, 200)
    pixels[half:, middle:] = (210, 190, 60)
    return pixels


def write(folder: Path, kind: str) -> Path:
    """The picture as a file of a kind."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    picture = Image.fromarray(corners())
    path = folder / {
        "cmyk": "cmyk.jpg", "turned": "turned.jpg", "alpha": "alpha.png", "deep": "deep.png", "grey": "grey.png",
        "heic": "a.heic", "avif": "a.avif", "tiff": "a.tiff", "webp": "a.webp",
    }[kind]  # fmt: skip
    if kind == "cmyk":
        picture.convert("CMYK").save(path, quality=95)
    elif kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6  # rotate right to view it upright
        picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    elif kind == "alpha":
        picture.putalpha(Image.fromarray(np.where(np.arange(ROWS)[:, None] < ROWS // 2, 255, 0).astype(np.uint8)
                                         * np.ones((1, COLUMNS), np.uint8)))  # fmt: skip
        picture.save(path)
    elif kind == "deep":
        Image.fromarray(corners()[..., 0].astype(np.uint16) * 257).save(path)
    elif kind == "grey":
        picture.convert("L").save(path)
    else:
        picture.save(path)
    return path


def expected(kind: str) -> np.ndarray:
    pixels = corners()
    if kind == "alpha":
        pixels[ROWS // 2 :] = 255
    if kind == "deep":
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    if kind == "grey":
        pixels = np.repeat(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], 3, axis=2)
    return pixels


def picture_on_stage(page) -> np.ndarray:
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.state.picture")
    data = page.evaluate(f"{stage_js(PATH_STAGE)}.state.picture")
    return decode(base64.b64decode(data.split(",")[1]))


def take_away(page) -> None:
    page.get_by_role("button", name="Remove Image").click()
    page.wait_for_function(f"!{stage_js(PATH_STAGE)}.state.picture")


@pytest.mark.parametrize("kinds", [("cmyk", "turned", "alpha", "deep"), ("grey", "heic", "avif", "tiff", "webp")])
def test_files_of_every_format_are_shown_upright_in_their_colours(visit, tmp_path, kinds):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    for kind in kinds:
        page.set_input_files("#fw-image input[type=file]", write(tmp_path, kind))
        seen = picture_on_stage(page)
        wanted = np.asarray(Image.fromarray(expected(kind)).resize(seen.shape[1::-1]))
        assert psnr(seen, wanted) >= SAME_DB, kind
        page.wait_for_function("document.querySelector('#fw-image img')?.naturalWidth > 0")  # shown, HEIC too
        page.get_by_text("The whole picture is used").wait_for()
        take_away(page)


def test_pasted_picture_is_used(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    wait_for_stage(page, PATH_STAGE)
    page.evaluate("""async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
      const brush = canvas.getContext("2d");
      brush.fillStyle = "rgb(200, 40, 40)";
      brush.fillRect(0, 0, 320, 240);
      const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
      await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    }""")
    page.get_by_role("button", name="Paste from clipboard").click()
    seen = picture_on_stage(page)
    assert psnr(seen, np.full(seen.shape, (200, 40, 40), np.uint8)) >= SAME_DB


def test_camera_takes_a_picture(server, launch, watch):
    browser = launch("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    page = browser.new_context(permissions=["camera"]).new_page()
    page.set_default_timeout(120_000)
    watch.attach(page)
    page.goto(server)
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#fw-image video')?.videoWidth > 0")
    page.get_by_role("button", name="capture photo").click()
    page.wait_for_selector("#fw-crop .fw-note")
    assert page.locator("#fw-crop .fw-bad").count() == 0


def test_image_index_is_shown_and_sent(visit, photo, standin_log):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.picture")
    page.wait_for_selector("#fw-crop img")  # every request that an upload triggers has been answered
    first = page.evaluate(f"{stage_js(PATH_STAGE)}.picture.position.toArray()")
    open_accordion(page, "Lens, and where your picture stands")
    page.locator("#fw-image-index input[type=number]").fill("5")
    page.locator("#fw-image-index input[type=number]").press("Enter")
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.state.picture_index === 5")
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.picture?.position.toArray().some((v, i) => v !== {first}[i])")
    generate(page, "sixth view")
    wait_for_result(page)
    assert "view 5 is the picture of sixth view" in standin_log.read_text()
    show_scene(page)
    assert page.evaluate(f"{stage_js(SCENE_STAGE)}.state.picture_index") == 5
