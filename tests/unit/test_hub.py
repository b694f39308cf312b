"""Published files: from the cache without a network, from a Hub with progress, and a clear error when neither has them."""

from __future__ import annotations

import hashlib
import logging
import shutil
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub.constants as hub_constants
import pytest

from flashworld.checkpoints.conversion import check_weights
from flashworld.checkpoints.hub import CHECKPOINT_FILE, resolve_files
from flashworld.checkpoints.loading import load_networks
from flashworld.config import FLASHWORLD_REPOSITORY, WAN_REPOSITORY
from flashworld.errors import CheckpointError
from tests.golden.conftest import golden_model_config
from tests.local_server import serving
from tests.unit.published_layout import write_published

TOKEN = "hf_secretsecretsecretsecret"


@pytest.fixture(scope="module")
def published(golden_dir, tmp_path_factory):
    config = golden_model_config(golden_dir)
    return config, *write_published(golden_dir, tmp_path_factory.mktemp("published"), config)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty Hub cache and no network."""
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return tmp_path / "hub"


def snapshot(cache: Path, repository) -> Path:
    return cache / f"models--{repository.repo_id.replace('/', '--')}" / "snapshots" / repository.revision


def fill_cache(cache: Path, wan: Path, checkpoint: Path):
    """Store the files as the Hub's cache does: large ones as links to blobs named by their SHA-256."""
    shutil.copytree(wan, snapshot(cache, WAN_REPOSITORY))
    snapshot(cache, FLASHWORLD_REPOSITORY).mkdir(parents=True)
    shutil.copy(checkpoint, snapshot(cache, FLASHWORLD_REPOSITORY) / CHECKPOINT_FILE)
    for path in [*cache.rglob("*.safetensors"), *cache.rglob("*.ckpt")]:
        blob = cache / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        path.symlink_to(blob)


def test_a_full_cache_needs_no_network(published, cache):
    config, wan, checkpoint = published
    fill_cache(cache, wan, checkpoint)
    assert load_networks("full", config=config).trained
    assert check_weights("full", config=config).hashes == "verified"


def test_a_changed_blob_is_detected(published, cache):
    config, wan, checkpoint = published
    fill_cache(cache, wan, checkpoint)
    blob = (snapshot(cache, WAN_REPOSITORY) / "vae/diffusion_pytorch_model.safetensors").resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        check_weights("full", config=config)


def test_empty_cache_without_network_is_an_error_that_says_what_to_do(cache, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(CheckpointError) as caught:
        resolve_files()
    message = str(caught.value)
    assert "not in the Hub's cache" in message and "hf download" in message and WAN_REPOSITORY.revision in message
    assert TOKEN not in message + caplog.text


def test_an_incomplete_cache_names_the_missing_file(published, cache):
    config, wan, checkpoint = published
    fill_cache(cache, wan, checkpoint)
    (snapshot(cache, FLASHWORLD_REPOSITORY) / CHECKPOINT_FILE).unlink()
    with pytest.raises(CheckpointError, match=r"imlixinyang/FlashWorld/model\.ckpt is not in"):
        load_networks("full", config=config)
    assert load_networks(checkpoint, config=config).trained


class Hub(BaseHTTPRequestHandler):
    """The part of a Hub that a download uses; class attributes set what it serves."""

    files: dict[str, Path] = {}  # noqa: RUF012 - set by the fixture
    status = 200
    asked: list[str] = []  # noqa: RUF012

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        self.asked.append(self.path)
        path = next((p for name, p in self.files.items() if self.path.split("?")[0].endswith(name)), None)
        if path is None or self.status != 200:
            self.send_response(404 if self.status == 200 else self.status)
            self.send_header("X-Error-Code", "EntryNotFound" if self.status == 200 else "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", self.path.split("/resolve/")[1].split("/")[0])
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(published, cache, monkeypatch):
    """A local Hub that has every file."""
    _, wan, checkpoint = published
    handler = type("Serving", (Hub,), {"asked": [], "status": 200})
    handler.files = {str(p.relative_to(wan)): p for p in wan.rglob("*") if p.is_file()} | {CHECKPOINT_FILE: checkpoint}
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    with serving(handler) as address:
        monkeypatch.setattr(hub_constants, "ENDPOINT", address)
        monkeypatch.setattr(
            hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield handler


def test_only_the_needed_files_are_downloaded_with_progress(published, hub, cache):
    config = published[0]
    seen: dict[str, list[tuple[int, int]]] = {}
    assert load_networks(
        "full", config=config, on_progress=lambda w, d, t: seen.setdefault(w, []).append((d, t))
    ).trained
    downloads = {what: steps for what, steps in seen.items() if "/" in what}
    assert len(downloads) >= 4  # the largest at least; tiny files may come without a bar
    assert all(steps[-1][0] == steps[-1][1] > 0 for steps in downloads.values())
    assert not any("/transformer/" in path for path in hub.asked)
    before = len(hub.asked)
    assert load_networks("full", config=config).trained
    assert len(hub.asked) == before


def test_a_missing_file_and_a_forbidden_repository_are_reported(hub, cache, caplog):
    del hub.files["tokenizer/tokenizer.json"]
    with pytest.raises(CheckpointError, match="no such file"):
        resolve_files()
    hub.status = 403
    with caplog.at_level(logging.DEBUG), pytest.raises(CheckpointError) as caught:
        resolve_files()
    assert TOKEN not in str(caught.value) + caplog.text
