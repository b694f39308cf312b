"""The eight-bit block against the plain one, its fused operations against their separate steps, and its kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from aot.keys import module_sources
from flashworld.models.block_ops import norm_quantize, norm_rotate, quantize
from flashworld.models.eight_bit_block import EightBitBlock
from flashworld.models.fp8 import quantize_blocks, quantize_input
from flashworld.models.fused import fuse_networks, fuse_transformer, rotate
from flashworld.models.networks import random_networks
from tests.unit.triton_interpreter import run_interpreted


@pytest.fixture
def plain(tiny_config):
    networks = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    for block in networks.transformer.blocks:  # no parameter at a value that would hide its omission
        block.norm2.weight.data.uniform_(0.5, 2.0)
        block.norm2.bias.data.normal_()
        block.scale_shift_table.data.normal_(std=0.3)
        block.attn1.norm_q.weight.data.uniform_(0.5, 2.0)
        block.attn1.norm_k.weight.data.uniform_(0.5, 2.0)
        block.attn2.norm_q.weight.data.uniform_(0.5, 2.0)
    return networks


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def call(networks, transformer, frames=3):
    config = networks.config
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(1, config.in_channels, frames, 4, 6, generator=generator).to(torch.bfloat16)
    text = torch.randn(1, 48, config.transformer.text_dim, generator=generator).to(torch.bfloat16)
    with torch.inference_mode():
        context = fuse_transformer(networks.transformer, 48)[0](text)
        return transformer(hidden, torch.tensor([750.0]), context, return_dict=False)[0]


def test_blocks_match_plain_blocks_with_eight_bit_linears(plain):
    linears_only = quantize_blocks(fuse_transformer(plain.transformer, 48)[1], "per_row", native=False)
    fused = fuse_networks(plain, "per_row", native=False).transformer
    assert all(isinstance(block, EightBitBlock) for block in fused.blocks)
    wanted, exact = call(plain, linears_only), call(plain, fuse_transformer(plain.transformer, 48)[1])
    # One bfloat16 rounding more or less moves e4m3 numbers; both are as far from the unrounded network.
    assert relative(call(plain, fused), wanted) < 0.02
    assert relative(call(plain, fused), exact) < 1.05 * relative(wanted, exact)


def test_names_are_those_of_the_plain_blocks(plain):
    linears_only = quantize_blocks(fuse_transformer(plain.transformer, 48)[1], "per_row", native=False)
    fused = fuse_networks(plain, "per_row", native=False).transformer
    assert {n: t.shape for n, t in fused.state_dict().items()} == {
        n: t.shape for n, t in linears_only.state_dict().items()
    }


def test_two_scenes_at_a_time_are_refused(plain):
    block = fuse_networks(plain, "per_row", native=False).transformer.blocks[0]
    with pytest.raises(ValueError, match="one scene at a time, got 2"):
        block(torch.zeros(2, 5, 48, dtype=torch.bfloat16), None, torch.zeros(2, 6, 48), (torch.zeros(1, 5, 1, 24),) * 2)


@pytest.mark.parametrize("adds", ["nothing", "y", "y with a gate"])
def test_norm_quantize_is_addition_norm_modulation_and_rounding(adds):
    x, y = torch.randn(2, 5, 96).bfloat16()
    gain, offset, gate = torch.randn(3, 96)
    stream, q, scale = norm_quantize(
        x, None if adds == "nothing" else y, gate if "gate" in adds else None, gain, offset, 1e-6
    )
    added = {"nothing": 0.0, "y": y.float(), "y with a gate": y.float() * gate}[adds]
    total = (x.float() + added).bfloat16()
    wanted = quantize_input(F.layer_norm(total.float(), (96,), eps=1e-6) * gain + offset, "per_row")
    assert torch.equal(stream, total)
    assert torch.equal(q.float(), wanted[0].float())
    assert torch.equal(scale, wanted[1])


def test_norm_rotate_is_the_norm_then_the_rotation():
    x, gain = torch.randn(5, 3 * 96).bfloat16(), torch.rand(96).bfloat16()
    angles = torch.randn(5, 12).repeat_interleave(2, 1)
    found = norm_rotate(x, 96, gain, (angles.cos(), angles.sin()), 1e-6)
    normed = F.rms_norm(x[:, 96:192], (96,), gain, 1e-6).unflatten(1, (4, 24))[None]
    wanted = rotate(normed, angles.cos()[None, :, None], angles.sin()[None, :, None])[0].flatten(1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert torch.equal(norm_rotate(x, 0, gain, None, 1e-6), F.rms_norm(x[:, :96], (96,), gain, 1e-6))


def test_gelu_comes_before_the_rounding():
    x = torch.randn(5, 96).bfloat16()
    for gelu, wanted in ((False, x), (True, F.gelu(x.float(), approximate="tanh"))):
        assert torch.equal(quantize(x, gelu=gelu)[0].float(), quantize_input(wanted, "per_row")[0].float())


def test_graph_keys_include_the_kernels(plain):
    pytest.importorskip("triton")
    names = {path.name for path in module_sources(fuse_networks(plain, "per_row", native=False).transformer)}
    assert {"eight_bit_block.py", "block_ops.py", "block_kernels.py"} <= names


def test_kernels_compute_what_the_operations_compute():
    """Under Triton's interpreter, which truncates where a GPU rounds."""
    pytest.importorskip("triton")
    code = """
from flashworld.models import block_kernels, block_ops
x, y = torch.randn(2, 5, 96).bfloat16()
wide, gain, offset, gate = torch.randn(5, 288).bfloat16(), *torch.randn(3, 96)
angles = torch.randn(5, 12).repeat_interleave(2, 1)
turns = (angles.cos().contiguous(), angles.sin().contiguous())
def near(name, found, wanted, bound):
    error = float((found.float() - wanted.float()).norm() / wanted.float().norm())
    assert error < bound, (name, error)
for added in ((None, None), (y, None), (y, gate)):
    total, q, scale = block_kernels.norm_quantize(x, *added, gain, offset, 1e-6)
    stream, q2, scale2 = block_ops.norm_quantize(x, *added, gain, offset, 1e-6)
    near("norm", q.float() * scale, q2.float() * scale2, 0.08)
    if added[0] is not None:
        near("stream", total, stream, 0.01)
for gelu in (False, True):
    (q, scale), (q2, scale2) = block_kernels.quantize(x, gelu), block_ops.quantize(x, gelu=gelu)
    near("quantize", q.float() * scale, q2.float() * scale2, 0.08)
near("rotate", block_kernels.norm_rotate(wide, 96, gain.bfloat16(), *turns, 1e-6),
     block_ops.norm_rotate(wide, 96, gain.bfloat16(), turns, 1e-6), 0.01)
near("norm alone", block_kernels.norm_rotate(wide, 192, gain.bfloat16(), None, None, 1e-6),
     block_ops.norm_rotate(wide, 192, gain.bfloat16(), None, 1e-6), 0.01)
block_kernels.TEXT_ROWS, block_kernels.TEXTS = 16, 16  # several tiles, the last of them not full
query, context = torch.randn(21, 96), torch.randn(3, 2, 37, 96)
for texts in (2, 16, 37):
    part = context[:, :, :texts].contiguous()
    near("text", block_kernels.text_attention(query, part, 1, 4, 37),
         block_ops.text_attention(query, part, 1, 4, 37), 1e-5)
"""
    run_interpreted(code)
