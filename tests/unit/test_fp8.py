"""Eight-bit linears: scales, dtypes, replacement without touching the original, export."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.models import fp8
from flashworld.models.fp8 import (
    E4M3_MAX,
    Fp8Linear,
    probe_fp8,
    quantize_blocks,
    quantize_input,
    quantize_weight,
)
from flashworld.models.networks import random_networks

MODES = ("per_tensor", "per_row")


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(MODES), st.floats(-6, 6))
def test_rounding_error_does_not_depend_on_magnitude(mode, exponent):
    x = torch.randn(32, 64) * 10**exponent
    for quantized, inverse in (quantize_input(x, mode), quantize_weight(x, mode)):
        assert quantized.dtype == torch.float8_e4m3fn and inverse.dtype == torch.float32
        restored = quantized.float() * inverse.reshape(-1, 1)
        assert relative(restored, x) < 0.035
        assert float(quantized.float().abs().max()) <= E4M3_MAX


def test_outlier_token_degrades_others_only_with_per_tensor_scales():
    x = torch.randn(8, 64)
    x[0] *= 1e5
    errors = {}
    for mode in MODES:
        quantized, inverse = quantize_input(x, mode)
        errors[mode] = relative((quantized.float() * inverse.reshape(-1, 1))[1:], x[1:])
    assert errors["per_row"] < 0.035 < errors["per_tensor"]


@pytest.mark.parametrize("mode", MODES)
def test_zeros_give_the_bias(mode):
    layer = Fp8Linear(torch.zeros(16, 32), torch.arange(16.0), mode, native=False)
    assert torch.equal(layer(torch.zeros(2, 3, 32)), torch.arange(16.0).bfloat16().expand(2, 3, 16))


@pytest.mark.parametrize("mode", MODES)
def test_quantised_transformer_is_close_and_leaves_the_original_alone(mode, tiny_config):
    networks = random_networks(tiny_config, dtype=torch.bfloat16)
    before = {name: t.clone() for name, t in networks.transformer.state_dict().items()}
    small = quantize_blocks(networks.transformer, mode, native=False)
    inputs = {
        "hidden_states": torch.randn(1, tiny_config.in_channels, 3, 4, 6, dtype=torch.bfloat16),
        "timestep": torch.tensor([900.0]),
        "encoder_hidden_states": torch.randn(1, 48, 32, dtype=torch.bfloat16),
        "return_dict": False,
    }
    with torch.inference_mode():
        wanted, got = networks.transformer(**inputs)[0], small(**inputs)[0]
    assert got.dtype == torch.bfloat16
    assert 0 < relative(got, wanted) < 0.08  # e4m3 contributes 0.04 per linear, diluted by the residual stream

    layers = [name for name, m in small.named_modules() if isinstance(m, Fp8Linear)]
    assert len(layers) == 10 * tiny_config.transformer.num_layers and all(n.startswith("blocks.") for n in layers)
    assert not any(isinstance(m, Fp8Linear) for m in networks.transformer.modules())
    after = networks.transformer.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], t) for name, t in before.items())
    assert small.proj_out.weight is networks.transformer.proj_out.weight


def test_casting_and_moving_leave_eight_bit_weights_alone(tiny_config):
    from flashworld.models.networks import cast_weights
    from flashworld.models.transformer import FLOAT32_PARTS

    small = quantize_blocks(random_networks(tiny_config).transformer, "per_row", native=False)
    before = {name: t.clone() for name, t in small.state_dict().items() if ".attn" in name}
    cast_weights(small, torch.bfloat16, FLOAT32_PARTS)
    layer = small.blocks[0].attn1.to_q
    assert layer.weight.dtype == torch.float8_e4m3fn and layer.weight_inv_scale.dtype == torch.float32
    assert torch.equal(layer.weight_inv_scale, before["blocks.0.attn1.to_q.weight_inv_scale"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("native", [False, True])
def test_quantised_transformer_exports_with_named_weights(mode, native, tiny_config):
    small = quantize_blocks(random_networks(tiny_config, dtype=torch.bfloat16).transformer, mode, native=native)
    inputs = {
        "hidden_states": torch.randn(1, tiny_config.in_channels, 3, 4, 6, dtype=torch.bfloat16),
        "timestep": torch.tensor([900.0]),
        "encoder_hidden_states": torch.randn(1, 48, 32, dtype=torch.bfloat16),
        "return_dict": False,
    }
    if native and mode == "per_row":  # the CPU has no such kernel to run, so only its shapes are checked
        small = small.to("meta")
        inputs = {k: v.to("meta") if torch.is_tensor(v) else v for k, v in inputs.items()}
    exported = torch.export.export(small, (), inputs)
    targets = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert sum("_scaled_mm" in target for target in targets) == (20 if native else 0)
    assert set(exported.graph_signature.parameters) <= set(small.state_dict())
    assert not [name for name in exported.constants if "tensor_constant" in name]


def test_probe_finds_nothing_without_a_gpu():
    assert probe_fp8("cpu") is None


REFUSED, WRONG = "refused", "wrong numbers"


@pytest.mark.parametrize(
    ("device_does", "found"),
    [
        ({}, "per_row"),
        ({"per_row": REFUSED}, "per_tensor"),
        ({"per_row": WRONG}, "per_tensor"),
        ({"per_row": REFUSED, "per_tensor": WRONG}, None),
        ({"per_row": WRONG, "per_tensor": REFUSED}, None),
    ],
)
def test_probe_falls_back_from_rows_to_tensors_to_nothing(monkeypatch, device_does, found):
    def device(x, x_inverse_scale, weight, weight_inverse_scale, bias):
        mode = "per_row" if x_inverse_scale.numel() > 1 else "per_tensor"
        if device_does.get(mode) == REFUSED:
            raise RuntimeError("_scaled_mm: this granularity is not available")
        product = fp8.emulated_product(x, x_inverse_scale, weight, weight_inverse_scale, bias)
        return product * 1.5 if device_does.get(mode) == WRONG else product

    monkeypatch.setattr(fp8, "scaled_product", device)
    assert fp8._first_that_multiplies(torch.device("cpu")) == found
