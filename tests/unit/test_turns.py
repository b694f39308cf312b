from __future__ import annotations

import threading

from ui.events.turns import Turns


def take_in_thread(turns: Turns, page: str) -> threading.Event:
    taken = threading.Event()
    threading.Thread(target=lambda: (turns.take(page), taken.set()), daemon=True).start()
    return taken


def test_next_job_of_a_page_waits_until_the_cancellation_is_done():
    turns = Turns()
    turns.take("page")
    turns.stop("page")
    assert turns.stopping("page")
    taken = take_in_thread(turns, "page")
    turns.take("another page")
    turns.succeeded("page")  # sent by the browser while the cancellation is in progress
    assert not taken.wait(0.05)
    turns.end("page")
    assert taken.wait(5)
    assert not turns.stopping("page")


def test_success_ends_a_job_that_is_not_cancelled():
    turns = Turns()
    turns.take("page")
    turns.succeeded("page")
    assert take_in_thread(turns, "page").wait(5)


def test_browser_that_never_reports_completion_does_not_block_for_ever():
    turns = Turns(hold_seconds=0.01)
    turns.take("page")
    turns.stop("page")
    assert take_in_thread(turns, "page").wait(5)
