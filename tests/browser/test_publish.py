"""Publishing from the page, into a dataset that the host configures, on a local Hub."""

from __future__ import annotations

import pytest
from conftest import served
from steps import generate_and_wait

from tests.unit.standin_hub import standin_hub
from ui.publish import REPO_VARIABLE
from ui.texts import TEXTS

SAID = TEXTS["en"]


@pytest.fixture
def hub():
    with standin_hub() as hub:
        yield hub


@pytest.fixture
def server(hub, monkeypatch, tmp_path, standin_log):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_host")
    monkeypatch.setenv(REPO_VARIABLE, "host/scenes")
    with served(tmp_path / "log.txt", standin_log) as url:
        yield url


def test_scene_is_published_after_confirmation(visit, hub):
    page = visit()
    page.locator("#fw-publish").click()
    page.get_by_text(SAID["publish.nothing"]).wait_for()
    generate_and_wait(page, "a quiet hall")
    page.locator("#fw-publish").click()
    page.get_by_text(SAID["publish.question"]).wait_for()
    assert hub.repos == {}
    page.locator("#fw-publish-confirm").click()
    link = page.locator("#fw-published a")
    link.wait_for()
    folder = link.get_attribute("href").partition("/datasets/host/scenes/tree/main/")[2]
    files = hub.repos["host/scenes"]["main"]
    kept = {name.removeprefix(f"{folder}/") for name in files}
    assert kept == {
        "README.md", "scene.ply", "scene.spz", "video.mp4", "poster.webp", "path.json", "request.json", "scene.html",
    }  # fmt: skip
    assert b"a quiet hall" in files[f"{folder}/request.json"]
    assert b"fw-viewer" in files[f"{folder}/scene.html"]
    assert hub.tokens == {"Bearer hf_host"}
