from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aot.artifacts import METADATA_NAME, PACKAGE_NAME, ArtifactStore
from aot.hub import FolderPlace, HubPlace, open_place, pull, push
from aot.keys import ArtifactKey, WheelKey, parse_key
from flashworld.errors import CompiledBlockError
from tests.unit.standin_hub import standin_hub

GRAPH = ArtifactKey("transformer", "2.11.0+cu130", "sm_120", "fp8", "f2-32_h64-1024_w64-1024", "0123456789abcdef")
WHEEL = WheelKey("1.5.3", "2.11.0+cu130", "cp312", "9.0;12.0")


@pytest.fixture(params=["folder", "file url", "hub"])
def place(request, tmp_path, monkeypatch):
    """The same tests against a folder and against the real Hub client talking to a Hub on localhost."""
    if request.param == "hub":
        monkeypatch.setenv("HF_TOKEN", "hf_standin")
        with standin_hub() as hub:
            hub.create("someone/graphs", "main", "v2")
            yield lambda revision="main": open_place("someone/graphs", revision, endpoint=hub.url)
        return
    folder = tmp_path / "shared place"
    text = str(folder) if request.param == "folder" else folder.as_uri()
    yield lambda revision="main": open_place(text, revision)


@pytest.fixture
def store(tmp_path):
    store = ArtifactStore(tmp_path / "mine")
    store.save(GRAPH, {PACKAGE_NAME: b"machine code", "constants.safetensors": b"numbers"}, {"inputs": {}})
    store.save(WHEEL, {"gsplat-1.5.3+pt211cu130-cp312-cp312-linux_x86_64.whl": b"wheel"}, {})
    return store


def test_what_is_pushed_can_be_pulled_elsewhere(place, store, tmp_path):
    other = ArtifactStore(tmp_path / "other")
    for key in (GRAPH, WHEEL):
        push(store, place(), key)
        pull(other, place(), key)
        found, wanted = other.load(key), store.load(key)
        assert found.metadata == wanted.metadata
        assert sorted(p.name for p in found.path.iterdir()) == sorted(p.name for p in wanted.path.iterdir())
    assert place().slugs() == sorted([GRAPH.slug, WHEEL.slug])
    assert sorted(p.name for p in other.root.iterdir()) == sorted([GRAPH.slug, WHEEL.slug])


def test_revisions_are_separate(place, store, tmp_path):
    push(store, place("v2"), GRAPH)
    assert place("v2").slugs() == [GRAPH.slug]
    assert place("main").slugs() == []
    with pytest.raises(CompiledBlockError, match="no transformer"):
        pull(ArtifactStore(tmp_path / "other"), place("main"), GRAPH)


def test_pushing_again_replaces_every_file(place, store, tmp_path):
    push(store, place(), GRAPH)
    store.save(GRAPH, {PACKAGE_NAME: b"better code"}, {"inputs": {}})
    push(store, place(), GRAPH)
    found = pull(ArtifactStore(tmp_path / "other"), place(), GRAPH)
    assert found.package.read_bytes() == b"better code"
    assert sorted(p.name for p in found.path.iterdir()) == sorted([METADATA_NAME, PACKAGE_NAME])


def test_damaged_entry_is_never_pushed(place, store):
    (store.root / GRAPH.slug / PACKAGE_NAME).write_bytes(b"machine cods")
    with pytest.raises(CompiledBlockError, match="corrupted"):
        push(store, place(), GRAPH)
    assert place().slugs() == []


def test_damaged_entry_is_not_pulled(store, tmp_path):
    place = FolderPlace(tmp_path / "shared", "main")
    push(store, place, GRAPH)
    (place.store.root / GRAPH.slug / PACKAGE_NAME).write_bytes(b"evil code!!!")
    other = ArtifactStore(tmp_path / "other")
    with pytest.raises(CompiledBlockError, match="corrupted"):
        pull(other, place, GRAPH)
    assert not other.root.exists() or list(other.root.iterdir()) == []


def test_entry_under_a_wrong_name_is_not_pulled(store, tmp_path):
    place = FolderPlace(tmp_path / "shared", "main")
    push(store, place, GRAPH)
    wrong = replace(GRAPH, arch="sm_90")
    (place.store.root / GRAPH.slug).rename(place.store.root / wrong.slug)
    with pytest.raises(CompiledBlockError, match="its metadata is that of"):
        pull(ArtifactStore(tmp_path / "other"), place, wrong)


def test_hub_errors_are_one_sentence(store, tmp_path):
    with standin_hub() as hub:
        hub.create("someone/graphs", "main")
        for repo, revision in (("someone/else", "main"), ("someone/graphs", "v9")):
            place = HubPlace(repo, revision, hub.url)
            for action in (lambda p: push(store, p, GRAPH), lambda p: pull(store, p, GRAPH), lambda p: p.slugs()):
                with pytest.raises(CompiledBlockError) as caught:
                    action(place)
                assert "\n" not in str(caught.value)
                assert f"{repo}@{revision}" in str(caught.value)
    gone = HubPlace("someone/graphs", "main", "http://127.0.0.1:9")
    with pytest.raises(CompiledBlockError, match="cannot pull"):
        pull(ArtifactStore(tmp_path / "other"), gone, GRAPH)


def test_folders_and_hub_repositories_are_distinguished_by_syntax(tmp_path):
    assert isinstance(open_place("owner/name"), HubPlace)
    assert open_place("file:///a%20b/c") == FolderPlace(Path("/a b/c"), "main")
    for text in (str(tmp_path), "./here", "../there", "~/graphs"):
        assert isinstance(open_place(text), FolderPlace)
    for text in ("name", "a/b/c", "owner/", ""):
        with pytest.raises(CompiledBlockError, match="owner/name"):
            open_place(text)


@pytest.mark.parametrize("key", [GRAPH, WHEEL])
def test_keys_survive_json(key):
    assert parse_key(json.loads(json.dumps(key.as_dict()))) == key


@pytest.mark.parametrize(
    "data", [{}, {"kind": "graph"}, {"kind": "gsplat", "torch": 3}, {**GRAPH.as_dict(), "more": "x"}]
)
def test_unreadable_keys_are_refused(data):
    with pytest.raises(CompiledBlockError, match="expected the key"):
        parse_key(data)
