"""Power use: nothing is drawn that is static, hidden, or moving against the visitor's preference."""

from __future__ import annotations

from steps import DONE, SCENE_STAGE, generate_and_wait, open_tab, stage_js

STAGE = stage_js(SCENE_STAGE)
FRAMES = f"{STAGE}.world.frames"
HIDE_JS = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
QUICK_JS = f"{STAGE}.player.seconds = 0.3"
"""The path in a third of a second instead of six."""


def moving_page(visit, **options):
    page = visit(reduced_motion="no-preference", **options)
    page.wait_for_function(f"{STAGE}?.player.playing")
    page.evaluate(f"{STAGE}.judged = null")  # software rendering would be judged too slow to play
    return page


def drawn_in(page, milliseconds: int = 700) -> int:
    before = page.evaluate(FRAMES)
    page.wait_for_timeout(milliseconds)
    return page.evaluate(FRAMES) - before


def wait_for_rest(page) -> None:
    for _ in range(40):
        if drawn_in(page, 500) == 0:
            return
    raise AssertionError("drawing does not stop")


def test_opening_path_plays_forth_and_back_twice_and_then_stops(visit):
    page = moving_page(visit)
    page.evaluate(
        f"""() => {{ const {{ player }} = {STAGE}; const advance = player.advance.bind(player);
        window.turns = []; player.advance = (seconds) => {{ const way = player.way; const on = advance(seconds);
          if (player.way !== way) window.turns.push(player.way); return on; }}; }}"""
    )
    page.evaluate(QUICK_JS)
    page.wait_for_function(f"!{STAGE}.player.playing")
    assert page.evaluate("window.turns") == [-1, 1, -1, 1]
    assert page.evaluate(f"{STAGE}.player.place") == 0
    page.locator(SCENE_STAGE).get_by_role("button", name="Play the path").wait_for()
    wait_for_rest(page)
    page.locator(SCENE_STAGE).get_by_role("button", name="Play the path").click()
    page.wait_for_function(f"{STAGE}.player.place > 0")


def test_nothing_is_drawn_while_another_tab_of_page_or_browser_is_shown(visit):
    page = moving_page(visit)
    open_tab(page, "Path")
    page.wait_for_function(f"!{STAGE}.world.onScreen")
    assert drawn_in(page) == 0
    open_tab(page, "Fly")
    page.wait_for_function(f"(before) => {FRAMES} > before", arg=page.evaluate(FRAMES))
    page.evaluate(HIDE_JS, True)
    page.wait_for_timeout(300)
    assert drawn_in(page) == 0
    page.evaluate(HIDE_JS, False)
    page.wait_for_function(f"(before) => {FRAMES} > before", arg=page.evaluate(FRAMES))
    assert page.evaluate(f"{STAGE}.player.playing")


def test_nothing_is_drawn_while_the_view_is_scrolled_away(visit):
    page = moving_page(visit, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_function(f"!{STAGE}.world.onScreen")
    page.wait_for_timeout(300)
    assert drawn_in(page) == 0
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function(f"(before) => {FRAMES} > before", arg=page.evaluate(FRAMES))


def test_reduced_motion_gives_a_still_scene_also_while_it_plays(visit):
    page = moving_page(visit)
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"!{STAGE}.player.playing")
    wait_for_rest(page)
    still = visit()
    still.wait_for_function(f"{STAGE}?.slot.mesh")
    wait_for_rest(still)
    assert not still.evaluate(f"{STAGE}.player.playing")


def test_scene_at_rest_is_shown_instead_of_its_poster(visit):
    page = visit()
    page.wait_for_function(f"{STAGE}?.slot.mesh")
    page.wait_for_function(f"!{STAGE}.overlay.postered")
    generate_and_wait(page)
    page.wait_for_function(f"{STAGE}.slot.mesh && {STAGE}.slot.url === {STAGE}.root.dataset.scene")
    page.wait_for_function(f"!{STAGE}.overlay.postered")
    wait_for_rest(page)


def test_video_pauses_while_hidden_and_stays_paused_if_the_visitor_paused_it(visit):
    page = visit(reduced_motion="no-preference")
    generate_and_wait(page)
    open_tab(page, "Film")
    page.wait_for_function(f"document.querySelector('{DONE}')?.paused === false")
    open_tab(page, "Path")
    page.wait_for_function(f"document.querySelector('{DONE}').paused")
    open_tab(page, "Film")
    page.wait_for_function(f"!document.querySelector('{DONE}').paused")
    page.evaluate(f"document.querySelector('{DONE}').pause()")
    open_tab(page, "Path")
    page.wait_for_timeout(300)
    open_tab(page, "Film")
    page.wait_for_timeout(300)
    assert page.evaluate(f"document.querySelector('{DONE}').paused")
