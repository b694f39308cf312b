"""The devices that `--gpus` selects: all, indices, or `cpu` for a worker on a share of the cores."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from flashworld.checks import echo
from flashworld.device import cuda_fault
from flashworld.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class WorkerDevice:
    """One device and the share of the machine that its worker may use.

    Attributes:
        name: For logs: "GPU 0", "CPU 1".
        kind: "cuda" or "cpu", as its worker sees it.
        visible: Value of CUDA_VISIBLE_DEVICES for its worker; None leaves it.
        cores: Cores that its worker may run on; empty: all.
    """

    name: str
    kind: str
    visible: str | None = None
    cores: tuple[int, ...] = ()


def choose_gpus(wanted: str, per_scene: int = 1) -> tuple[WorkerDevice, ...]:
    """The devices that `--gpus` names, in consecutive groups of `per_scene`, each of which counts as one device.

    Raises:
        InputError: no such GPU, one named twice, none at all, or a number that `per_scene` does not divide.
    """
    devices = _single_devices(wanted)
    if per_scene == 1:
        return devices
    if len({device.kind for device in devices}) > 1 or len(devices) % per_scene:
        raise InputError(f"--gpus must name a multiple of {per_scene} GPUs with --gpus-per-scene, got {echo(wanted)}")
    groups = [devices[start : start + per_scene] for start in range(0, len(devices), per_scene)]
    return tuple(_together(group) for group in groups)


def gpus_of_one_scene(kind: str, per_scene: int) -> str:
    """The value of `--gpus` for a single group that shares every scene.

    Args:
        kind: "cuda" or "cpu".
        per_scene: Number of devices in the group.
    """
    return ",".join("cpu" if kind == "cpu" else str(index) for index in range(per_scene))


def _together(group: tuple[WorkerDevice, ...]) -> WorkerDevice:
    """Merge the devices of a group into one, for the process that leads it."""
    given = [device.visible for device in group if device.visible is not None]
    return WorkerDevice(
        " and ".join(device.name for device in group),
        group[0].kind,
        ",".join(given) or None,
        tuple(sorted({core for device in group for core in device.cores})),
    )


def _single_devices(wanted: str) -> tuple[WorkerDevice, ...]:
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    count = torch.cuda.device_count()
    if names == ["all"]:
        if not count:
            fault = cuda_fault() or "this machine has no NVIDIA GPU that torch can see"
            raise InputError(f"--gpus all: {fault}")
        names = [str(index) for index in range(count)]
    if not names:
        raise InputError("--gpus must be all, or indices such as 0,1, got nothing")
    cpus = names.count("cpu")
    devices: list[WorkerDevice] = []
    for name in names:
        if name == "cpu":
            devices.append(_cpu_device(sum(device.kind == "cpu" for device in devices), cpus))
        elif not (name.isascii() and name.isdigit() and int(name) < count):
            there = f"GPUs 0 to {count - 1}" if count else "no GPU"
            raise InputError(f"--gpus must be all, or indices such as 0,1: this machine has {there}, got {echo(name)}")
        elif any(device.name == f"GPU {int(name)}" for device in devices):
            raise InputError(f"--gpus names GPU {int(name)} twice")
        else:
            devices.append(WorkerDevice(f"GPU {int(name)}", "cuda", visible_gpu(int(name))))
    return tuple(devices)


def visible_gpu(index: int) -> str:
    """CUDA_VISIBLE_DEVICES for a process that sees one GPU only; the index refers to the GPUs visible to this process."""
    given = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return given[index] if index < len(given) else str(index)


def _cpu_device(index: int, count: int) -> WorkerDevice:
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // count)
    return WorkerDevice(
        f"CPU {index}", "cpu", cores=tuple(cores[(index * share + k) % len(cores)] for k in range(share))
    )
