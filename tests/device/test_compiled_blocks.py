"""Blocks compiled ahead of time on a GPU: against eager, in bfloat16 and in eight bits, without a second copy of weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aot import install
from aot.artifacts import ArtifactStore
from aot.blocks import BLOCKS, plan_block
from aot.compile import CompileOptions, compile_plan, key_for
from aot.shapes import EVERY_SIZE, SizeRange
from aot.variants import Variant
from aot.verification.comparison import compare
from flashworld.config import TransformerConfig
from flashworld.models.fp8 import probe_fp8
from flashworld.models.networks import Networks, random_networks
from flashworld.nano.sizes import TINY

pytestmark = [pytest.mark.requires_cuda, pytest.mark.slow]
CONFIG = replace(
    TINY, transformer=TransformerConfig(2, 64, 2, 512, 32, 64, 1024), frames=3, height=128, width=192
)  # widths that eight-bit matrix products accept
SIZES = ((3, 128, 192), (3, 192, 128), (5, 64, 256), (1, 128, 192))


def networks(fp8: str | None) -> Networks:
    return Variant(fp8=fp8).apply(random_networks(CONFIG, device="cuda", dtype=torch.bfloat16))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("eight_bit", [False, True])
def test_compiled_block_agrees_with_eager_at_every_size(tmp_path, name, eight_bit):
    if eight_bit and (name != "transformer" or probe_fp8("cuda") is None):
        pytest.skip("only the transformer multiplies in eight bits, and only where the device does")
    model = networks(probe_fp8("cuda") if eight_bit else None)
    artifact = compile_plan(plan_block(model, name, EVERY_SIZE)).save(ArtifactStore(tmp_path))
    for size in SIZES:
        if size[0] == 1 and name == "transformer":
            continue
        row = compare(plan_block(model, name, EVERY_SIZE, size), artifact, size)
        assert row.holds, row


@pytest.mark.parametrize("name", BLOCKS)
def test_graph_for_one_size_agrees_with_eager(tmp_path, name):
    sizes, size = SizeRange.exactly(*SIZES[0]), SIZES[0]
    model = networks(None)
    artifact = compile_plan(plan_block(model, name, sizes)).save(ArtifactStore(tmp_path))
    row = compare(plan_block(model, name, sizes), artifact, size)
    assert row.holds, row


def test_weights_are_not_duplicated_in_memory(tmp_path):
    model = networks(None)
    plan = plan_block(model, "transformer", SizeRange.exactly(3, 128, 192))
    artifact = compile_plan(plan).save(ArtifactStore(tmp_path))
    weights = sum(t.numel() * t.element_size() for t in plan.module.state_dict().values())
    with torch.inference_mode():
        plan.example()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        install.apply(plan.name, plan.module, [artifact], strict=True)
        plan.example()
        torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() - before < weights / 4


@pytest.mark.parametrize("attention", ["cudnn", "flash"])
def test_graph_calls_the_attention_kernel_that_was_chosen(attention):
    package = compile_plan(
        plan_block(networks(None), "transformer", SizeRange.exactly(3, 128, 192)), CompileOptions(attention=attention)
    )
    assert any(attention in op for op in package.metadata["attention"]), package.metadata["attention"]


def test_key_names_the_current_gpu():
    major, minor = torch.cuda.get_device_capability()
    assert key_for(plan_block(networks(None), "vae_encoder", EVERY_SIZE)).arch == f"sm_{major}{minor}"
