"""User actions shared by the browser tests."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

PATH_STAGE, SCENE_STAGE = "#fw-path-stage", "#fw-scene-stage"
COVER = "#fw-plain-cover .fw-cover"
DONE = "#fw-video video"
SMALL = {"width": 920, "height": 640}
"""The smallest window with the whole workspace: Gradio's viewer draws seventy frames before it shows a scene."""
RESULT_JS = "(document.querySelector('#fw-facts [data-result]')?.dataset.result ?? '')"
NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, select, canvas, video, [role=tab]')]
  .filter((e) => e.offsetParent !== null && !e.closest('[hidden]'))
  .filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.title || e.textContent?.trim()
    || e.labels?.length || e.placeholder))
  .map((e) => e.outerHTML.slice(0, 160))"""
"""Script that gives the visible controls without a name."""
FRAMES_JS = """async () => {
  for (let frame = 0; frame < 3; frame++) await new Promise((next) => requestAnimationFrame(next));
}"""


def stage_js(stage: str) -> str:
    return f"document.querySelector('{stage} .fw-stage').stage"


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    wait_for_tab(page, name)
    wait_until_filled(page)


def open_accordion(page, title: str) -> None:
    page.get_by_text(title).click()
    wait_until_filled(page)


def wait_until_filled(page) -> None:
    """Wait until Gradio 6.31 has given what a tab or an accordion holds its first values.

    It does that an animation frame after the opening, over whatever was typed before. On a busy machine a frame is long.
    """
    page.evaluate(FRAMES_JS)


def wait_for_tab(page, name: str) -> None:
    """Wait until the tab is selected, by the visitor or by the page."""
    page.wait_for_function(
        "(name) => [...document.querySelectorAll('[role=tab][aria-selected=true]')].some((e) => e.innerText.trim() === name)",
        arg=name,
    )


def note_result(page) -> None:
    """Remember which result is shown, for `wait_for_result`."""
    page.evaluate(f"window.fwBefore = {RESULT_JS}")


def wait_for_result(page) -> None:
    """Wait until a result other than the remembered one has arrived."""
    page.wait_for_function(f"{RESULT_JS} !== (window.fwBefore ?? '')")


def wait_for_result_tab(page) -> None:
    """Wait until a result's tab is selected, which is the last step of showing it."""
    page.wait_for_function(
        "[...document.querySelectorAll('#fw-result-tabs [role=tab][aria-selected=true]')].some((e) => e.dataset.tabId !== 'path')"
    )


def wait_for_stage(page, stage: str) -> None:
    if stage == PATH_STAGE:
        open_tab(page, "Path")
    page.locator(stage).scroll_into_view_if_needed()
    page.wait_for_selector(f"{stage} canvas")
    page.wait_for_function(f"{stage_js(stage)}?.path?.length > 0")


def generate(page, text: str = "a room", seed: int | None = None) -> None:
    page.fill("#fw-prompt textarea", text)
    if seed is not None:
        page.locator("#fw-randomize input").uncheck()
        page.fill("#fw-seed input", str(seed))
    note_result(page)
    page.locator("#fw-generate").dispatch_event("click")


def generate_and_wait(page, text: str = "a room", seed: int | None = None) -> None:
    generate(page, text, seed)
    wait_for_result(page)
    page.wait_for_selector("#fw-generate:not(.hidden)")
    wait_for_result_tab(page)


def show_scene(page) -> None:
    """Open the 3D view and wait until it has drawn the scene of the current result.

    Gradio updates the components of one response one after the other: the result's facts may precede its scene.
    """
    open_tab(page, "Fly")
    page.wait_for_function(f"""(() => {{
      const {{ slot, root }} = {stage_js(SCENE_STAGE)} ?? {{}};
      return slot?.mesh && slot.url === root.dataset.scene && slot.url.includes({RESULT_JS} + "/");
    }})()""")


def open_plain(page) -> None:
    """Gradio's own viewer, once it has drawn the scene."""
    open_tab(page, "Quick look")
    page.wait_for_selector("#fw-plain canvas")
    page.wait_for_selector(COVER, state="hidden", timeout=240_000)


def camera_of(page, stage: str) -> list[float]:
    return page.evaluate(
        f"(() => {{ const c = {stage_js(stage)}.world.camera; return [...c.position.toArray(), ...c.quaternion.toArray()]; }})()"
    )


def keyframes_of(page, stage: str) -> list:
    return page.evaluate(f"{stage_js(stage)}.keyframes.list")


def canvas_pixels(page, stage: str) -> np.ndarray:
    """The stage's own drawing buffer once it no longer changes, uint8 (H, W, 3)."""
    script = f"(() => {{ const s = {stage_js(stage)}; s.world.draw(); return s.canvas.toDataURL(); }})()"
    last = None
    for _ in range(40):
        now = page.evaluate(script)
        if now == last:
            break
        last = now
        page.wait_for_timeout(250)
    return decode(base64.b64decode(now.split(",")[1]))


def decode(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = ((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
