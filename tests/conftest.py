"""Markers, seeds and the location of the golden data."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from flashworld.config import (
    WAN_LATENTS_MEAN,
    WAN_LATENTS_STD,
    ModelConfig,
    TextConfig,
    TransformerConfig,
    VaeConfig,
)
from flashworld.models.networks import Networks, random_networks

GOLDEN_DIR = Path(__file__).parent / "golden" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if "requires_cuda" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries that still read the global state
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN_DIR


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """The real architecture, as narrow as it goes; FP8 needs widths that 16 divides."""
    return ModelConfig(
        "tiny",
        transformer=TransformerConfig(
            num_attention_heads=2, attention_head_dim=24, num_layers=2, ffn_dim=96, text_dim=32
        ),
        vae=VaeConfig(base_dim=8, decoder_base_dim=8, latents_mean=WAN_LATENTS_MEAN, latents_std=WAN_LATENTS_STD),
        text=TextConfig(vocab_size=270, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, max_tokens=48),
        feature_dim=64,
        frames=3,
        height=64,
        width=96,
    )


@pytest.fixture(scope="session")
def tiny_networks(tiny_config: ModelConfig) -> Networks:
    """Seeded random weights, float32, CPU. Shared by the session: copy before changing."""
    return random_networks(tiny_config, seed=0)
