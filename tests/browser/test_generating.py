"""From Generate to the files: progress, results, Stop, failures, reloads, two visitors."""

from __future__ import annotations

import json
import re
import urllib.request
import zipfile

import pytest
from steps import (
    DONE,
    PATH_STAGE,
    RESULT_JS,
    SCENE_STAGE,
    generate,
    generate_and_wait,
    keyframes_of,
    open_tab,
    show_scene,
    stage_js,
    wait_for_result,
    wait_for_stage,
    wait_for_tab,
)


def test_a_picture_becomes_a_video_a_scene_and_files(visit, photo, tmp_path):
    page = visit(reduced_motion="no-preference")
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_selector("#fw-crop img")
    generate(page, "a slow red letter")
    page.wait_for_selector(".fw-progress img")
    page.locator("#fw-progress .fw-steps").get_by_text("Denoising the views").wait_for()
    wait_for_result(page)
    video = page.locator(DONE)
    open_tab(page, "Film")
    page.wait_for_function("!document.querySelector('#fw-video video').paused")
    assert video.evaluate("(v) => [v.muted, v.loop, v.autoplay, Boolean(v.poster)].every(Boolean)")
    seed = re.search(r"Seed (\d+)", page.inner_text("#fw-facts")).group(1)
    assert page.input_value("#fw-seed input") == seed
    for name, pattern in {"ply": r"PLY · [\d.]+ (MB|kB)", "video": r"MP4 · ", "zip": r"ZIP · "}.items():
        assert re.match(pattern, page.inner_text(f"#fw-download-{name}"))
    with page.expect_download() as saved:
        page.click("#fw-download-zip")
    saved.value.save_as(tmp_path / "all.zip")
    assert {"scene.ply", "video.mp4", "path.json"} <= set(zipfile.ZipFile(tmp_path / "all.zip").namelist())
    show_scene(page)
    page.locator(f"{SCENE_STAGE} .fw-scrub").fill("3")
    assert page.evaluate(f"{stage_js(SCENE_STAGE)}.player.place") == 3
    page.locator(SCENE_STAGE).get_by_role("button", name="Play the path").click()
    page.wait_for_function(f"{stage_js(SCENE_STAGE)}.player.place > 3.1")
    page.locator(SCENE_STAGE).get_by_role("button", name="Reset the view").click()
    page.locator(f"{SCENE_STAGE} canvas").focus()
    page.keyboard.press("k")
    assert len(keyframes_of(page, SCENE_STAGE)) == 1
    page.get_by_text("1 keyframe recorded").wait_for()


def test_stop_stops_and_the_next_job_runs(visit, standin_log):
    page = visit()
    generate(page, "slow, stopped")
    page.wait_for_selector("#fw-stop")
    page.wait_for_selector(".fw-progress img, .fw-progress .fw-steps")
    page.locator("#fw-stop").dispatch_event("click")
    page.get_by_text("Stopped. No files were made").wait_for()
    page.wait_for_selector("#fw-generate", state="visible")
    page.wait_for_timeout(1500)
    assert page.evaluate(RESULT_JS) == ""
    assert "Stopped" in page.inner_text("#fw-progress")
    assert "closed slow, stopped" in standin_log.read_text()
    generate_and_wait(page)


@pytest.mark.parametrize("after_s", [0.0, 0.4, 1.0, 2.0])
def test_generate_soon_after_stop_starts_and_can_be_stopped_itself(visit, standin_log, after_s):
    page = visit()
    for name in (f"slow, first {after_s}", f"slow, second {after_s}"):
        generate(page, name)
        page.wait_for_selector("#fw-progress .fw-steps")
        page.locator("#fw-stop").dispatch_event("click")
        page.wait_for_selector("#fw-generate", state="visible")
        page.wait_for_timeout(1000 * after_s)
    generate_and_wait(page, f"third {after_s}")
    assert page.locator("#fw-progress .fw-bad").count() == 0
    log = standin_log.read_text()
    for name in ("first", "second"):
        assert f"closed slow, {name} {after_s}" in log


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("broken", "Something went wrong on our side"), ("refused", "Camera 3: <b>this</b> path cannot be used")],
)
def test_failures_are_one_plain_sentence(visit, prompt, text):
    page = visit()
    generate(page, prompt)
    page.wait_for_selector("#fw-progress .fw-message.fw-bad")
    assert text in page.inner_text("#fw-progress")
    assert "secret" not in page.content()
    assert page.locator("#fw-progress b").count() == 0
    page.wait_for_selector("#fw-generate", state="visible")
    assert page.input_value("#fw-prompt textarea") == prompt


def test_reload_during_a_run_cancels_it_and_the_page_works(visit, watch, standin_log):
    watch.expected = ("AbortError", "Connection errored out")  # Gradio's errors on the page being unloaded
    page = visit()
    generate(page, "slow, reloaded")
    page.wait_for_selector(".fw-progress .fw-steps")
    page.reload()
    page.wait_for_selector("#fw-generate", state="visible")
    assert page.locator(".fw-progress").count() == 0
    generate_and_wait(page)
    assert "closed slow, reloaded" in standin_log.read_text()


def test_two_visitors_at_once_get_their_own_scenes(visit):
    first, second = visit(), visit()
    generate(first, "slow one", seed=11)
    generate(second, "another", seed=22)
    for page, seed in ((second, 22), (first, 11)):
        wait_for_result(page)
        assert f"Seed {seed}" in page.inner_text("#fw-facts")
    sources = [page.evaluate(RESULT_JS) for page in (first, second)]
    assert sources[0] != sources[1]


def test_missing_and_damaged_scenes_are_reported(visit, watch):
    watch.expected = ("403 (Forbidden)", "404 (Not Found)")  # the browser's own line for a file that is gone
    page = visit()
    generate_and_wait(page)
    show_scene(page)
    failure = page.locator(f"{SCENE_STAGE} .fw-failure")
    load = f"{stage_js(SCENE_STAGE)}.setScene({{ url: %s, kind: 'spz', bytes: 0 }})"
    gone = page.evaluate(f"{stage_js(SCENE_STAGE)}.slot.url").replace("scene.spz", "gone.spz")
    page.evaluate(load % f"'{gone}'")
    failure.get_by_text("The scene file is gone").wait_for()
    page.evaluate(load % "URL.createObjectURL(new Blob([new Uint8Array([31, 139, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8])]))")
    failure.get_by_text("damaged").wait_for()
    page.evaluate(load % f"'{gone.replace('gone.spz', 'scene.spz')}'")
    failure.wait_for(state="hidden")


def test_without_webgl_the_rest_of_the_page_works(server, launch, watch):
    page = launch("--disable-gpu", "--disable-3d-apis").new_page()
    watch.attach(page)
    page.goto(server)
    page.get_by_text("This browser cannot show 3D").first.wait_for()
    generate_and_wait(page)
    open_tab(page, "Fly")
    page.locator(SCENE_STAGE).get_by_text("This browser cannot show 3D").wait_for()


def test_api_clients_use_the_same_server(server, photo):
    from gradio_client import Client, handle_file

    client = Client(server, verbose=False)
    answer = client.predict(handle_file(photo), "a room", path="forward", seed=5, api_name="/generate")
    assert answer["seed"] == 5
    assert {"ply", "spz", "video", "zip"} <= set(answer["files"])
    words = client.predict("a room", api_name="/generate_from_text")
    assert words["gaussians"] > 0
    with pytest.raises(ValueError, match="picture or a text"):
        client.predict(None, "", api_name="/generate")
    with urllib.request.urlopen(server + "gradio_api/mcp/schema") as response:
        assert {tool["name"] for tool in json.load(response)} == {"generate", "generate_from_text"}
    endpoints = json.loads(json.dumps(client.view_api(return_format="dict")))["named_endpoints"]
    assert set(endpoints) == {"/generate", "/generate_from_text"}


LEFT = "#fw-progress .fw-left"


def test_time_left_counts_down_shows_an_overrun_and_depends_on_a_picture(visit, photo):
    page = visit()
    page.wait_for_function("document.querySelector('#fw-estimate').innerText.includes('About')")
    words = page.inner_text("#fw-estimate")
    page.set_input_files("#fw-image input[type=file]", photo)
    page.wait_for_function(f"document.querySelector('#fw-estimate').innerText !== {words!r}")
    generate(page, "slow and frozen")  # no progress arrives while the browser counts down
    page.wait_for_function(f"/\\d+ s left/.test(document.querySelector('{LEFT}')?.textContent)")
    first = page.inner_text(LEFT)
    page.wait_for_function(f"![{first!r}, ''].includes(document.querySelector('{LEFT}').textContent)")
    page.locator(LEFT).get_by_text("Longer than expected").wait_for()


def test_end_of_a_run_keeps_the_chosen_tab_and_shifts_no_layout(visit):
    page = visit()
    wait_for_stage(page, PATH_STAGE)
    before = page.locator(f"{PATH_STAGE} .fw-view").bounding_box()
    generate(page, "slow, watched")
    page.wait_for_selector("#fw-progress .fw-steps")
    assert page.locator(f"{PATH_STAGE} .fw-view").bounding_box() == before
    open_tab(page, "Quick look")
    page.wait_for_selector("#fw-progress.fw-aside")
    wait_for_result(page)
    page.wait_for_selector("#fw-generate", state="visible")
    page.wait_for_timeout(1500)
    wait_for_tab(page, "Quick look")
    open_tab(page, "Path")
    generate_and_wait(page)
    wait_for_tab(page, "Fly")


def test_estimate_is_current_when_the_page_opens_and_after_a_scene(visit):
    page = visit()
    page.wait_for_function("document.querySelector('#fw-estimate').innerText.includes('About')")
    page.wait_for_timeout(1000)  # what opening the page asks for has been answered
    before = page.inner_text("#fw-estimate")
    generate_and_wait(page)
    page.wait_for_function(f"document.querySelector('#fw-estimate').innerText !== {before!r}")
    after = page.inner_text("#fw-estimate")
    again = visit()
    again.wait_for_function(f"document.querySelector('#fw-estimate').innerText === {after!r}")
