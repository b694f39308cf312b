"""Residual blocks in a row are one after another, with or without the kernel between their convolutions; the kernel itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from aot.keys import module_sources
from flashworld.models import residual_blocks
from flashworld.models.networks import random_networks
from flashworld.models.padded import PaddedConv, pad_convolutions
from flashworld.models.residual_blocks import NORM_EPS, ResidualBlock, through
from flashworld.models.sub_pixel import use_sub_pixel_upsampling
from tests.unit.triton_interpreter import run_interpreted


def in_torch(x, bias, shortcut, gamma, eps):
    """What the kernel computes."""
    total = x[:, : len(gamma)] + bias[:, None, None]
    total = total if shortcut is None else total + shortcut
    normed = F.rms_norm(total.movedim(1, -1), gamma.shape, gamma, eps).movedim(-1, 1)
    return x.new_empty(0) if shortcut is None else total, F.silu(normed)


@pytest.fixture
def fused(monkeypatch):
    """The path of a GPU, on this machine."""
    monkeypatch.setattr(residual_blocks, "kernels_run", lambda x: True)
    monkeypatch.setattr(residual_blocks, "add_norm_silu_kernel", in_torch)


@pytest.fixture
def blocks():
    stack = nn.ModuleList([ResidualBlock(6, 10), ResidualBlock(10, 10), ResidualBlock(10, 10)])
    for name, parameter in stack.named_parameters():  # no bias or factor at a value that would hide its omission
        if "norm" in name or "bias" in name:
            nn.init.uniform_(parameter, 0.5, 2.0)
    return stack.requires_grad_(False)


def step_by_step(blocks, x):
    for block in blocks:
        hidden = block.conv1(F.silu(block.norm1(x)))
        x = block.conv2(F.silu(block.norm2(hidden))) + block.conv_shortcut(x)
    return x


def test_blocks_in_a_row_are_one_after_another(blocks):
    x = torch.randn(2, 6, 5, 7)
    assert torch.equal(through(blocks, x), step_by_step(blocks, x))
    assert torch.equal(blocks[1](through(blocks[:1], x)), through(blocks[:2], x))


@pytest.mark.parametrize("padded", [False, True])
def test_blocks_with_the_kernel_compute_the_same(blocks, padded, fused):
    x = torch.randn(2, 6, 5, 7)
    wanted = step_by_step(blocks, x)
    if padded:
        for block in blocks:
            block.conv1, block.conv2 = PaddedConv(block.conv1), PaddedConv(block.conv2)
    torch.testing.assert_close(through(blocks, x), wanted, rtol=1e-4, atol=1e-5)


def test_networks_with_the_kernel_compute_the_same(tiny_config, tiny_networks, request):
    pictures, decoder_inputs = torch.rand(2, 3, 32, 64), (torch.randn(2, 64, 4, 6), torch.randn(2, 48, 4, 6))
    encoder = pad_convolutions(tiny_networks.vae_encoder)
    decoder = use_sub_pixel_upsampling(tiny_networks.gaussian_decoder)
    with torch.inference_mode():
        wanted = encoder(pictures)[0], decoder(*decoder_inputs)
        request.getfixturevalue("fused")
        found = encoder(pictures)[0], decoder(*decoder_inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_graph_keys_include_the_kernel(tiny_config):
    pytest.importorskip("triton")
    networks = random_networks(tiny_config)
    for network in (networks.vae_encoder, networks.gaussian_decoder):
        assert "pixel_norm_kernels.py" in {path.name for path in module_sources(network)}


def test_the_kernel_computes_what_torch_does():
    """Under Triton's interpreter."""
    pytest.importorskip("triton")
    code = f"""
from flashworld.models import pixel_norm_kernels
from tests.unit.test_residual_blocks import in_torch
pixel_norm_kernels.VALUES_PER_WARP = 16  # several tiles, the last of them not full
layout = {{"memory_format": torch.channels_last}}
for channels, stride in ((16, 16), (10, 12), (13, 13), (5, 5)):  # a tail of none, 2, 5 of 8, 1
    x, shortcut = torch.randn(2, stride, 3, 5).contiguous(**layout), torch.randn(2, channels, 3, 5).contiguous(**layout)
    bias, gamma = torch.randn(channels), torch.rand(channels) + 0.5
    for added in (None, shortcut):
        found = pixel_norm_kernels.add_norm_silu(x, bias, added, gamma, {NORM_EPS})
        for a, b in zip(found, in_torch(x, bias, added, gamma, {NORM_EPS}), strict=True):
            torch.testing.assert_close(a, b)
        assert all(t.ndim == 1 or t.is_contiguous(**layout) for t in found)
"""
    run_interpreted(code)
