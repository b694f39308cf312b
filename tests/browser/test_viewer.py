"""The viewers with a real scene: large files load on request, hidden tabs keep their state, recording by mouse and touch."""

from __future__ import annotations

import pytest
from scenes import asymmetric_scene
from steps import (
    COVER,
    DONE,
    PATH_STAGE,
    SCENE_STAGE,
    SMALL,
    camera_of,
    decode,
    generate,
    generate_and_wait,
    keyframes_of,
    open_plain,
    open_tab,
    psnr,
    show_scene,
    stage_js,
    wait_for_result,
    wait_for_stage,
    wait_for_tab,
)
from test_examples import choose

from ui.examples import load_examples

STILL_DB = 45.0
"""Two pictures of a view that nobody moved."""


def test_scene_above_25_mb_is_loaded_only_on_request(visit):
    page = visit()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")  # the scene the page opens on
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    generate(page, "heavy")
    wait_for_result(page)
    open_tab(page, "Fly")
    button = page.locator(SCENE_STAGE).get_by_role("button", name="Show the scene in 3D · 25.")
    button.wait_for()
    page.wait_for_timeout(500)
    assert not [url for url in fetched if url.endswith((".spz", ".ply", ".splat"))]
    button.click()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")
    assert [url for url in fetched if url.endswith("scene.spz")]


COUNT = f"{stage_js(SCENE_STAGE)}.slot.mesh.splats.getNumSplats()"


def test_light_scene_is_shown_first_and_replaced_by_the_full_one(visit):
    page = visit()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot?.mesh")  # the scene the page opens on
    fetched = []
    page.on("request", lambda request: fetched.append(request.url.rsplit("/", 1)[-1]))
    generate_and_wait(page, "lightened")
    open_tab(page, "Fly")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.slot.whole")
    assert [name for name in fetched if name.endswith(".spz")] == ["viewer.spz", "scene.spz"]
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=2))
    assert "31.2 dB" in page.inner_text("#fw-facts")
    assert f"{len(asymmetric_scene(density=1)):,}".replace(",", " ") in page.inner_text("#fw-facts")


def test_scene_is_shown_while_its_large_files_are_written(visit, release):
    page = visit()
    generate(page, "lightened early")
    wait_for_result(page)
    wait_for_tab(page, "Fly")
    show_scene(page)
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=1))
    strip, archive = page.locator("#fw-progress.fw-aside .fw-strip"), page.locator("#fw-download-ply")
    strip.wait_for()
    assert page.locator(SCENE_STAGE).bounding_box()["height"] > 3 * strip.bounding_box()["height"]
    assert page.locator("#fw-stop").is_visible() and not page.locator("#fw-generate").is_visible()
    assert archive.is_disabled() and page.locator("#fw-download-video").is_disabled()
    page.evaluate(f"{stage_js(SCENE_STAGE)}.controls.turn(0.1, 0)")
    turned = camera_of(page, SCENE_STAGE)
    open_tab(page, "Film")
    page.locator("#fw-video video").evaluate("(video) => { window.fwVideo = video; }")
    open_tab(page, "Fly")
    release.touch()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.slot.whole")
    page.wait_for_selector("#fw-generate", state="visible")
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=2))
    assert camera_of(page, SCENE_STAGE) == turned
    assert page.evaluate("window.fwVideo === document.querySelector('#fw-video video')")
    assert archive.is_enabled() and strip.count() == 0


@pytest.mark.parametrize("end", ["stopped", "unwritten"])
def test_scene_whose_files_are_never_written_offers_no_downloads(visit, release, end):
    page = visit()
    generate(page, f"lightened early {end}")
    wait_for_result(page)
    page.locator("#fw-progress .fw-strip").wait_for()
    if end == "stopped":
        page.locator("#fw-stop").dispatch_event("click")
        page.get_by_text("Stopped. No files were made").wait_for()
    release.touch()
    page.locator("#fw-progress .fw-message").wait_for()
    page.wait_for_selector("#fw-generate", state="visible")
    assert page.locator("#fw-download-ply").is_disabled() and page.locator("#fw-download-zip").is_disabled()
    show_scene(page)
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=1)), "what is loaded stays"
    generate_and_wait(page, "lightened early again")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.slot.whole")
    assert page.locator("#fw-download-ply").is_enabled()


def test_scene_superseded_while_it_loads_leaves_the_next_one_alone(visit):
    """What an overtaken load still did hid the next scene's picture and turned its view back."""
    page = visit()
    show_scene(page)
    stage = stage_js(SCENE_STAGE)
    assert page.evaluate(f"Boolean({stage}.state.poster)")
    page.evaluate(
        f"window.fwBegin = (name) => {stage}.setScene({{ url: `${{{stage}.slot.url.split('#')[0]}}#${{name}}`, kind: 'spz', bytes: 0 }})"
    )
    meanwhile = page.evaluate(f"""async () => {{
      const older = window.fwBegin("older");
      window.fwNewer = window.fwBegin("newer");
      await older;
      return [{stage}.overlay.postered, Boolean({stage}.slot.mesh)];
    }}""")
    assert meanwhile == [True, False]
    page.evaluate("() => window.fwNewer")
    assert page.evaluate(f"Boolean({stage}.slot.mesh)") and page.evaluate(f"{stage}.slot.url").endswith("newer")


def test_phone_keeps_the_light_scene_until_the_full_one_is_requested(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    generate_and_wait(page, "lightened, touched")
    open_tab(page, "Fly")
    button = page.locator(SCENE_STAGE).get_by_role("button", name="Whole scene ·")
    button.wait_for()
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=1))
    before = camera_of(page, SCENE_STAGE)
    button.tap()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.slot.whole")
    assert page.evaluate(COUNT) == len(asymmetric_scene(density=2))
    assert camera_of(page, SCENE_STAGE) == before
    assert not button.is_visible()


def test_view_in_a_hidden_tab_keeps_its_scene_and_takes_the_new_size(visit):
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    page.locator(SCENE_STAGE).get_by_role("button", name="Look through the camera").click()
    page.locator(f"{SCENE_STAGE} .fw-scrub").fill("4")
    before = camera_of(page, SCENE_STAGE)
    open_tab(page, "Film")
    page.set_viewport_size({"width": 1000, "height": 700})
    open_tab(page, "Fly")
    page.wait_for_function(
        f"(() => {{ const c = {stage_js(SCENE_STAGE)}.canvas; return c.width > 0 && c.width === Math.floor(c.clientWidth * devicePixelRatio); }})()"
    )
    assert page.evaluate(f"Boolean({stage_js(SCENE_STAGE)}.slot.mesh)")
    assert camera_of(page, SCENE_STAGE) == pytest.approx(before)


def test_view_stays_within_the_scene_and_can_be_reset(visit):
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    stage = stage_js(SCENE_STAGE)
    start = camera_of(page, SCENE_STAGE)
    assert page.evaluate(f"{stage}.slot.spark.preBlurAmount > 0.3"), "smooth as at the size that the scene was made for"
    page.evaluate(f"for (let i = 0; i < 200; i += 1) {stage}.controls.turn(0.1, 0)")
    page.evaluate(f"for (let i = 0; i < 200; i += 1) {stage}.controls.dolly(-0.5)")
    turned = page.evaluate(
        f"Math.min(...{stage}.path.views.map((v) => v.quaternion.angleTo({stage}.world.camera.quaternion)))"
    )
    assert turned < 1.0
    away = page.evaluate(
        f"Math.min(...{stage}.path.views.map((v) => v.position.distanceTo({stage}.world.camera.position)))"
    )
    assert away <= page.evaluate(f"Math.max({stage}.state.focus_distance, {stage}.unit)")
    assert float(page.evaluate(f"{stage}.overlay.edge.style.opacity")) > 0.3
    page.locator(SCENE_STAGE).get_by_role("button", name="Back to the path").click()
    assert camera_of(page, SCENE_STAGE) == pytest.approx(start, abs=1e-5)
    assert page.evaluate(f"{stage}.overlay.edge.style.opacity") == "0"


def test_small_film_is_shown_at_no_more_than_twice_its_size(visit):
    page = visit(viewport={"width": 1440, "height": 1000})
    generate_and_wait(page)
    open_tab(page, "Film")
    page.wait_for_function(f"document.querySelector('{DONE}')?.readyState >= 1")
    page.wait_for_function(
        f"(() => {{ const v = document.querySelector('{DONE}'); return v.clientWidth <= 2 * v.videoWidth; }})()"
    )


def test_full_screen_frusta_and_idle_view(visit):
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    stage = page.locator(SCENE_STAGE)
    cameras = stage.get_by_role("button", name="Show the cameras")
    assert cameras.get_attribute("aria-pressed") == "false"
    cameras.click()
    assert page.evaluate(f"{stage_js(SCENE_STAGE)}.frusta.visible")
    stage.get_by_role("button", name="Full screen").click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('fw-stage')")
    page.keyboard.press("Escape")
    page.evaluate("document.fullscreenElement && document.exitFullscreen()")
    page.wait_for_function("!document.fullscreenElement")
    page.wait_for_timeout(1500)
    frames = page.evaluate(f"{stage_js(SCENE_STAGE)}.world.frames")
    page.wait_for_timeout(700)
    assert page.evaluate(f"{stage_js(SCENE_STAGE)}.world.frames") == frames, "a view at rest draws nothing"


def test_path_recorded_inside_a_scene_becomes_the_next_path(visit):
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    canvas = page.locator(f"{SCENE_STAGE} canvas")
    canvas.focus()
    page.keyboard.press("k")
    page.keyboard.down("Shift")
    page.keyboard.down("d")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.world.camera.position.x > 0.1")
    page.keyboard.up("d")
    page.keyboard.up("Shift")
    page.keyboard.press("k")
    recorder = page.locator(f"{SCENE_STAGE} .fw-recorder")
    recorder.locator("summary").click()
    recorder.get_by_label("Between keyframes").select_option("linear")
    page.get_by_text("2 keyframes recorded").wait_for()
    first, second = (key["position"] for key in keyframes_of(page, SCENE_STAGE))
    wait_for_stage(page, PATH_STAGE)
    near = "Math.hypot(...[0, 1, 2].map((i) => %s[i] - rows[%d][i])) < 0.02 * %s"
    length = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5
    page.wait_for_function(
        f"""(() => {{ const rows = {stage_js(PATH_STAGE)}.state.cameras;
        return {near % (first, 0, length)} && {near % (second, -1, length)}; }})()""".replace(
            "rows[-1]", "rows[rows.length - 1]"
        )
    )
    assert keyframes_of(page, PATH_STAGE) == keyframes_of(page, SCENE_STAGE)
    assert page.get_by_role("tab", name="By hand").get_attribute("aria-selected") == "true"
    page.locator(PATH_STAGE).get_by_label("Loop").check()
    page.wait_for_function(
        f"""(() => {{ const rows = {stage_js(PATH_STAGE)}.state.cameras;
        return {near % (first, 0, length)} && {near.replace("%d", "rows.length - 1") % (first, length)}; }})()"""
    )


BLACK = 30
"""Sum of a pixel's channels below which it counts as the viewer's black background."""


def test_plain_viewer_shows_a_photographs_whole_scene_after_a_notice(visit):
    page = visit(viewport={"width": 390, "height": 844})
    found = load_examples()
    choose(page, "coffee")  # bright all over
    open_tab(page, "Quick look")
    page.locator(COVER).get_by_text("Drawing the scene").wait_for()
    page.wait_for_selector(COVER, state="hidden")
    box = page.locator("#fw-plain canvas").bounding_box()
    pixels = decode(page.screenshot(clip=box)).astype(int).sum(-1)
    assert (pixels < BLACK).mean() < 0.1, "dots on black"
    open_tab(page, "Path")
    choose(page, next(e.name for e in found if "viewer" not in e.result.files))
    open_tab(page, "Quick look")
    page.locator(COVER).get_by_text("film alone").wait_for()


def test_typing_does_not_move_the_plain_preview(visit):
    page = visit(viewport=SMALL)
    generate_and_wait(page)
    open_plain(page)
    box = page.locator("#fw-plain canvas").bounding_box()
    box["height"] -= 60  # a note below says that the scene was made from earlier text
    before = None
    for _ in range(40):
        page.wait_for_timeout(600)
        now = decode(page.screenshot(clip=box))
        if before is not None and now.mean() > 20 and psnr(now, before) > STILL_DB:
            break
        before = now
    page.evaluate("document.querySelector('#fw-prompt textarea').focus({preventScroll: true})")
    for key in "wasdqe":
        page.keyboard.down(key)
        page.wait_for_timeout(250)
        page.keyboard.up(key)
    page.wait_for_timeout(800)
    assert page.input_value("#fw-prompt textarea").endswith("wasdqe")
    assert psnr(decode(page.screenshot(clip=box)), before) > STILL_DB


def test_touch_turns_and_zooms_from_the_first_tap_to_a_tap_beside_the_view(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    wait_for_stage(page, PATH_STAGE)
    page.evaluate(f"document.querySelector('{PATH_STAGE} canvas').scrollIntoView({{block: 'center'}})")
    help_line = page.locator(f"{PATH_STAGE} .fw-keys-help")
    assert help_line.text_content() == "Tap to turn the view"
    touch = page.context.new_cdp_session(page)

    def drag(*fingers: tuple[float, float, float, float]) -> None:
        """Fingers (x, y, dx, dy) relative to the canvas's centre, simultaneously."""
        box = page.locator(f"{PATH_STAGE} canvas").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind, part in (("touchStart", 0.0), ("touchMove", 0.5), ("touchMove", 1.0), ("touchEnd", None)):
            points = [
                {"x": x + a + part * c, "y": y + b + part * d, "id": number}
                for number, (a, b, c, d) in enumerate(fingers if part is not None else ())
            ]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def wait_for_another_view(old: list[float]) -> list[float]:
        page.wait_for_function(
            f"(old) => {{ const p = {stage_js(PATH_STAGE)}.world.camera.position.toArray();"
            " return Math.hypot(...p.map((v, k) => v - old[k])) > 1e-2; }",
            arg=old,
        )
        return camera_of(page, PATH_STAGE)

    start = camera_of(page, PATH_STAGE)
    drag((0, 0, 60, 0))
    assert camera_of(page, PATH_STAGE) == start
    drag((0, 0, 0, 0))  # a tap
    page.wait_for_function(f"document.activeElement === document.querySelector('{PATH_STAGE} canvas')")
    assert "two fingers" in help_line.text_content()
    pivot = (
        f"(() => {{ const {{ world, controls }} = {stage_js(PATH_STAGE)};"
        " return world.camera.getWorldDirection(world.camera.position.clone())"
        ".multiplyScalar(controls.reach).add(world.camera.position).toArray(); })()"
    )
    centre = page.evaluate(pivot)
    drag((0, 0, 60, 20))
    turned = wait_for_another_view(start)
    assert page.evaluate(pivot) == pytest.approx(centre, abs=1e-3), "an orbit keeps its look-at point"
    drag((-30, 0, -60, 0), (30, 0, 60, 0))
    wait_for_another_view(turned)
    page.locator("h1").first.tap()
    page.wait_for_function(f"document.activeElement !== document.querySelector('{PATH_STAGE} canvas')")
