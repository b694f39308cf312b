"""Which devices `--gpus` selects, tested without any GPU."""

from __future__ import annotations

import pytest
import torch

from flashworld.errors import InputError
from flashworld.serving import gpus
from flashworld.serving.gpus import WorkerDevice, choose_gpus, gpus_of_one_scene


@pytest.fixture
def four_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_all_selects_every_gpu_and_indices_select_theirs(four_gpus):
    assert [device.visible for device in choose_gpus("all")] == ["0", "1", "2", "3"]
    assert choose_gpus("2, 0") == (WorkerDevice("GPU 2", "cuda", "2"), WorkerDevice("GPU 0", "cuda", "0"))


def test_indices_refer_to_the_visible_devices(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-1234,7")
    assert [device.visible for device in choose_gpus("all")] == ["4", "5", "GPU-1234", "7"]


def test_cpu_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3, 4})
    assert [device.cores for device in choose_gpus("cpu,cpu")] == [(0, 1), (2, 3)]
    assert [device.name for device in choose_gpus("cpu,cpu")] == ["CPU 0", "CPU 1"]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("4", "GPUs 0 to 3, got '4'"),
        ("0,0", "names GPU 0 twice"),
        ("", "got nothing"),
        ("all,0", "got 'all'"),
        ("-1", "'-1'"),
    ],
)
def test_invalid_gpus_give_one_sentence(four_gpus, wanted, sentence):
    with pytest.raises(InputError, match=sentence):
        choose_gpus(wanted)


def test_all_without_any_gpu_gives_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(gpus, "cuda_fault", lambda: None)
    with pytest.raises(InputError, match=r"^--gpus all: this machine has no NVIDIA GPU that torch can see$"):
        choose_gpus("all")
    with pytest.raises(
        InputError, match=r"^--gpus must be all, or indices such as 0,1: this machine has no GPU, got '0'$"
    ):
        choose_gpus("0")


def test_adjacent_gpus_form_a_group(four_gpus):
    assert [device.visible for device in choose_gpus("all", 2)] == ["0,1", "2,3"]
    with pytest.raises(InputError, match="a multiple of 2 GPUs"):
        choose_gpus("0,1,2", 2)
    with pytest.raises(InputError, match="a multiple of 2 GPUs"):
        choose_gpus("0,cpu", 2)


def test_cpu_workers_form_a_group_too(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    assert choose_gpus(gpus_of_one_scene("cpu", 2), 2) == (WorkerDevice("CPU 0 and CPU 1", "cpu", cores=(0, 1, 2, 3)),)


def test_one_group_has_the_first_gpus(four_gpus):
    assert [device.visible for device in choose_gpus(gpus_of_one_scene("cuda", 2), 2)] == ["0,1"]
