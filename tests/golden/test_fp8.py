"""Golden case j: the original's eight-bit linear, one scale a tensor."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from flashworld.models.fp8 import Fp8Linear, quantize_input


def test_per_tensor_linear_matches_original(golden_dir, close):
    data = load_file(golden_dir / "j_fp8.safetensors")
    layer = Fp8Linear(data["in.weight"], data["in.bias"], "per_tensor", native=False)
    assert torch.equal(layer.weight.view(torch.uint8), data["out.weight_e4m3_bits"])
    close(layer.weight_inv_scale, data["out.weight_inv_scale"], 1e-6)

    x, inverse_scale = quantize_input(data["in.x"][0], "per_tensor")
    assert torch.equal(x.view(torch.uint8), data["out.x_e4m3_bits"][0])
    close(inverse_scale, data["out.x_inv_scale"], 1e-6)

    y = layer(data["in.x"])
    assert y.dtype == torch.bfloat16
    close(y, data["out.y_bf16"], 2e-2)


def test_both_granularities_are_close_to_the_unquantised_product(golden_dir):
    data = load_file(golden_dir / "j_fp8.safetensors")
    wanted = data["out.y_fp32_reference"]
    for mode in ("per_tensor", "per_row"):
        y = Fp8Linear(data["in.weight"], data["in.bias"], mode, native=False)(data["in.x"]).float()
        assert (y - wanted).norm() / wanted.norm() < 0.05, mode  # e4m3 keeps 3 bits: 2^-4 a number, averaged over 64
