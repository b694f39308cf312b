"""A small app built like the real one: a model on "cuda", one GPU function that yields stages, work before and after it.

Its inputs select the fault.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# isort: off
import torch._dynamo.device_interface  # before spaces patches what it imports
import spaces

# isort: on
import gradio as gr
import torch

from flashworld.gaussians import Gaussians
from flashworld.serving.transfer import PackedResult, pack, use_shared_memory
from flashworld.serving.workers import CallWatch, WorkerWatch

WIDTH = 64
model = torch.nn.Linear(WIDTH, WIDTH).requires_grad_(False)
with torch.no_grad():
    model.weight.copy_(torch.eye(WIDTH) * 2)
    model.bias.zero_()
model.to("cuda")
calls_in_this_process = 0
watch = WorkerWatch()
expected_cold: list[bool] = []
use_shared_memory(True)
MANY = 300_000
"""Gaussians of a result: 25 MB, far more than a pipe holds."""


def seconds_wanted(mode: str, steps: int, *_rest: object, **_options: object) -> int:
    """The callable for `@spaces.GPU(duration=...)`; takes the same arguments as the GPU function."""
    expected_cold.append(watch.expect_cold())
    return 1 if mode == "overrun" else 2 + int(steps)


@spaces.GPU(duration=seconds_wanted)
def on_gpu(mode: str, steps: int) -> Iterator[dict[str, object] | PackedResult]:
    """Stages as plain data; in mode "result" a packed scene at the end, as the app's."""
    global calls_in_this_process  # noqa: PLW0603 - that it survives is what is tested
    calls_in_this_process += 1
    device = model.weight.device
    x = torch.ones(1, WIDTH, device=device)
    try:
        for step in range(int(steps)):
            if mode == "message":
                raise gr.Error("Lower the number of views.", title="Too large")
            if mode == "secret":
                raise ValueError("a path nobody should read")
            if mode == "crash" and step == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            if mode == "overrun":
                time.sleep(30)
            if mode == "unpicklable":
                yield {"stage": lambda: None}
            if mode in ("slow", "slower"):
                time.sleep(0.4 if mode == "slow" else 1.0)
            x = model(x)
            yield {
                "stage": f"step {step + 1}",
                "pid": os.getpid(),
                "value": float(x.mean()),
                "calls": calls_in_this_process,
                "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
                "emulated": type(torch.device).__name__ != "type",
            }
        if mode == "result":
            yield PackedResult(pack(scene_of(float(x.mean()))), None, "small", {"total": 1.0})
    finally:
        Path(os.environ["HOME"], "closed").write_text(f"{os.getpid()}")


def scene_of(value: float) -> Gaussians:
    """Gaussians whose means count upwards from a value."""
    means = value + torch.arange(3 * MANY, dtype=torch.float32).reshape(MANY, 3)
    unit = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(MANY, 4)
    return Gaussians(means, unit, torch.full((MANY, 3), 0.1), torch.full((MANY,), 0.5), torch.zeros(MANY, 1, 3))


def generate(mode: str, steps: int) -> Iterator[str]:
    """The page's handler: checks before, GPU work, files after."""
    if mode == "bad request":
        raise gr.Error("The request is wrong.")
    stages: list[dict[str, object]] = []
    with watch.call() as call:
        for stage in on_gpu(mode, steps):
            if isinstance(stage, PackedResult):
                means = stage.scene.means
                yield json.dumps({"gaussians": len(means), "first": float(means[0, 0]), "last": float(means[-1, 2])})
                continue
            _note_process(call, stage)
            stages.append(stage)
            yield json.dumps(stage)
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(stages, file)
    yield json.dumps({"stage": "done", "main": os.getpid(), "steps": len(stages), "expected_cold": expected_cold[-1]})


def _note_process(call: CallWatch, stage: dict[str, object]) -> None:
    if isinstance(stage.get("pid"), int):
        call.ran_in(int(str(stage["pid"])))


with gr.Blocks() as demo:
    inputs = [gr.Textbox(), gr.Number()]
    gr.Button("Generate").click(generate, inputs, gr.Textbox(), api_name="generate", concurrency_limit=4)
