"""Generate and Stop: checked before the queue, followed step by step, stopped at any step."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from flashworld.checks import whole_number
from flashworld.errors import InputError
from flashworld.limits import MAX_FRAMES
from flashworld.progress import Progress
from ui.components.progress_view import PLACE_JS, message_html, plain_text, preview_of, progress_html, waiting_html
from ui.contract import Service
from ui.events.job import FormValues, draw_seed, run_job, visitor_error
from ui.events.latest import on_latest
from ui.events.quiet import QUIET
from ui.events.turns import Turns
from ui.events.waiting import place_text, seconds_left
from ui.gradio_compat import people_ahead
from ui.parts.inputs import InputsPart
from ui.parts.path import PathPart, read_form
from ui.parts.plain import connect_plain
from ui.parts.result import ResultPart, connect_landing, result_updates, stale_html
from ui.parts.run import RunPart, estimate_seconds, estimating, read_settings
from ui.sessions import Sessions
from ui.texts import html

JOBS = "flashworld-jobs"
"""Page and API share one queue and one limit."""
SETTINGS = 5
"""Number of values of `RunPart.inputs`."""
SCROLL_JS = """() => {
  const top = document.getElementById("fw-result").getBoundingClientRect().top;
  if (top < 0 || top > innerHeight / 2) document.getElementById("fw-result").scrollIntoView({ block: "start" });
}"""
"""Scroll to the progress if it is out of view, as on a phone."""


def read_values(
    image: str | None, text: str, fov: float, index: float, seed: float | None, randomize: bool, *rest: Any
) -> FormValues:
    """The values of all controls, in the order of `connect_generate`."""
    settings = read_settings(*rest[:SETTINGS])
    index = min(whole_number(index, "image_index", 0, MAX_FRAMES), settings.frames - 1)
    path = read_form(*rest[SETTINGS:])
    return FormValues(image, text or "", path, settings, float(fov), index, draw_seed(seed, randomize))


def refusal_of(*values: Any) -> str:
    """The error in the form, in one sentence; empty if there is none."""
    try:
        read_values(*values).request()
    except InputError as error:
        return str(error)
    return ""


def connect_generate(
    page: gr.Blocks,
    service: Service,
    sessions: Sessions,
    inputs: InputsPart,
    path: PathPart,
    run: RunPart,
    result: ResultPart,
) -> list[Any]:
    """Connect the two buttons. Returns the inputs in the order of `read_values`."""
    values = [
        inputs.image, inputs.prompt, path.fov, path.image_index, run.seed, run.randomize, *run.inputs, *path.inputs,
    ]  # fmt: skip
    turns = Turns()
    buttons = [run.generate, run.stop, run.line]
    admitted = [run.refusal, run.ticket, run.place, result.progress, *buttons]
    run.generate.click(_admission(turns, len(admitted)), values, admitted, **QUIET)
    _connect_line(page, service, run, inputs.image)
    run.ticket.change(None, js=SCROLL_JS, **QUIET)
    running = run.ticket.change(
        _job(service, sessions, shown=len(result.outputs)),
        values, [result.progress, *buttons, run.seed, result.made_from, result.arrived, *result.outputs],
        concurrency_limit=service.concurrency, concurrency_id=JOBS, show_progress="minimal",
        show_progress_on=[result.progress], api_visibility="private", trigger_mode="once",
    )  # fmt: skip
    _connect_ends(page, turns, running, run, [result.progress, *buttons])
    _connect_arrival(running, inputs, result)
    _connect_refusal(run, values)
    running.then(**estimating(service, run, inputs.image), **QUIET)
    page.load(**estimating(service, run, inputs.image), **QUIET)
    connect_plain(result.plain, [result.path_tab, result.video_tab, result.scene_tab], sessions, **QUIET)
    return values


def _buttons(*, busy: bool, waiting: bool = False) -> list[dict]:
    """Updates of Generate, Stop and the timer that polls the position in the queue."""
    return [gr.update(visible=not busy), gr.update(visible=busy), gr.update(active=waiting)]


def _admission(turns: Turns, outputs: int) -> Callable[..., list]:
    """The check before the queue: a new ticket starts the job, a refusal is shown next to the button and changes nothing else."""

    def admit(request: gr.Request, *given: Any) -> list:
        refusal = refusal_of(*given)
        if refusal:
            return [message_html(refusal, bad=True), *[gr.skip()] * (outputs - 1)]
        turns.take(request.session_hash or "")
        # Reset the position of an earlier wait: a position is written only when it changes.
        return ["", secrets.token_hex(8), "", waiting_html(), *_buttons(busy=True, waiting=True)]

    return admit


def _job(service: Service, sessions: Sessions, *, shown: int) -> Callable[..., Iterator[list]]:
    """Run a ticket's job step by step; `shown` is the number of components that show a result."""
    nothing = [gr.skip()] * (3 + shown)

    def job(request: gr.Request, *given: Any) -> Iterator[list]:
        try:
            form = read_values(*given)
            checked = form.request()
        except InputError as error:
            yield [message_html(str(error), bad=True), *_buttons(busy=False), *nothing]
            raise visitor_error(error) from error
        # The scene's updates are repeated with later steps: Gradio keeps only the last one for a tab that is not open.
        picture, arrived, scene = None, "", nothing
        expected, start = estimate_seconds(service, form.settings, form.image), time.monotonic()
        try:
            for step in run_job(service, sessions, checked, request.session_hash or ""):
                if isinstance(step, Progress):
                    picture, now = preview_of(step, picture), time.monotonic()
                    start = now if step.waiting else start  # the estimate does not include waiting
                    left = None if step.waiting else seconds_left(now - start, step.fraction, expected)
                    yield [progress_html(step, picture, left, aside=bool(arrived)), *_buttons(busy=True), *scene]
                else:
                    progress = "" if step.complete else gr.skip()
                    arrived = arrived or secrets.token_hex(8)
                    scene = [step.seed, (form.image, form.text), arrived, *result_updates(step)]
                    yield [progress, *_buttons(busy=not step.complete), *scene]
        except gr.Error as error:
            yield [message_html(plain_text(str(error.message)), bad=True), *_buttons(busy=False), *nothing]
            raise

    return job


def _connect_ends(page: gr.Blocks, turns: Turns, running: Any, run: RunPart, outputs: list[Any]) -> None:
    """Connect Stop, and the events after a job has succeeded, failed or been stopped; `outputs` begin with the progress."""

    def stopped(request: gr.Request) -> list:
        turns.stop(request.session_hash or "")
        return [message_html(html("run.stopped")), *_buttons(busy=False)]

    def held(request: gr.Request) -> Any:
        """The message shown immediately if the next job has to wait for the stopped one to end."""
        waits = turns.stopping(request.session_hash or "")
        return message_html(html("run.ending")) if waits else gr.skip()

    def succeeded(request: gr.Request) -> None:
        turns.succeeded(request.session_hash or "")

    def ended(progress: str, request: gr.Request) -> list:
        """After failure or stop: restore the buttons, and report a job that never started."""
        turns.end(request.session_hash or "")
        unfinished = "fw-progress" in (progress or "")
        text = message_html(html("run.full"), bad=True)
        return [text if unfinished else gr.skip(), *_buttons(busy=False)]

    def left(request: gr.Request) -> None:
        turns.end(request.session_hash or "")

    run.stop.click(stopped, None, outputs, cancels=[running], **QUIET)
    run.generate.click(held, None, outputs[0], **QUIET)
    running.success(succeeded, **QUIET)
    running.failure(ended, outputs[0], outputs, **QUIET)
    page.unload(left)


def _connect_arrival(running: Any, inputs: InputsPart, result: ResultPart) -> None:
    """Connect the tab in which a result is shown, and the note that its picture or prompt has changed since."""
    connect_landing(result.arrived.change, result)
    present = [result.made_from, inputs.image, inputs.prompt]
    changes = [result.arrived.change, inputs.image.change, inputs.prompt.change]
    on_latest(changes, stale_html, present, result.stale)


def _connect_refusal(run: RunPart, values: list[Any]) -> None:
    """Hide a refusal at the next change of the form: it may no longer apply, and Generate checks again."""
    changes = [value.change for value in values if not isinstance(value, gr.State)]
    gr.on(changes, None, None, run.refusal, js="() => ''", **QUIET)


def _connect_line(page: gr.Blocks, service: Service, run: RunPart, image: gr.Image) -> None:
    """While a visitor waits, show how many are ahead."""

    def look(image: str | None, request: gr.Request, *given: Any) -> str:
        ahead = people_ahead(page._queue, JOBS, request.session_hash or "")
        try:
            each = estimate_seconds(service, read_settings(*given), image)
        except InputError:  # the form was edited since; the waiting request is the one that was checked
            return ""
        return place_text(ahead, each, service.concurrency)

    run.line.tick(look, [image, *run.inputs], run.place, **QUIET)
    run.place.change(None, run.place, None, js=PLACE_JS, **QUIET)
