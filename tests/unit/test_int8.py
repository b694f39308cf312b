"""Eight-bit weights of the text encoder: accuracy, size, sharing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from aot.blocks import plan_block
from aot.compile import capture, export
from aot.keys import module_sources
from aot.shapes import EVERY_SIZE, call_spec
from aot.variants import Variant
from flashworld.config import FULL
from flashworld.models import int8
from flashworld.models.int8 import Int8Linear, shrink_text_encoder
from flashworld.models.networks import build_networks, cast_weights, random_networks
from tests.unit.triton_interpreter import run_interpreted

COLD_BYTES = 13e9
"""What a new ZeroGPU worker should have to move at the most."""


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def test_rounding_error_of_a_layer_is_below_one_per_cent_at_any_magnitude():
    x = torch.randn(7, 512)
    for magnitude in (1e-6, 1.0, 1e4):
        layer = nn.Linear(512, 256)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(256, 512) * magnitude)
            layer.bias.mul_(magnitude)
            small = Int8Linear(layer)
            assert small.weight.dtype == torch.int8
            assert 0 < relative(small(x), layer(x)) < 0.01


def test_zero_rows_give_the_bias():
    layer = nn.Linear(8, 4)
    with torch.no_grad():
        layer.weight.zero_()
        assert torch.equal(Int8Linear(layer)(torch.randn(3, 8)), layer.bias.expand(3, 4))


def test_int8_text_encoder_is_close_and_leaves_the_original_alone(tiny_networks):
    before = {name: t.clone() for name, t in tiny_networks.text.encoder.state_dict().items()}
    small = shrink_text_encoder(tiny_networks)
    with torch.inference_mode():
        assert 0 < relative(small.text("a red cup"), tiny_networks.text("a red cup")) < 0.03
    after = tiny_networks.text.encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert small.text.encoder.shared.weight is tiny_networks.text.encoder.shared.weight
    assert not [m for m in small.text.encoder.modules() if isinstance(m, nn.Linear)]


def test_rounding_adds_little_to_bfloat16(tiny_config, tiny_networks):
    plain = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    with torch.inference_mode():
        small = shrink_text_encoder(plain).text("a red cup")
        assert small.dtype == torch.bfloat16
        assert relative(small, tiny_networks.text("a red cup")) < 0.03


def test_casting_leaves_int8_weights_and_scales_alone(tiny_networks):
    layer = Int8Linear(nn.Linear(16, 8))
    scale = layer.weight_inv_scale.clone()
    cast_weights(layer, torch.bfloat16)
    assert layer.weight.dtype == torch.int8
    assert torch.equal(layer.weight_inv_scale, scale)


def test_cold_worker_of_the_full_model_moves_at_most_13_gigabytes():
    """Counted on meta tensors, laid out as on ZeroGPU: bfloat16, blocks in FP8, text encoder with or without int8."""
    networks = build_networks(FULL, "meta").to("meta", torch.bfloat16)
    sizes = {}
    for text_int8 in (False, True):
        variant = Variant(fp8="per_row", text_int8=text_int8).apply(replace(networks))
        tensors = {id(t): t for m in variant.modules.values() for t in m.state_dict(keep_vars=True).values()}
        sizes[text_int8] = sum(t.numel() * t.element_size() for t in tensors.values())
    assert sizes[True] <= COLD_BYTES < sizes[False]


def test_graph_key_includes_the_kernel(tiny_networks):
    pytest.importorskip("triton")
    names = {path.name for path in module_sources(shrink_text_encoder(tiny_networks).text.reader)}
    assert {"int8.py", "int8_kernels.py", "triton_use.py"} <= names


def test_shrunken_text_encoder_exports_for_any_number_of_tokens(tiny_config):
    small = shrink_text_encoder(random_networks(tiny_config, seed=0, dtype=torch.bfloat16))
    plan = plan_block(small, "text_encoder", EVERY_SIZE)
    arguments = capture(plan.module, plan.example)
    exported = export(plan.module, arguments, call_spec(arguments, plan.axes)).module()
    with torch.inference_mode():
        for tokens in (2, 7):
            ids = torch.arange(tokens)[None]
            torch.testing.assert_close(exported(ids=ids), plan.module(ids))


def test_the_kernel_computes_what_torch_does():
    """Under Triton's interpreter; rows and widths that are less than a tile, a tile, and several with and without a rest."""
    pytest.importorskip("triton")
    run_interpreted("""
from flashworld.models import int8, int8_kernels
int8_kernels.FEW = int8_kernels.Tiles(rows=16, channels=16, inputs=64, warps=2, stages=2)
int8_kernels.MANY = int8_kernels.Tiles(rows=32, channels=32, inputs=32, warps=1, stages=2)
for rows in (1, 16, 17, 32, 64, 75):
    for outputs, inputs in ((16, 64), (37, 45), (50, 128), (5, 203)):
        x, scale, bias = torch.randn(rows, inputs), torch.rand(outputs) / 127, torch.randn(outputs)
        weight = torch.randint(-127, 128, (outputs, inputs), dtype=torch.int8)
        for added in (None, bias):
            found = int8_kernels.int8_linear(x, weight, scale, added)
            torch.testing.assert_close(found, int8.int8_linear(x, weight, scale, added), rtol=1e-5, atol=1e-5)
""")


@pytest.mark.parametrize("shape", [(48,), (5, 48), (2, 3, 48), (0, 48)])
def test_the_kernel_is_given_rows(monkeypatch, shape):
    """The path of a GPU, on this machine."""
    layer, x = Int8Linear(nn.Linear(48, 24)), torch.randn(shape)

    def kernel(rows, weight, scale, bias):
        assert rows.ndim == 2
        assert rows.is_contiguous()
        return rows @ (weight * scale[:, None]).T + bias

    wanted = layer(x)
    monkeypatch.setattr(int8, "kernels_run", lambda x: True)
    monkeypatch.setattr(int8, "int8_linear_kernel", kernel)
    torch.testing.assert_close(layer(x), wanted)
