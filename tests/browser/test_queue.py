"""The queue: position shown, cancelled before the start, served when a worker is free."""

from __future__ import annotations

import pytest
from gradio_client import Client
from steps import generate, wait_for_result

AHEAD = "2 people ahead of you · a few seconds"
STEPS = "#fw-progress .fw-steps"


@pytest.fixture
def held_jobs(server, standin_log, release):
    """Two API clients that occupy both workers until `release` exists."""
    client = Client(server, verbose=False, httpx_kwargs={"timeout": 120})  # seconds that nothing may be heard
    return [client.submit(f"held {name}", api_name="/generate_from_text") for name in ("first", "second")]


def test_queued_visitor_sees_the_position_can_cancel_and_is_served_in_the_end(visit, standin_log, release, held_jobs):
    page = visit()
    generate(page, "third in line", seed=33)
    page.get_by_text(AHEAD).wait_for()
    assert "Waiting for a free place" in page.inner_text("#fw-progress")
    page.locator("#fw-stop").dispatch_event("click")
    page.get_by_text("Stopped. No files were made").wait_for()
    page.wait_for_selector("#fw-generate", state="visible")
    assert page.input_value("#fw-prompt textarea") == "third in line"
    assert page.input_value("#fw-seed input") == "33"
    generate(page, "fourth in line", seed=44)
    page.get_by_text(AHEAD).wait_for()  # the place in the queue was released, and the new position is shown
    assert page.locator(STEPS).count() == 0
    release.touch()
    wait_for_result(page)
    assert "Seed 44" in page.inner_text("#fw-facts")
    assert all(job.result(timeout=120)["gaussians"] > 0 for job in held_jobs)
    assert "begun third in line" not in standin_log.read_text()
