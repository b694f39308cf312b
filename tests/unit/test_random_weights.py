"""Converted folders of random weights: the format of trained ones, and never mistaken for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from flashworld.checkpoints import converted
from flashworld.checkpoints.conversion import check_weights, convert_weights
from flashworld.checkpoints.loading import load_networks, trained_weights
from flashworld.checkpoints.random_weights import model_of_size, write_random_weights
from flashworld.cli import main
from flashworld.errors import WriteError
from flashworld.limits import MIN_SIDE_PX
from flashworld.models.networks import random_networks
from flashworld.nano.sizes import TINY
from flashworld.pipeline import FlashWorldPipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("random") / "tiny"
    assert main(["weights", "random", "--size", "tiny", "--seed", "3", "--device", "cpu", "--out", str(folder),
                 "--dtype", "float32", "--shard-gb", "0.001", "--quiet"]) == 0  # fmt: skip
    return folder


def test_folder_holds_the_networks_of_its_seed(folder):
    loaded = load_networks(folder, device="cpu")
    drawn = random_networks(model_of_size("tiny"), 3)
    for name, module in drawn.modules.items():
        state = loaded.networks.modules[name].state_dict()
        for key, tensor in module.state_dict().items():
            torch.testing.assert_close(state[key], tensor, rtol=0, atol=0)
    assert len(list(folder.glob("*.safetensors"))) > 1


def test_tiny_pictures_are_large_enough_for_a_request(folder):
    config = load_networks(folder, device="cpu").networks.config
    assert config == replace(TINY, height=MIN_SIDE_PX)


def test_every_loader_reports_untrained_weights(folder, capsys):
    assert not load_networks(folder).trained
    assert not trained_weights(folder)
    assert trained_weights("full")
    assert FlashWorldPipeline.from_pretrained(folder).name == "tiny, untrained"
    assert not check_weights(folder).trained
    assert main(["weights", "check", "--model", str(folder)]) == 0
    assert "untrained" in capsys.readouterr().out


def test_converting_keeps_the_untrained_mark(folder, tmp_path):
    convert_weights(folder, tmp_path / "again")
    assert not load_networks(tmp_path / "again").trained


def test_folder_without_the_mark_counts_as_trained(folder, tmp_path):
    convert_weights(folder, tmp_path / "again")
    path = tmp_path / "again" / converted.MANIFEST_NAME
    head = json.loads(path.read_text())
    del head["trained"]  # as folders of earlier versions
    path.write_text(json.dumps(head))
    assert load_networks(tmp_path / "again").trained


def test_full_disk_is_refused_before_weights_are_generated(tmp_path, monkeypatch):
    monkeypatch.setattr(converted.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 10**9}))
    monkeypatch.setattr("flashworld.checkpoints.random_weights.random_networks", lambda *_: pytest.fail("drawn"))
    with pytest.raises(WriteError, match=r"room for 2\d\.\d GB, and 1\.0 GB are free"):
        write_random_weights(
            tmp_path / "out", model_of_size("full"), seed=0, device="cpu", dtype=torch.bfloat16, shard_bytes=4 * 10**9
        )
    assert not list((tmp_path / "out").iterdir())


def test_folder_with_files_is_refused(folder, capsys):
    assert main(["weights", "random", "--size", "tiny", "--out", str(folder)]) == 1
    assert "empty folder" in capsys.readouterr().err
