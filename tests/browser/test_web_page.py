"""The scene as one file: opened from the disk without a network it shows the scene, plays its path and can be looked at."""

from __future__ import annotations

import pytest
from scenes import asymmetric_scene
from steps import camera_of, canvas_pixels, generate_and_wait, stage_js

VIEW = "body"
STAGE = stage_js(VIEW)


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_downloaded_page_shows_the_scene_without_a_network(visit, chromium, tmp_path, motion):
    page = visit()
    generate_and_wait(page, "lightened")
    button = page.locator("#fw-download-html")
    assert "HTML · " in button.inner_text()
    with page.expect_download() as saved:
        button.click()
    file = tmp_path / "scene.html"
    saved.value.save_as(file)

    context = chromium.new_context(reduced_motion=motion, viewport={"width": 800, "height": 600})
    context.set_offline(True)
    alone = context.new_page()
    problems, fetched = [], []
    alone.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    alone.on("pageerror", lambda error: problems.append(str(error)))
    alone.on("request", lambda request: fetched.append(request.url[:60]))
    alone.goto(file.as_uri())
    alone.wait_for_function(f"{STAGE}?.slot?.mesh")
    assert alone.evaluate(f"{STAGE}.slot.mesh.splats.getNumSplats()") == len(asymmetric_scene(density=1))
    if motion == "reduce":
        pixels = canvas_pixels(alone, VIEW)
        assert pixels.std(axis=(0, 1)).max() > 20, "a picture of something"
        before = camera_of(alone, VIEW)
        alone.locator("canvas").focus()
        alone.keyboard.press("ArrowLeft", delay=200)
        assert camera_of(alone, VIEW) != before
        alone.keyboard.press("k")
        assert alone.locator(".fw-recorder").count() == 0
    else:
        alone.wait_for_function(f"{STAGE}.player.place > 0")
    assert not [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))]
    assert problems == []
    view = alone.evaluate("document.getElementById('view').textContent")
    assert "/" not in view, "no path of the server"
    context.close()
