"""Responses that are computed once for visitors who arrive together."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ui import page_cache
from ui.page_cache import FRESH_S, RESPONSES, PageCache


class Site:
    """An application behind the cache which counts what it computes."""

    def __init__(self) -> None:
        self.computed = 0
        self.status = 200
        self.fails = False
        self.cache = PageCache(Starlette(routes=[Route("/", self._page, methods=["GET", "POST"])]))

    async def _page(self, request):
        self.computed += 1
        await asyncio.sleep(0.01)
        if self.fails:
            raise ValueError("broken")
        return PlainTextResponse(f"{request.url} {request.cookies.get('access-token-1')}", self.status)

    def get(self, *requests: dict) -> list[httpx.Response]:
        """Send requests at once; each gives the arguments of httpx's `request`."""

        async def send() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.cache, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
                return await asyncio.gather(
                    *(client.request(**{"method": "GET", "url": "/", **request}) for request in requests)
                )

        return asyncio.run(send())


@pytest.fixture
def site():
    return Site()


def test_visitors_who_arrive_together_get_one_computed_page(site):
    answers = site.get(*[{}] * 50)
    assert site.computed == 1
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "http://a.example/ None")}
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


def test_page_is_computed_again_after_some_seconds(site, monkeypatch):
    now = 0.0

    class Time:
        monotonic = staticmethod(lambda: now)

    monkeypatch.setattr(page_cache, "time", Time)
    site.get({})
    now = FRESH_S
    site.get({})
    assert site.computed == 1
    now = FRESH_S + 0.1
    site.get({})
    assert site.computed == 2


@pytest.mark.parametrize(
    "other",
    [
        {"url": "/?view=api"},
        {"url": "http://b.example/"},
        {"url": "https://a.example/"},
        {"headers": {"x-forwarded-host": "c.example"}},
        {"headers": {"x-forwarded-proto": "https"}},
        {"headers": {"accept-encoding": "identity"}},
    ],
    ids=lambda other: str(next(iter(other.values()))),
)
def test_pages_of_other_addresses_and_encodings_are_others(site, other):
    site.get({}, other)
    site.get({}, other)
    assert site.computed == 2


def test_page_of_somebody_signed_in_is_never_kept(site):
    answers = site.get(*[{"headers": {"cookie": f"access-token-1={name}"}} for name in ("ada", "bob")], {})
    assert [answer.text.split()[1] for answer in answers] == ["ada", "bob", "None"]


def test_failures_and_other_methods_are_never_kept(site):
    site.status = 503
    assert [answer.status_code for answer in site.get({}, {})] == [503, 503]
    site.status, site.fails = 200, True
    assert [answer.status_code for answer in site.get({}, {})] == [500, 500]
    site.fails = False
    assert site.get({})[0].status_code == 200
    site.computed = 0
    site.get({"method": "POST"}, {"method": "POST"}, {"method": "HEAD"})
    assert site.computed == 3


def test_kept_pages_are_few(site):
    site.get({})
    for number in range(RESPONSES):
        site.get({"url": f"/?q={number}"})
    site.computed = 0
    site.get({"url": f"/?q={RESPONSES - 1}"}, {"url": "/?q=0"})
    assert site.computed == 0
    site.get({})
    assert site.computed == 1, "the one used longest ago was dropped"
