"""Requests to the server: they end when the visitor stops, and no two listeners keep each other going."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter

from steps import SMALL, generate_and_wait, open_plain, open_tab, show_scene

SETTLED_MS, WAIT_MS, LATE_MS = 1000, 30_000, 60
SLIDER = "#fw-parameter-angle_deg input[type=range]"


def test_no_event_has_two_listeners_that_are_remembered(server):
    """Gradio sends the whole event again for each call it has remembered: two such listeners never come to rest."""
    with urllib.request.urlopen(f"{server}config") as answer:
        config = json.load(answer)
    names = {part["id"]: part["props"].get("elem_id") or part["props"].get("label") for part in config["components"]}
    remembered = Counter(
        (component, event)
        for listener in config["dependencies"]
        if listener["backend_fn"] and listener["trigger_mode"] == "always_last"
        for component, event in listener["targets"]
    )
    assert remembered
    assert [(names[component], event) for (component, event), count in remembered.items() if count > 1] == []


def type_and_slide(page) -> None:
    page.locator("#fw-prompt textarea").press_sequentially("a red ball on grass before a wall", delay=15)
    page.locator(SLIDER).focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")


def test_requests_end_after_typing_and_moving_sliders(visit):
    page = visit()
    last = []
    page.on("request", lambda request: last.append(request.url))
    # Answers that come a little late, as over a real network: while one is on its way, the next are remembered.
    page.route("**/run/predict", lambda route: (page.wait_for_timeout(LATE_MS), route.continue_()))
    type_and_slide(page)
    for _ in range(WAIT_MS // SETTLED_MS):
        before = len(last)
        page.wait_for_timeout(SETTLED_MS)
        if len(last) == before:
            return
    raise AssertionError(Counter(last[-100:]))


def test_quick_look_opens_although_its_code_was_lost_once(visit, watch):
    """Gradio loads its viewer's code when a scene is first shown, and would never ask for it again."""
    watch.expected = ("Canvas3DGS", "Failed to load resource")
    page = visit(viewport=SMALL)
    lost = []

    def lose_once(route):
        lost.append(route.request.url)
        if len(lost) == 1:
            route.abort()
        else:
            route.continue_()

    page.route("**/Canvas3DGS*.js", lose_once)
    generate_and_wait(page)
    show_scene(page)
    open_plain(page)
    assert len(lost) > 1


def test_quick_look_left_while_it_starts_again_draws_nothing(visit, watch, server):
    watch.expected = ("Canvas3DGS", "Failed to load resource")
    with urllib.request.urlopen(f"{server}config") as answer:
        listeners = json.load(answer)["dependencies"]
    (again,) = (listener["id"] for listener in listeners if any(event == "again" for _, event in listener["targets"]))
    (start,) = (listener["id"] for listener in listeners if listener["trigger_after"] == again)
    page = visit(viewport=SMALL)
    page.route("**/Canvas3DGS*.js", lambda route: route.abort())
    generate_and_wait(page)
    show_scene(page)
    answers = {}

    def note(response) -> None:
        if "run/predict" in response.url:
            answers[json.loads(response.request.post_data)["fn_index"]] = response.json()["data"]

    def leave_first(route) -> None:
        if json.loads(route.request.post_data)["fn_index"] == again:
            page.get_by_role("tab", name="Fly", exact=True).click()
        route.continue_()

    page.on("response", note)
    page.route("**/run/predict", leave_first)
    open_tab(page, "Quick look")
    page.wait_for_function("document.querySelector('#fw-plain').offsetParent === null")
    while start not in answers:
        page.wait_for_timeout(SETTLED_MS)
    assert answers[again][0]["path"].endswith("blank.splat")
    assert answers[start][0]["__type__"] == "update" and "value" not in answers[start][0]
