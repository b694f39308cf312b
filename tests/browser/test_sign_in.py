"""Signing in as in a Space, through Gradio's button and a local provider, and publishing into the visitor's own dataset."""

from __future__ import annotations

import pytest
from conftest import served
from standin_provider import CLIENT, SCOPES, SECRET, TOKEN, standin_provider
from steps import generate_and_wait

from tests.unit.standin_hub import standin_hub
from ui.publish import OWN_NAME, SIGN_IN_VARIABLE

HEADER_OF_A_SPACE = (
    "https://fonts.googleapis.com",
    "https://huggingface.co/api/spaces",
    "ERR_NAME_NOT_RESOLVED",
    "Space not found",
)
"""Gradio asks the Hub for the header that it draws over a Space's page; there is none here."""


@pytest.fixture
def hub():
    with standin_hub() as hub:
        yield hub


@pytest.fixture
def provider():
    with standin_provider("ada") as url:
        yield url


@pytest.fixture
def server(hub, provider, monkeypatch, tmp_path, standin_log):
    """The page with the variables that the Hub gives to a Space whose README asks for sign-in."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "host/flashworld")
    monkeypatch.setenv(SIGN_IN_VARIABLE, CLIENT)
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("OAUTH_SCOPES", SCOPES)
    monkeypatch.setenv("OPENID_PROVIDER_URL", provider)
    with served(tmp_path / "log.txt", standin_log) as url:
        yield url


def test_visitor_who_signs_in_publishes_into_a_dataset_of_their_own(visit, hub, provider, watch):
    watch.expected = (f"left the machine: {provider}", *HEADER_OF_A_SPACE)
    page = visit()
    page.locator("#fw-sign-in").click()
    page.get_by_role("button", name="ada").wait_for()
    generate_and_wait(page, "a quiet hall")
    page.locator("#fw-publish").click()
    page.locator("#fw-publish-confirm").click()
    page.locator("#fw-published a").wait_for()
    assert list(hub.repos) == [f"ada/{OWN_NAME}"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
