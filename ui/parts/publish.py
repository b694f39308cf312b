"""The button that publishes the displayed scene, after a confirmation that explains what is uploaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from flashworld.errors import WriteError
from ui import publish
from ui.components.pictures import error_html
from ui.contract import Result
from ui.events.quiet import QUIET
from ui.parts.result import ResultPart
from ui.sessions import Sessions
from ui.texts import Html, html, text

AT_ONCE = 2
"""Maximum number of concurrent uploads."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishPart:
    """The button, its confirmation, and the outcome."""

    button: gr.Button
    question: gr.Column
    confirm: gr.Button
    said: gr.HTML


def build_publish(actions: gr.Row) -> PublishPart | None:
    """Draw the button in the row of a result's actions; nothing if publishing is not available."""
    if not (publish.host_repo() or publish.visitors_sign_in()):
        return None
    with actions:
        button = gr.Button(text("publish.button"), size="sm", min_width=90, variant="secondary", elem_id="fw-publish")
        if publish.visitors_sign_in():
            gr.LoginButton(size="sm", min_width=90, elem_id="fw-sign-in")
    with gr.Column(visible=False, elem_id="fw-publish-question") as question:
        gr.HTML(f'<p class="fw-note">{html("publish.question")}</p>', apply_default_css=False)
        confirm = gr.Button(text("publish.confirm"), size="sm", variant="primary", elem_id="fw-publish-confirm")
    said = gr.HTML("", elem_id="fw-published", apply_default_css=False)
    return PublishPart(button, question, confirm, said)


def connect_publish(part: PublishPart | None, result: ResultPart, sessions: Sessions) -> None:
    """Confirm, then upload; a signed-in visitor publishes to their own dataset, others to the host's."""
    if part is None:
        return

    def ask(shown: Result | None) -> list:
        own = shown is not None and any(file.is_relative_to(sessions.root) for file in shown.files.values())
        return [gr.update(visible=own), "" if own else error_html(html("publish.nothing"))]

    def upload(shown: Result | None, user: str | None, token: str | None) -> list:
        repo = publish.own_repo(user) if user and token else publish.host_repo()
        if shown is None or repo is None:
            return [gr.update(visible=False), error_html(html("publish.nothing" if repo else "publish.sign_in"))]
        try:
            address = publish.publish(shown, repo, token)
        except WriteError:
            logger.exception("a scene could not be published")
            return [gr.skip(), error_html(html("publish.failed"))]
        return [gr.update(visible=False), published_html(address)]

    def by_host(shown: Result | None) -> list:
        return upload(shown, None, None)

    def by_visitor(shown: Result | None, profile: gr.OAuthProfile | None, token: gr.OAuthToken | None) -> list:
        return upload(shown, profile.username if profile else None, token.token if token else None)

    part.button.click(ask, result.shown, [part.question, part.said], **QUIET)
    working: Any = part.confirm.click(
        lambda: f'<p class="fw-note" role="status">{html("publish.working")}</p>', None, part.said, **QUIET
    )
    working.then(
        by_visitor if publish.visitors_sign_in() else by_host, result.shown, [part.question, part.said],
        concurrency_limit=AT_ONCE, show_progress="hidden", api_visibility="private", trigger_mode="once",
    )  # fmt: skip


def published_html(address: str) -> Html:
    """A link to the published scene."""
    link = f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(address)}</a>'
    return Html(f'<p class="fw-note" role="status">{html("publish.done")} {link}</p>')
