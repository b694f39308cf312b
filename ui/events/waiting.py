"""How many people wait before a visitor, and for about how long, in words."""

from __future__ import annotations

from ui.texts import html


def place_text(ahead: int | None, seconds_each: float, at_once: int) -> str:
    """As HTML, such as "2 people ahead of you · about 40 s"; empty when nothing waits.

    Args:
        ahead: As `ui.gradio_compat.people_ahead` gives it.
        seconds_each: What one generation takes.
        at_once: How many run at the same time.
    """
    if ahead is None:
        return ""
    if ahead == 0:
        return html("waiting.next")
    people = html("waiting.one") if ahead == 1 else html("waiting.many", people=ahead)
    return f"{people} · {about(seconds_each * ahead / at_once)}"


def about(seconds: float) -> str:
    """A duration as people would guess it, as HTML: "a few seconds", "about 25 s", "about 3 min"."""
    if seconds < 5:
        return html("waiting.few")
    if seconds < 90:
        return html("waiting.about_s", seconds=max(5, round(seconds / 5) * 5))
    return html("waiting.about_min", minutes=round(seconds / 60))


def seconds_left(elapsed: float, fraction: float, estimate: float) -> float:
    """What remains of a running job: the estimate at first, its own pace the further it is, or once it is late.

    Args:
        elapsed: Seconds since it began.
        fraction: How much is done, 0 to 1.
        estimate: Seconds it was expected to take.
    """
    by_estimate = max(estimate - elapsed, 0.0)
    if fraction <= 0:
        return by_estimate
    by_pace = elapsed * (1 - fraction) / fraction
    if elapsed > estimate:
        return by_pace
    return (1 - fraction) * by_estimate + fraction * by_pace
