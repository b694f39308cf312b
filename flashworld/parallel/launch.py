"""Start the processes of a group, and load the model in each."""

from __future__ import annotations

import atexit
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flashworld.device import choose_device
from flashworld.errors import InputError, WorkerError
from flashworld.parallel.group import GpuGroup
from flashworld.parallel.pipeline import SplitPipeline
from flashworld.serving.channel import GONE, Channel
from flashworld.serving.child_environment import child_environment
from flashworld.serving.gpus import VISIBLE, visible_gpu

if TYPE_CHECKING:
    from flashworld.serving.options import ModelOptions

MAX_GPUS_PER_SCENE = 8
"""Maximum GPUs of one host; the DiT's 24 heads are divided among them."""
LOADED = "loaded"
JOIN = "join"


def require_gpus(options: ModelOptions, *, here: bool = True) -> None:
    """Reject invalid parallel options before anything is loaded.

    Args:
        options: Model options.
        here: Whether it runs on this machine, whose GPUs are then counted.

    Raises:
        InputError: more GPUs than available, or combined with offloading.
    """
    wanted = options.gpus_per_scene
    if not 1 <= wanted <= MAX_GPUS_PER_SCENE:
        raise InputError(f"--gpus-per-scene must be 1 to {MAX_GPUS_PER_SCENE}, got {wanted}")
    if wanted == 1:
        return
    if options.offload:
        raise InputError("--gpus-per-scene and --offload exclude each other: parallel networks cannot be offloaded")
    if not here:
        return
    there = torch.cuda.device_count()
    if choose_device(options.device, options.source).type == "cuda" and wanted > there:
        raise InputError(f"--gpus-per-scene {wanted}: this machine has {there} GPUs")


def load_split(options: ModelOptions, on_progress: Callable[[str, int, int], None] | None = None) -> SplitPipeline:
    """Start the followers, which end with this process, and return the leader's pipeline.

    Args:
        options: With `gpus_per_scene` above 1.
        on_progress: See `FlashWorldPipeline.from_pretrained`.

    Raises:
        FlashWorldError: GPUs are missing, or the model cannot be loaded somewhere.
    """
    require_gpus(options)
    size, device = options.gpus_per_scene, choose_device(options.device, options.source)
    folder = tempfile.mkdtemp(prefix="flashworld-group-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # needed later by subgroups
    store = str(Path(folder) / "store")
    followers = [_start(rank, size, store, options, device) for rank in range(1, size)]
    whole = replace(options, gpus_per_scene=1).load(on_progress)
    for follower in followers:
        try:
            said = follower.receive()
        except GONE as error:
            raise WorkerError("a parallel process terminated while loading the model") from error
        if said != LOADED:
            raise WorkerError(f"a parallel process cannot load the model: {said}")
    for follower in followers:
        follower.send(JOIN)  # in parallel: waiting for the others times out
    group = GpuGroup.join(0, size, store, device)
    atexit.register(_end, followers, group)
    return SplitPipeline(whole.networks, group, name=whole.name, followers=followers)


def _end(followers: list[Channel], group: GpuGroup) -> None:
    for follower in followers:
        follower.close()  # it leaves the group as well
    group.leave()


def _start(rank: int, size: int, store: str, options: ModelOptions, device: torch.device) -> Channel:
    ours, theirs = socket.socketpair()
    told = {"rank": rank, "size": size, "store": store, "options": asdict(options) | {"device": device.type}}
    visible = {VISIBLE: visible_gpu(rank)} if device.type == "cuda" else {}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "flashworld.parallel.follower", str(theirs.fileno()), json.dumps(told, default=str)],
            stdin=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=child_environment() | visible,
        )
    atexit.register(process.kill)
    return Channel(ours.detach())
