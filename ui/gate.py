"""In front of Gradio: disables what this app does not use, limits request bodies, fetches no URLs, keeps the page small.

Gradio's server can do more than this page needs: fetch any public URL for any client (as a file link, or as the
"path" of an uploaded file), process screen recordings, keep copies of a page's state, and run a queued function
immediately, bypassing the queue. Each of these lets anyone use this machine's network, disk or CPU.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse

from flashworld.limits import MAX_JSON_BYTES
from ui.gradio_compat import UNKNOWN_FUNCTION, download_with, keep_no_copies_for_deep_links, remember_sessions
from ui.page_cache import PageCache

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = MAX_JSON_BYTES + 2**20
"""The largest path file or picture, plus the request around it."""
DISABLED = re.compile(
    r"^/(gradio_api/)?(process_recording|deep_link|monitoring|vibe-[a-z-]+|runs|run-history|proxy=|file[=/]\s*[a-z][a-z0-9+.-]*:)",
    re.IGNORECASE,
)
"""Routes answered with 404; the last one is a file link to a URL."""
CALLS = re.compile(r"^/(gradio_api/)?(call|run|api|queue/join)(/|$)")
PAGES = {"/", "/config", "/gradio_api/info"}
"""Compressed here because Gradio does not, 303 kB become 50, and kept. Never files (large) or streams (must not be buffered)."""
NO_LINKS = "picture: send the file itself, links are not fetched"
SESSIONS = 256
"""Gradio keeps the states of 10,000 past visitors by default, and the message queues of 2,000."""
NO_STATISTICS = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
"""After each request Gradio builds a data frame of the last 10,000, for a page of statistics that is disabled here."""


class Gate:
    """ASGI middleware: 404 for what is disabled, 413 for a body that is too large."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.page = PageCache(GZipMiddleware(app, compresslevel=6))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request here or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        if DISABLED.match(path):
            await JSONResponse({"detail": "Not found."}, 404)(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            await _too_large(scope, receive, send)
            return
        body = _Counted(receive, send)
        app = self.page if path in PAGES else self.app
        try:
            await app(scope, body.receive, body.send)
        except _TooLargeError:
            if not body.answered:
                await _too_large(scope, receive, send)
        except UNKNOWN_FUNCTION:
            if body.answered or not CALLS.match(path):
                raise
            await JSONResponse({"detail": "Not found: no such function."}, 404)(scope, receive, send)


class _TooLargeError(Exception):
    """The body is longer than announced or allowed."""


class _Counted:
    """Counts the bytes of a body sent without a declared length."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._bytes = 0
        self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MAX_BODY_BYTES:
            raise _TooLargeError
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    text = f"Too large: at most {MAX_BODY_BYTES // 2**20} MB can be sent at once."
    await JSONResponse({"detail": text}, 413, {"connection": "close"})(scope, receive, send)


async def _refuse_link(url: str, cache_dir: str) -> str:
    raise gr.Error(NO_LINKS, title="Please change this", print_exception=False)


def limited_queue(page: gr.Blocks, max_size: int) -> None:
    """Give the page a queue that nobody bypasses and that keeps no more of past requests than it needs.

    Args:
        page: The page.
        max_size: Requests that can wait.
    """
    for name, value in NO_STATISTICS.items():
        os.environ.setdefault(name, value)
    page.queue(max_size=max_size, default_concurrency_limit=8, api_open=False)
    remember_sessions(page._queue, SESSIONS)


def gate_options() -> dict[str, Any]:
    """Arguments of `launch` that install the gate."""
    download_with(_refuse_link)
    keep_no_copies_for_deep_links()
    return {
        "app_kwargs": {"middleware": [Middleware(Gate)]},
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS,
    }
