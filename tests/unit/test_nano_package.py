"""Nano's files: small, close to what was written, and refused when anything about them changed."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from flashworld.checkpoints.conversion import check_weights
from flashworld.checkpoints.loading import load_nano, load_networks, model_config, reads_own_words
from flashworld.config import NANO_DIR
from flashworld.errors import CheckpointError
from flashworld.models.networks import random_networks
from flashworld.models.text_encoder import TIED_EMBEDDING
from flashworld.models.transformer import ROPE_BUFFERS
from flashworld.nano import package
from flashworld.nano.language import nano_prompt
from flashworld.nano.package import WEIGHTS_NAME, nano_config, open_nano, write_nano
from flashworld.nano.sizes import TINY
from flashworld.nano.training.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def networks():
    networks = random_networks(TINY, 3, tokenizer=build_tokenizer())
    networks.text.read_prompt = nano_prompt
    return networks


@pytest.fixture(scope="module")
def packed(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nano")
    write_nano(networks, folder)
    return folder


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "nano")


def states(networks) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": t for n, module in networks.modules.items() for k, t in module.state_dict().items()}


def rewrite(folder, change=None, **metadata):
    """Rewrite the weights file with other tensors or metadata, leaving the hashes unchanged."""
    path = folder / WEIGHTS_NAME
    with safe_open(path, "pt") as file:
        head = {"flashworld": json.dumps(json.loads(file.metadata()["flashworld"]) | metadata)}
    tensors = load_file(path)
    if change:
        change(tensors)
    save_file(tensors, path, head)


def test_values_come_back_within_half_a_step(networks, packed):
    loaded = load_nano(packed)
    assert loaded.trained and loaded.networks.config == TINY
    found, stored = states(loaded.networks), load_file(packed / WEIGHTS_NAME)
    for name, tensor in states(networks).items():
        if name.endswith((*ROPE_BUFFERS, TIED_EMBEDDING)):
            continue
        if name + ".scale" in stored:
            step = stored[name + ".scale"].reshape(-1, *[1] * (tensor.ndim - 1))
            assert ((found[name] - tensor).abs() <= step * 0.501).all(), name
        else:
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-7)
    ids = networks.text.token_ids("a red ball on grass")
    assert loaded.networks.text.token_ids("a red ball on grass") == ids


def test_the_file_is_about_one_byte_a_parameter(networks, packed):
    size = (packed / WEIGHTS_NAME).stat().st_size
    assert size < 1.6 * sum(p.numel() for module in networks.modules.values() for p in module.parameters())
    kinds = {t.dtype for n, t in load_file(packed / WEIGHTS_NAME).items() if not n.endswith(".scale")}
    assert kinds == {torch.int8, torch.float16}


def test_writing_twice_gives_the_same_bytes(networks, packed, tmp_path):
    write_nano(networks, tmp_path)
    for name in ("config.json", "tokenizer.json", WEIGHTS_NAME):
        assert (tmp_path / name).read_bytes() == (packed / name).read_bytes()


def test_a_nano_folder_is_a_source_like_any_other(packed):
    assert load_networks(packed).trained and model_config(packed) == TINY
    assert reads_own_words(packed)
    assert not reads_own_words("full")
    assert not reads_own_words(packed.parent)
    assert check_weights(packed).hashes == "verified"


def test_without_weights_the_networks_are_untrained_but_seeded(tmp_path):
    (tmp_path / "config.json").write_text(TINY.to_json())
    shutil.copy(NANO_DIR / "tokenizer.json", tmp_path)
    first, second = load_nano(tmp_path), load_nano(tmp_path)
    assert not first.trained and first.networks.config == TINY
    a, b = states(first.networks), states(second.networks)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_package_itself_loads():
    loaded = load_networks("nano")
    assert loaded.networks.config == nano_config(NANO_DIR) == model_config("nano")
    assert loaded.trained == (NANO_DIR / WEIGHTS_NAME).is_file()
    assert loaded.networks.text("a red ball").isfinite().all()


def first_int8(tensors):
    return next(name for name, tensor in tensors.items() if tensor.dtype == torch.int8)


SPOILS = {
    "truncated": lambda f: (f / WEIGHTS_NAME).write_bytes((f / WEIGHTS_NAME).read_bytes()[:-9]),
    "empty": lambda f: (f / WEIGHTS_NAME).write_bytes(b""),
    "not safetensors": lambda f: (f / WEIGHTS_NAME).write_bytes(b"version https://git-lfs.github.com/spec/v1\n" * 3),
    "one value changed": lambda f: rewrite(f, lambda t: t[first_int8(t)].view(-1)[:1].add_(1)),
    "a tensor renamed": lambda f: rewrite(f, lambda t: t.__setitem__("transformer.x", t.pop(first_int8(t)))),
    "a scale missing": lambda f: rewrite(f, lambda t: t.pop(first_int8(t) + ".scale")),
    "an older version": lambda f: rewrite(f, version=1),
    "a later version": lambda f: rewrite(f, version=3),
    "another format": lambda f: rewrite(f, format="pt"),
    "config changed": lambda f: (f / "config.json").write_text(TINY.to_json().replace('"frames": 3', '"frames": 4')),
    "config not JSON": lambda f: (f / "config.json").write_text("{"),
    "tokenizer changed": lambda f: (f / "tokenizer.json").write_text(json.dumps({"version": "1.0"})),
}


@pytest.mark.parametrize("name", SPOILS)
def test_damaged_files_are_refused_with_what_to_do(copy, name):
    SPOILS[name](copy)
    with pytest.raises(CheckpointError, match=r"again|repository") as caught:
        open_nano(copy)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        load_nano(copy)


def test_other_line_endings_do_not_count_as_a_change(copy):
    path = copy / "config.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_nano(copy).trained


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    networks = random_networks(TINY, 0)
    networks.vae_encoder.quant_conv.bias.data[0] = 1e6
    with pytest.raises(CheckpointError, match=r"vae_encoder\.quant_conv\.bias"):
        write_nano(networks, tmp_path)
    assert not (tmp_path / WEIGHTS_NAME).exists()


def test_two_files_are_one_model(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(package, "FILE_BYTES", 20_000)
    write_nano(networks, tmp_path)
    assert (tmp_path / package.MORE_WEIGHTS_NAME).is_file()
    for name, tensor in states(load_nano(tmp_path).networks).items():
        torch.testing.assert_close(tensor, states(networks)[name], rtol=0.02, atol=0.05)
    (tmp_path / package.MORE_WEIGHTS_NAME).unlink()
    with pytest.raises(CheckpointError, match="nano weights"):
        load_nano(tmp_path)
    monkeypatch.undo()
    write_nano(networks, tmp_path)
    assert load_nano(tmp_path).trained and not (tmp_path / package.MORE_WEIGHTS_NAME).exists()


def test_the_text_encoder_reads_nanos_own_words(copy):
    assert load_nano(copy).networks.text.read_prompt is nano_prompt
