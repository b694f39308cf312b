"""An app that compiles a network of a tiny model at startup, inside a GPU call, as a Space does before it serves."""

from __future__ import annotations

# isort: off
import torch._dynamo.device_interface  # before spaces patches what it imports
import spaces

# isort: on
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import torch

from aot import graph, install
from aot.blocks import plan_block
from aot.gpu_work import resident
from aot.shapes import SizeRange
from aot.startup import STARTUP_SECONDS, GraphSettings, prepare
from aot.variants import Variant
from flashworld.config import WAN_LATENTS_MEAN, WAN_LATENTS_STD, ModelConfig, TextConfig, TransformerConfig, VaeConfig
from flashworld.models.networks import random_networks

TINY = ModelConfig(
    "tiny",
    TransformerConfig(1, 24, 1, 48, 32, 256, 64),
    VaeConfig(8, 8, 48, (1, 2, 4, 4), 1, WAN_LATENTS_MEAN, WAN_LATENTS_STD),
    TextConfig(300, 32, 16, 64, 1, 2, 32, 128, 16),
    feature_dim=16,
    frames=3,
    height=64,
    width=64,
)
networks = Variant().apply(random_networks(TINY).to("cuda", torch.float32))  # rearranged on stand-in tensors
SIZES = SizeRange((2, 4), (64, 64), (64, 64))
settings = GraphSettings(root=Path(os.environ["FLASHWORLD_AOT_DIR"]), blocks=("vae_encoder",), sizes=(SIZES,))
started = time.perf_counter()
reports = prepare(networks, settings, on_gpu=spaces.GPU(duration=STARTUP_SECONDS))
startup_seconds = time.perf_counter() - started


@spaces.GPU(duration=30)
def on_gpu(frames: int) -> Iterator[dict[str, object]]:
    """Encode the same pictures twice, with the graph and without."""
    here = resident(networks)
    images = torch.rand((int(frames), 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(here.device)
    with torch.inference_mode():
        start = time.perf_counter()
        mean, _ = here.vae_encoder(images)
        seconds = time.perf_counter() - start
        counts = install.counts(here.vae_encoder)
        expected, _ = type(here.vae_encoder).forward(here.vae_encoder, images)
        velocity, _ = plan_block(here, "transformer", SIZES).example()
    yield {
        "pid": os.getpid(),
        "counts": counts,
        "seconds": seconds,
        "error": float((mean - expected).norm() / expected.norm()),
        "libraries": len(graph._loaded),
        "velocity": float(velocity.abs().mean()),
    }


def generate(frames: int) -> Iterator[str]:
    """The page's handler."""
    for stage in on_gpu(frames):
        yield json.dumps(stage | {"reports": [str(r) for r in reports], "startup_seconds": startup_seconds})


weight_bytes = sum(t.numel() * t.element_size() for m in networks.modules.values() for t in m.state_dict().values())
with gr.Blocks() as demo:
    gr.Button("Generate").click(generate, gr.Number(), gr.Textbox(), api_name="generate")
    gr.Button("Weights").click(lambda: str(weight_bytes), None, gr.Textbox(), api_name="weights")
