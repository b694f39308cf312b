"""Golden case h: crop, resize and intrinsics as in the original (its transparent pixels are dropped, ours turn white)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flashworld.io.images.crops import prepare_picture


@pytest.fixture(scope="module")
def golden(golden_dir):
    return load_file(golden_dir / "h_preprocess.safetensors")


@pytest.mark.parametrize("case", ["case0", "case1", "case2", "case3"])
def test_picture_and_intrinsics_match_the_original(golden, case):
    _, height, width = golden[f"{case}.in.n_h_w"].tolist()
    opaque = golden[f"{case}.in.image_uint8"][..., :3].numpy()
    picture, crop = prepare_picture(np.ascontiguousarray(opaque), height, width)
    expected = (golden[f"{case}.out.image"].permute(1, 2, 0) + 1) * 127.5  # C, H, W in [-1, 1] to rows, columns, RGB
    assert (torch.from_numpy(picture.copy()) - expected).abs().max() <= 1

    intrinsics = crop.to_output_px(golden[f"{case}.in.fx_fy_cx_cy_px"]) / torch.tensor([width, height] * 2)
    torch.testing.assert_close(intrinsics.float(), golden[f"{case}.out.cameras11"][:, 7:], rtol=0, atol=1e-6)
