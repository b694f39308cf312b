"""Sub-pixel upsampling equals plain upsampling."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.models.networks import random_networks
from flashworld.models.sub_pixel import SubPixelUpsample2x, use_sub_pixel_upsampling
from flashworld.models.vae_blocks import Upsample2x, spread_channels
from tests.unit.triton_interpreter import run_interpreted


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.sampled_from([1, 2, 4]))
def test_sub_pixel_upsampling_equals_the_plain_one_plus_the_shortcut_at_every_pixel(rows, columns, frames, spread):
    plain = Upsample2x(6)
    x, shortcut = torch.randn(frames, 6, rows, columns), torch.randn(frames, 6 * spread, rows, columns)
    wanted = plain(x) + spread_channels(shortcut, 6)
    torch.testing.assert_close(SubPixelUpsample2x(plain)(x, shortcut), wanted, rtol=1e-4, atol=1e-5)


def test_the_kernel_interleaves_as_torch_does():
    """Under Triton's interpreter."""
    pytest.importorskip("triton")
    code = """
from flashworld.models import sub_pixel, sub_pixel_kernels
sub_pixel_kernels.CHANNELS_AT_ONCE = 4  # more than one block of channels
for spread in (1, 2, 4):
    squares, shortcut, bias = torch.randn(2, 24, 4, 6), torch.randn(2, 6 * spread, 3, 5), torch.randn(24)
    found = sub_pixel_kernels.interleave(squares, bias, shortcut, *sub_pixel.SPREAD[spread])
    torch.testing.assert_close(found, sub_pixel.interleave(squares, bias, shortcut))
    assert found.is_contiguous(memory_format=torch.channels_last)
"""
    run_interpreted(code)


def test_sub_pixel_upsampling_loses_no_precision_in_bfloat16_and_leaves_the_original_alone(tiny_config, tiny_networks):
    inputs = torch.randn(2, 64, 4, 6), torch.randn(2, 48, 4, 6)
    plain = random_networks(tiny_config, seed=0, dtype=torch.bfloat16).gaussian_decoder
    names = set(plain.state_dict())
    sub_pixel = use_sub_pixel_upsampling(plain)
    with torch.inference_mode():
        exact = tiny_networks.gaussian_decoder(*inputs)
        assert relative(sub_pixel(*inputs), exact) < 1.3 * relative(plain(*inputs), exact) < 0.03
    assert set(plain.state_dict()) == names
    assert sub_pixel.gs_head.gs_proj.weight is plain.gs_head.gs_proj.weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_sub_pixel_decoder_exports_with_free_sizes(tiny_config, dtype):
    from torch.export import Dim, export

    decoder = use_sub_pixel_upsampling(random_networks(tiny_config, dtype=dtype).gaussian_decoder)
    sizes = {0: Dim("frames", min=2, max=32), 2: 2 * Dim("r", min=2, max=32), 3: 2 * Dim("c", min=2, max=32)}

    def inputs(frames, rows, columns):
        return torch.randn(frames, 64, rows, columns), torch.randn(frames, 48, rows, columns)

    exported = export(decoder, inputs(3, 4, 6), dynamic_shapes=(sizes, sizes)).module()
    other = inputs(5, 6, 4)
    with torch.inference_mode():
        torch.testing.assert_close(exported(*other), decoder(*other))
