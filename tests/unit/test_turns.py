from __future__ import annotations

import threading

from ui.events.turns import Turns


def take_behind(turns: Turns, page: str) -> threading.Event:
    taken = threading.Event()
    threading.Thread(target=lambda: (turns.take(page), taken.set()), daemon=True).start()
    return taken


def test_next_job_of_a_page_is_held_until_the_cancel_is_done():
    turns = Turns()
    turns.take("page")
    turns.stop("page")
    assert turns.stopping("page")
    taken = take_behind(turns, "page")
    turns.take("another page")
    turns.succeeded("page")  # what the browser says while the cancel is under way
    assert not taken.wait(0.05)
    turns.end("page")
    assert taken.wait(5)
    assert not turns.stopping("page")


def test_success_ends_a_job_that_nobody_stops():
    turns = Turns()
    turns.take("page")
    turns.succeeded("page")
    assert take_behind(turns, "page").wait(5)


def test_browser_that_never_says_it_is_done_holds_nobody_for_ever():
    turns = Turns(hold_seconds=0.01)
    turns.take("page")
    turns.stop("page")
    assert take_behind(turns, "page").wait(5)
