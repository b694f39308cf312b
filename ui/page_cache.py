"""The page and its configuration, computed once for all visitors who arrive within seconds of each other.

Gradio copies, rewrites and encodes 300 kB for each request, 18 ms on a slow core, and compressing them takes 7 more. When
50 visitors arrive at once, the last would wait for more than a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

FRESH_S = 10.0
"""Age at which a response is computed again."""
RESPONSES = 16
"""Responses kept, 50 kB each; they differ by host name, query and accepted compression."""
VARIES_WITH = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server", b"accept-encoding")
"""Headers that the responses depend on: Gradio writes the page's own address into them."""
SIGNED_IN = b"access-token"
"""Part of the names of Gradio's cookies for a page with a password. Responses to such requests are never kept."""


@dataclass(frozen=True)
class _Response:
    messages: tuple[Message, ...]
    computed_at: float


class PageCache:
    """ASGI middleware: answers GET requests from responses that are a few seconds old.

    Only for an application behind which the response does not depend on who asks.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._responses: OrderedDict[tuple[object, ...], _Response] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        headers = scope["headers"]
        if scope["method"] != "GET" or any(name == b"cookie" and SIGNED_IN in value for name, value in headers):
            await self.app(scope, receive, send)
            return
        varying = tuple((name, value) for name, value in headers if name in VARIES_WITH)
        key = (scope["scheme"], scope.get("root_path", ""), scope["path"], scope["query_string"], varying)
        response = self._fresh(key)
        if response is None:
            async with self._one_at_a_time:
                response = self._fresh(key) or await self._compute(key, scope, receive)
        for message in response.messages:
            await send(message)

    def _fresh(self, key: tuple[object, ...]) -> _Response | None:
        response = self._responses.get(key)
        if response is None or time.monotonic() - response.computed_at > FRESH_S:
            return None
        self._responses.move_to_end(key)
        return response

    async def _compute(self, key: tuple[object, ...], scope: Scope, receive: Receive) -> _Response:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        response = _Response(tuple(messages), time.monotonic())
        if messages[0]["status"] == 200:
            self._responses[key] = response
            self._responses.move_to_end(key)
            if len(self._responses) > RESPONSES:
                self._responses.popitem(last=False)
        return response
