"""The page before anything is generated: small, labelled, usable by keyboard, and unaffected by typing elsewhere."""

from __future__ import annotations

import json

import pytest
from steps import (
    NAMELESS,
    PATH_STAGE,
    SCENE_STAGE,
    camera_of,
    generate,
    keyframes_of,
    open_tab,
    stage_js,
    wait_for_stage,
)

from ui.examples import opening_result

START_BYTES = 1_500_000
"""Everything that opening the page fetches, the 3D viewer included, as it comes over the network; not the opening scene."""
FETCHED_JS = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .map((e) => [e.name, e.transferSize])"""


def test_page_opens_on_a_scene_that_moves_until_the_visitor_takes_over(visit, watch):
    page = visit(reduced_motion="no-preference", viewport={"width": 1280, "height": 720})
    page.wait_for_selector("#fw-scene-stage canvas")
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.slot.mesh")
    assert opening_result().files["viewer"].stat().st_size <= 1_500_000
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.player.place > 0")
    page.locator(f"{SCENE_STAGE} canvas").focus()
    page.keyboard.press("ArrowLeft", delay=200)
    page.wait_for_function(f"!{stage_js(SCENE_STAGE)}.player.playing")
    assert page.locator("#fw-generate").bounding_box()["y"] < 720


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1280, 720)])
def test_workspace_is_as_high_as_the_window(visit, width, height):
    page = visit(viewport={"width": width, "height": height})
    page.wait_for_selector("#fw-scene-stage canvas")
    for name in ("#fw-generate", "#fw-download-zip", "#fw-scene-stage .fw-toolbar", "#fw-examples"):
        box = page.locator(name).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height, name
    view = page.locator(f"{SCENE_STAGE} .fw-view").bounding_box()
    assert view["height"] > 0.45 * height
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_page_is_light(visit, motion):
    page = visit(viewport={"width": 1440, "height": 900}, reduced_motion=motion)
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}?.slot.mesh")
    fetched: list = []
    while len(fetched) < len(fetched := page.evaluate(FETCHED_JS)):
        page.wait_for_timeout(1500)
    own = [(size, name) for name, size in fetched if not name.endswith(".spz")]
    assert len(own) < 240, "the browser's list of what was fetched ends at 250"
    assert any(name.endswith("splats.js") and size for size, name in own)
    assert sum(size for size, _ in own) < START_BYTES, sorted(own)[-12:]


def test_every_control_has_a_name(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1


def test_page_is_as_wide_in_every_tab(visit):
    page = visit()
    widths = []
    for tab in ("Path", "Film", "Fly", "Quick look"):
        open_tab(page, tab)
        page.wait_for_timeout(300)
        widths.append(page.evaluate("document.querySelector('.gradio-container').getBoundingClientRect().width"))
    assert widths == [1280] * 4


def test_typing_moves_and_records_nothing_and_keys_work_only_in_the_view(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    before = camera_of(page, PATH_STAGE)
    page.locator("#fw-prompt textarea").focus()
    page.keyboard.type("was qed k   wasd", delay=5)
    open_tab(page, "From a file")
    page.locator("#fw-path-text textarea").focus()
    page.keyboard.type("wasd k ", delay=5)
    page.wait_for_timeout(200)
    assert camera_of(page, PATH_STAGE) == before
    assert keyframes_of(page, PATH_STAGE) == []

    canvas = page.locator(f"{PATH_STAGE} canvas")
    canvas.focus()
    assert (
        page.evaluate(f"getComputedStyle(document.querySelector('{PATH_STAGE} .fw-view'), '::after').boxShadow")
        != "none"
    )
    page.keyboard.press("k")
    page.keyboard.down("d")
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.world.camera.position.x !== {before[0]}")
    page.keyboard.up("d")
    assert len(keyframes_of(page, PATH_STAGE)) == 1
    page.keyboard.press("Escape")
    assert not page.evaluate(f"document.activeElement === {stage_js(PATH_STAGE)}.canvas")


def test_wheel_scrolls_the_page_unless_the_view_has_the_focus(visit):
    page = visit(viewport={"width": 1000, "height": 500})
    wait_for_stage(page, PATH_STAGE)
    page.evaluate(f"document.querySelector('{PATH_STAGE} canvas').scrollIntoView({{block: 'center'}})")
    box = page.locator(f"{PATH_STAGE} canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    view, top = camera_of(page, PATH_STAGE), page.evaluate("scrollY")
    page.mouse.wheel(0, 120)
    page.wait_for_function(f"scrollY !== {top}")
    assert camera_of(page, PATH_STAGE) == view
    page.locator(f"{PATH_STAGE} canvas").focus()
    page.wait_for_timeout(300)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == top
    assert camera_of(page, PATH_STAGE) != view


def test_only_the_parameters_of_a_template_show_and_keyboard_chooses_templates(visit):
    page = visit()
    tiles = page.locator("#fw-presets input")
    page.locator("#fw-presets input[value=orbit_right]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#fw-presets input:checked')?.value === 'orbit_up'")
    assert tiles.count() == page.evaluate("document.querySelectorAll('#fw-presets input[aria-label*=\". \"]').length")
    page.locator("#fw-presets input[value=zoom_in]").dispatch_event("click")
    page.wait_for_selector("#fw-parameter-factor input", state="visible")
    page.wait_for_selector("#fw-parameter-angle_deg", state="hidden")


def test_path_json_round_trips_unchanged(visit, tmp_path):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    with page.expect_download() as saved:
        page.click("#fw-path-download")
    path = tmp_path / "path.json"
    saved.value.save_as(path)
    assert json.loads(path.read_text())["format"] == "flashworld-trajectory"
    rows = page.evaluate(f"{stage_js(PATH_STAGE)}.state.cameras")
    page.locator("#fw-presets input[value=forward]").dispatch_event("click")
    page.wait_for_function(f"JSON.stringify({stage_js(PATH_STAGE)}.state.cameras) !== {json.dumps(json.dumps(rows))}")
    open_tab(page, "From a file")
    page.set_input_files("#fw-path-file input[type=file]", path)
    page.wait_for_function(
        f"""(() => {{ const rows = {json.dumps(rows)}; const now = {stage_js(PATH_STAGE)}.state.cameras;
        return rows.length === now.length && rows.every((r, i) => r.every((v, j) => Math.abs(v - now[i][j]) < 2e-4)); }})()"""
    )


def test_colmap_model_is_drawn_and_an_incomplete_one_is_refused_beside_the_input(visit, tmp_path):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    open_tab(page, "From a file")
    cameras, images = tmp_path / "cameras.txt", tmp_path / "images.txt"
    cameras.write_text("1 PINHOLE 704 480 600 600 352 240\n")
    images.write_text("".join(f"{i + 1} 1 0 0 0 {-0.5 * i} 0 0 1 {i}.jpg\n\n" for i in range(4)))
    page.set_input_files("#fw-path-file input[type=file]", [images])
    page.get_by_text("a COLMAP model's cameras and images together, or a ZIP of one, got images.txt").wait_for()
    page.locator("#fw-path-file").get_by_role("button", name="Clear").first.click()
    page.set_input_files("#fw-path-file input[type=file]", [cameras, images])
    page.wait_for_function(f"Math.abs({stage_js(PATH_STAGE)}.state.cameras.at(-1)[0] - 1.5) < 1e-4")
    assert page.inner_text("#fw-path-note").count("got images.txt") == 0


def hold_until_moved(page, canvas, key: str, far: float = 0.05) -> None:
    """Hold a key in the view until its camera has moved, however slowly this machine renders."""
    before = camera_of(page, PATH_STAGE)[:3]
    canvas.focus()
    page.keyboard.down(key)
    page.wait_for_function(
        f"([old, far]) => Math.hypot(...{stage_js(PATH_STAGE)}.world.camera.position.toArray().map((v, k) => v - old[k])) > far",
        arg=[before, far],
    )
    page.keyboard.up(key)


LOOK = {"position": [0.5, 0.25, 1.0], "quaternion": [1, 0, 0, 0]}
LENS = {"fx": 100, "fy": 100, "cx": 64, "cy": 48}
LEVEL = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
NERF = [[1, 0, 0, 0.5], [0, 1, 0, 0.25], [0, 0, 1, 1.0], [0, 0, 0, 1]]
START = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
FORMS = {
    "own": {
        "format": "flashworld-trajectory", "version": 1, "axes": "opengl",
        "cameras": [{"position": p, "quaternion_wxyz": [1, 0, 0, 0], "fov_y_deg": 60} for p in ([0, 0, 0], [0.5, 0.25, 1.0])],
    },
    "original's path": {"cameras": [{**LOOK, "position": [0, 0, 0]}, LOOK]},
    "original's request": {
        "text_prompt": "a room", "resolution": [8, 96, 128],
        "cameras": [{**LOOK, **LENS, "position": [0, 0, 0]}, {**LOOK, **LENS}],
    },
    "transforms": {
        "camera_angle_x": 1.0, "frames": [{"transform_matrix": START}, {"transform_matrix": NERF}],
    },
    "cameras.json": [
        {"rotation": LEVEL, "position": p, "width": 128, "height": 96, "fx": 100, "fy": 100} for p in ([7, 7, 7], [7.5, 6.75, 6])
    ],
}  # fmt: skip


def test_every_format_of_path_json_can_be_pasted(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    open_tab(page, "From a file")
    ends = f"""(() => {{ const rows = {stage_js(PATH_STAGE)}.state.cameras;
      return rows.length === 8 && [0, 0, 0, 1].every((v, k) => Math.abs(rows[0][k] - v) < 1e-3) && [0.5, 0.25, 1.0].every((v, k) => Math.abs(rows[7][k] - rows[0][k] - v) < 1e-3); }})()"""
    for form in FORMS.values():
        page.fill("#fw-path-text textarea", json.dumps({"cameras": []}))
        page.wait_for_selector("#fw-path-note .fw-bad")
        page.fill("#fw-path-text textarea", json.dumps(form))
        page.wait_for_selector("#fw-path-note .fw-bad", state="detached")
        page.wait_for_function(ends)


def test_recording_adds_replaces_moves_deletes_and_undoes(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    page.locator(PATH_STAGE).get_by_text("Record a path by hand").click()
    recorder = page.locator(f"{PATH_STAGE} .fw-recorder")
    canvas = page.locator(f"{PATH_STAGE} canvas")
    for key in ("d", "w", None):
        recorder.get_by_role("button", name="Add keyframe").click()
        if key:
            hold_until_moved(page, canvas, key)
    keys = keyframes_of(page, PATH_STAGE)
    assert len(keys) == 3
    assert keys[0] != keys[1] != keys[2]
    recorder.get_by_role("button", name="Move keyframe 3 up").click()
    assert keyframes_of(page, PATH_STAGE) == [keys[0], keys[2], keys[1]]
    recorder.get_by_role("button", name="Replace keyframe 1 by this view").click()
    assert keyframes_of(page, PATH_STAGE)[0] == keys[2]
    recorder.get_by_role("button", name="Delete keyframe 2").click()
    recorder.get_by_label("Field of view of keyframe 2, degrees").fill("35")
    recorder.get_by_label("Field of view of keyframe 2, degrees").press("Enter")
    assert [k["fov_y_deg"] for k in keyframes_of(page, PATH_STAGE)][1] == 35
    for _ in range(4):
        recorder.get_by_role("button", name="Undo").click()
    assert keyframes_of(page, PATH_STAGE) == keys
    recorder.get_by_role("button", name="Go to keyframe 1").click()
    assert all(abs(a - b) < 1e-4 for a, b in zip(camera_of(page, PATH_STAGE)[:3], keys[0]["position"], strict=True))
    page.wait_for_function(f"Math.abs({stage_js(PATH_STAGE)}.state.cameras[0][0] - {keys[0]['position'][0]}) < 1e-3")
    page.get_by_text("3 keyframes recorded").wait_for()


def test_refusals_come_before_the_queue_and_nothing_runs(visit, photo):
    page = visit()
    generate(page, text="")
    page.wait_for_selector("#fw-refusal .fw-bad")
    assert "picture or a text" in page.inner_text("#fw-refusal")
    bad = photo.with_suffix(".png")
    bad.write_bytes(b"not a picture at all")
    page.set_input_files("#fw-image input[type=file]", bad)
    page.wait_for_selector("#fw-crop .fw-bad")
    assert "Picture" in page.inner_text("#fw-crop")
    open_tab(page, "From a file")
    page.fill("#fw-path-text textarea", '{"cameras": [<b>')
    page.wait_for_selector("#fw-path-note .fw-bad")
    assert page.locator("#fw-path-note b").count() == 0
    assert page.locator(".fw-progress").count() == 0


def test_number_beyond_a_sliders_range_is_clamped_and_drawn(visit, server):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    page.locator("#fw-presets input[value=spiral]").dispatch_event("click")
    page.wait_for_selector("#fw-parameter-amplitude input", state="visible")
    answers = []
    page.on("response", lambda response: answers.append(response.status))
    for typed, end in (("9999", "max"), ("-5", "min")):
        before = page.evaluate(f"JSON.stringify({stage_js(PATH_STAGE)}.state.cameras)")
        box = page.locator("#fw-parameter-amplitude input[type=number]")
        box.fill("")
        box.press_sequentially(typed, delay=30)
        box.press("Tab")
        page.wait_for_function(
            f"(() => {{ const box = document.querySelector('#fw-parameter-amplitude input[type=number]'); return box.value === box.{end}; }})()"
        )
        page.wait_for_function(f"JSON.stringify({stage_js(PATH_STAGE)}.state.cameras) !== {json.dumps(before)}")
        page.wait_for_timeout(500)
    assert max(answers) < 400
    assert page.locator("#fw-path-note .fw-bad").count() == 0


def test_refusal_is_shown_beside_its_input_and_cleared_by_the_next_edit(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    generate(page, text="")
    page.wait_for_selector("#fw-refusal .fw-bad")
    page.locator("#fw-prompt textarea").press_sequentially("a room")
    page.wait_for_selector("#fw-refusal .fw-bad", state="detached")
    open_tab(page, "From a file")
    page.fill("#fw-path-text textarea", "no path")
    page.wait_for_selector("#fw-path-note .fw-bad")
    page.locator(f"{PATH_STAGE} .fw-refused").get_by_text("cannot be used").wait_for()
    opacity = f"getComputedStyle({stage_js(PATH_STAGE)}.canvas).opacity"
    page.wait_for_function(f"{opacity} < 0.5")
    text, note = (page.locator(i).bounding_box() for i in ("#fw-path-text", "#fw-path-note"))
    assert 0 <= note["y"] - text["y"] - text["height"] < 40
    page.fill("#fw-path-text textarea", json.dumps(FORMS["own"]))
    page.wait_for_function(f"{opacity} === '1'")
    page.wait_for_selector(f"{PATH_STAGE} .fw-refused", state="hidden")


HIDDEN_BELOW_JS = """() => {
  const { activeElement: at } = document;
  if (!at || at === document.body || at.closest(".fw-launch")) return "";
  const [bar, box] = [document.querySelector(".fw-launch"), at].map((e) => e.getBoundingClientRect());
  const covered = box.height && box.bottom > bar.top + 1 && box.top < bar.bottom && box.right > bar.left && box.left < bar.right;
  return covered && box.height < innerHeight / 2 ? at.outerHTML.slice(0, 120) : "";
}"""


def test_keyboard_focus_is_never_hidden_by_the_bar_nor_lost(visit):
    page = visit(viewport={"width": 1280, "height": 720})
    page.locator("h1").first.click()
    hidden, lost = [], 0
    for _ in range(60):
        page.keyboard.press("Tab")
        page.wait_for_timeout(30)
        hidden.append(page.evaluate(HIDDEN_BELOW_JS))
        lost += page.evaluate("document.activeElement === document.body")
        assert page.locator("ul[role=listbox]:visible").count() <= 1
    assert not [place for place in hidden if place]
    assert lost <= 1, "from the last element to the browser's own controls"


def test_recorded_path_is_on_a_map_whenever_the_view_does_not_show_it(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    canvas = page.locator(f"{PATH_STAGE} canvas")
    canvas.focus()
    for key in ("w", "w", None):
        page.keyboard.press("k")
        if key:
            hold_until_moved(page, canvas, key, far=0.3)
    page.get_by_text("3 keyframes recorded").wait_for()
    page.wait_for_function(f"Boolean({stage_js(PATH_STAGE)}.world.inset)")
    page.locator(PATH_STAGE).get_by_role("button", name="Reset the view").click()
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.world.inset === null")
    help_line = page.locator(f"{PATH_STAGE} .fw-keys-help")
    assert help_line.evaluate("(e) => getComputedStyle(e).backgroundColor") not in ("transparent", "rgba(0, 0, 0, 0)")


def test_curved_path_of_few_views_is_drawn_as_a_curve(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    page.locator("#fw-presets input[value=spiral]").dispatch_event("click")
    page.wait_for_selector("#fw-parameter-amplitude input", state="visible")
    bends = f"""(() => {{ const {{ frusta, path }} = {stage_js(PATH_STAGE)};
      const p = frusta.children[1].geometry.attributes.position;
      let widest = 0;
      for (let i = 2; i < p.count; i += 1) {{
        const [a, b] = [1, 0].map((k) => [0, 1, 2].map((c) => p.array[3 * (i - k) + c] - p.array[3 * (i - k - 1) + c]));
        const dot = a.reduce((sum, v, c) => sum + v * b[c], 0) / (Math.hypot(...a) * Math.hypot(...b));
        widest = Math.max(widest, Math.acos(Math.min(1, dot)));
      }}
      return [p.count, path.length, widest]; }})()"""
    page.wait_for_function(f"{bends}[2] < 0.6 && {bends}[0] > 8 * {bends}[1]")


def test_picture_crop_is_shown_on_the_stage(visit, photo):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_selector("#fw-crop img")
    assert "cut off at the left and right" in page.inner_text("#fw-crop")
    page.wait_for_function(f"{stage_js(PATH_STAGE)}.picture !== null && {stage_js(PATH_STAGE)}.picture !== undefined")


def test_phone_has_no_sideways_scroll_and_records_by_touch(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, color_scheme="dark")
    wait_for_stage(page, PATH_STAGE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(PATH_STAGE).get_by_text("Record a path by hand").tap()
    button = page.locator(PATH_STAGE).get_by_role("button", name="Add keyframe")
    button.tap()
    button.tap()
    assert len(keyframes_of(page, PATH_STAGE)) == 2
    sizes = page.evaluate(
        f"[...document.querySelectorAll('{PATH_STAGE} button')].filter((b) => b.offsetParent).map((b) => b.offsetHeight)"
    )
    assert min(sizes) >= 36


def test_link_restores_the_settings(visit):
    page = visit("?text=a%20%3Cb%3Ehall%3C%2Fb%3E&path=spiral&parameters=%7B%22turns%22%3A3%7D&seed=77&fov=45")
    page.wait_for_function("document.querySelector('#fw-presets input:checked')?.value === 'spiral'")
    assert page.input_value("#fw-prompt textarea") == "a <b>hall</b>"
    page.wait_for_function("document.querySelector('#fw-parameter-turns input[type=number]').value === '3'")
    assert page.input_value("#fw-seed input") == "77"


def test_link_carries_a_recorded_path_and_one_from_a_file(visit, server):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    wait_for_stage(page, PATH_STAGE)
    canvas = page.locator(f"{PATH_STAGE} canvas")
    canvas.focus()
    page.keyboard.press("k")
    hold_until_moved(page, canvas, "d", far=0.3)
    page.keyboard.press("k")
    page.get_by_text("2 keyframes recorded").wait_for()
    keys = keyframes_of(page, PATH_STAGE)
    first = copied_link(page)
    other = visit(first.removeprefix(server))
    other.get_by_text("2 keyframes recorded").wait_for()
    wait_for_stage(other, PATH_STAGE)
    other.wait_for_function(f"{stage_js(PATH_STAGE)}.keyframes.list.length === 2")
    assert keyframes_of(other, PATH_STAGE)[1]["position"] == pytest.approx(keys[1]["position"], abs=2e-5)

    open_tab(page, "From a file")
    page.fill("#fw-path-text textarea", json.dumps(FORMS["own"]))
    page.wait_for_function(f"Math.abs({stage_js(PATH_STAGE)}.state.cameras.at(-1)[2] - 1) < 1e-3")
    third = visit(copied_link(page, first).removeprefix(server))
    wait_for_stage(third, PATH_STAGE)
    third.wait_for_function(f"Math.abs({stage_js(PATH_STAGE)}.state.cameras.at(-1)[2] - 1) < 1e-3")


def copied_link(page, other: str = "") -> str:
    """The link that the button shows, once it differs from `other`."""
    page.locator("#fw-share").click()
    page.wait_for_function(
        "(other) => { const box = document.querySelector('#fw-link textarea, #fw-link input'); return box?.value && box.value !== other; }",
        arg=other,
    )
    return page.input_value("#fw-link textarea, #fw-link input")
