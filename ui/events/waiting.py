"""Text for the number of people ahead of a visitor and the approximate waiting time."""

from __future__ import annotations

from ui.texts import html


def place_text(ahead: int | None, seconds_each: float, at_once: int) -> str:
    """HTML such as "2 people ahead of you · about 40 s"; empty if the visitor is not waiting.

    Args:
        ahead: From `ui.gradio_compat.people_ahead`.
        seconds_each: Duration of one generation.
        at_once: Number of generations that run at the same time.
    """
    if ahead is None:
        return ""
    if ahead == 0:
        return html("waiting.next")
    people = html("waiting.one") if ahead == 1 else html("waiting.many", people=ahead)
    return f"{people} · {about(seconds_each * ahead / at_once)}"


def about(seconds: float) -> str:
    """A rounded duration as HTML: "a few seconds", "about 25 s", "about 3 min"."""
    if seconds < 5:
        return html("waiting.few")
    if seconds < 90:
        return html("waiting.about_s", seconds=max(5, round(seconds / 5) * 5))
    return html("waiting.about_min", minutes=round(seconds / 60))


def seconds_left(elapsed: float, fraction: float, estimate: float) -> float:
    """Remaining time of a running job: from the estimate at first, increasingly from its own pace, or once it is late.

    Args:
        elapsed: Seconds since it started.
        fraction: Completed fraction, 0 to 1.
        estimate: Expected total seconds.
    """
    by_estimate = max(estimate - elapsed, 0.0)
    if fraction <= 0:
        return by_estimate
    by_pace = elapsed * (1 - fraction) / fraction
    if elapsed > estimate:
        return by_pace
    return (1 - fraction) * by_estimate + fraction * by_pace
