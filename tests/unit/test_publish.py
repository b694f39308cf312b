"""Publishing a scene: what is uploaded, over HTTP to a Hub on localhost, and when it is offered."""

from __future__ import annotations

import huggingface_hub.constants as hub_constants
import pytest

from flashworld.errors import WriteError
from tests.unit.standin_hub import standin_hub
from ui import publish
from ui.components.progress_view import plain_text
from ui.examples import load_examples
from ui.parts.publish import published_html


@pytest.fixture
def hub(monkeypatch):
    with standin_hub() as hub:
        monkeypatch.setattr(hub_constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


@pytest.fixture
def result():
    return next(example.result for example in load_examples() if example.name == "coffee")


def test_scene_gets_its_own_folder_and_the_dataset_a_card(hub, result):
    addresses = [publish.publish(result, "host/scenes", "hf_visitor") for _ in range(2)]
    files = hub.repos["host/scenes"]["main"]
    folders = [address.partition("/tree/main/")[2] for address in addresses]
    assert all(address.startswith(f"{hub.url}/datasets/host/scenes/tree/main/scenes/") for address in addresses)
    assert len(set(folders)) == 2
    for folder in folders:
        assert files[f"{folder}/scene.spz"] == result.files["spz"].read_bytes()
        assert files[f"{folder}/video.mp4"] == result.files["video"].read_bytes()
    assert b"FlashWorld" in files["README.md"]
    assert len(files) == 1 + 2 * len(publish.additions(result, "x"))
    assert hub.commits == 2
    assert hub.tokens == {"Bearer hf_visitor"}


def test_edits_to_the_card_are_kept(hub, result):
    hub.create("host/scenes")
    hub.repos["host/scenes"]["main"]["README.md"] = b"mine"
    publish.publish(result, "host/scenes", "hf_visitor")
    assert hub.repos["host/scenes"]["main"]["README.md"] == b"mine"


def test_publishing_errors_are_reported(hub, result, monkeypatch):
    with pytest.raises(WriteError, match="host"):
        publish.publish(result, "host/../scenes", "hf_visitor")
    gone = {"files": {name: path.parent / "gone" / path.name for name, path in result.files.items()}}
    with pytest.raises(WriteError, match="gone"):
        publish.publish(type(result)(**{**vars(result), **gone}), "host/scenes", "hf_visitor")
    monkeypatch.setattr(hub_constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WriteError, match="publishing to host/scenes"):
        publish.publish(result, "host/scenes", "hf_visitor")
    assert hub.repos == {}


def test_publishing_is_offered_only_when_configured(monkeypatch):
    monkeypatch.delenv(publish.REPO_VARIABLE, raising=False)
    monkeypatch.delenv(publish.SIGN_IN_VARIABLE, raising=False)
    assert publish.host_repo() is None
    assert not publish.visitors_sign_in()
    monkeypatch.setenv(publish.REPO_VARIABLE, "host/scenes")
    assert publish.host_repo() == "host/scenes"
    assert publish.own_repo("ann") == "ann/flashworld-scenes"


def test_published_address_is_shown_as_a_link():
    said = published_html("https://hub/datasets/a/b/tree/main/scenes/<x>")
    assert 'href="https://hub/datasets/a/b/tree/main/scenes/&lt;x&gt;"' in said
    assert plain_text(said) == "Published: https://hub/datasets/a/b/tree/main/scenes/<x>"
