"""Pictures of the page for the README: `python tests/browser/screenshots.py URL [FOLDER]` against a running app.

Start (light), running, result as video and in 3D, an error, the dark theme, and the phone, written as PNG of at most
256 colours.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from conftest import BASE_ARGS, CHROMIUM, GPU_ARGS, playwright
from steps import DONE, PATH_STAGE, SCENE_STAGE, generate, open_tab, show_scene, wait_for_result_tab, wait_for_stage

FOLDER = Path(__file__).parents[2] / "docs" / "images"
DESKTOP = {"viewport": {"width": 1440, "height": 1000}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
EXAMPLE = "coffee"
PATIENCE_MS = 300_000
COLOURS = 256


def write_small(data: bytes, path: Path) -> None:
    """A screenshot with a palette, a quarter of its size; dithering would look like noise and take more bytes."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


class Photographer:
    def __init__(self, browser, url: str, folder: Path) -> None:
        self.browser, self.url, self.folder = browser, url, folder

    def open(self, **options):
        context = self.browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(self.url)
        page.wait_for_selector("#fw-generate")
        return page

    def shoot(self, page, name: str) -> None:
        page.wait_for_timeout(1200)
        write_small(page.screenshot(), self.folder / f"{name}.png")

    def desktop(self) -> None:
        page = self.open(**DESKTOP)
        wait_for_stage(page, PATH_STAGE)
        page.locator(f"#fw-examples input[value={EXAMPLE}]").dispatch_event("click")
        page.wait_for_selector("#fw-crop .fw-note")
        wait_for_result_tab(page)  # the example is fully loaded
        page.wait_for_timeout(1500)
        page.evaluate("scrollTo(0, 0)")
        self.shoot(page, "start")
        page.locator("#fw-generate").dispatch_event("click")
        page.wait_for_selector(".fw-progress img")
        self.shoot(page, "running")
        page.wait_for_selector(".fw-progress", state="detached")
        open_tab(page, "Film")
        page.wait_for_selector(DONE)
        self.shoot(page, "result")
        show_scene(page)
        page.locator(f"{SCENE_STAGE} canvas").wait_for()
        page.wait_for_timeout(4000)
        self.shoot(page, "scene")

    def dark_error(self) -> None:
        page = self.open(**DESKTOP, color_scheme="dark")
        wait_for_stage(page, PATH_STAGE)
        page.evaluate("scrollTo(0, 0)")
        self.shoot(page, "dark")
        generate(page, text="")
        page.wait_for_selector("#fw-refusal .fw-bad")
        page.locator("#fw-generate").scroll_into_view_if_needed()
        self.shoot(page, "error")

    def phone(self) -> None:
        page = self.open(**PHONE)
        self.shoot(page, "phone")
        wait_for_stage(page, PATH_STAGE)
        page.evaluate("document.getElementById('fw-result').scrollIntoView()")
        self.shoot(page, "phone-path")


def main(url: str, folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=[*BASE_ARGS, *GPU_ARGS])
        photographer = Photographer(browser, url, folder)
        for round_ in (photographer.desktop, photographer.dark_error, photographer.phone):
            round_()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], *(Path(argument) for argument in sys.argv[2:3]))
