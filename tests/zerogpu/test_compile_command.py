"""`python -m aot` for real: compile in one process, verify in another, which has never compiled anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aot.artifacts import ArtifactStore
from flashworld.config import WAN_LATENTS_MEAN, WAN_LATENTS_STD, ModelConfig, TextConfig, TransformerConfig, VaeConfig
from flashworld.models.transformer import ROPE_BUFFERS
from tests.zerogpu.harness import ROOT

pytestmark = pytest.mark.slow
SMALLEST = ModelConfig(
    "smallest",
    TransformerConfig(1, 24, 1, 48, 32, 256, 64),
    VaeConfig(8, 8, 48, (1, 2, 4, 4), 1, WAN_LATENTS_MEAN, WAN_LATENTS_STD),
    TextConfig(270, 32, 16, 64, 1, 2, 32, 128, 16),
    feature_dim=16,
    frames=3,
    height=64,
    width=64,
)


def run(*argv: str) -> dict:
    command = [sys.executable, "-m", "aot", *argv, "--device", "cpu", "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_graphs_survive_saving_and_loading_in_a_fresh_process(tmp_path):
    """Rotary tables, which diffusers does not keep in a state dict, would otherwise crash the process that loads the graph."""
    config = tmp_path / "config.json"
    config.write_text(SMALLEST.to_json())
    options = ("--model", str(config), "--store", str(tmp_path / "store"), "--blocks", "transformer,text_encoder")
    shapes = ("--shapes", "3x64x64")
    made = {row["key"]["block"]: row for row in run("compile", *options, *shapes)["compiled"]}
    assert made.keys() == {"transformer", "text_encoder"}
    for artifact in ArtifactStore(tmp_path / "store").entries():
        constants = set(artifact.metadata["constants"])
        assert artifact.key["block"] != "transformer" or set(ROPE_BUFFERS) <= constants
        assert artifact.metadata["extras"] == []
    rows = run("verify", *options, *shapes)["rows"]
    assert {row["block"] for row in rows} == {"transformer", "text_encoder"}
    assert all(0 <= row["relative_error"] < 1e-4 for row in rows)
