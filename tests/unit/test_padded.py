"""Padded convolutions give what plain ones give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from flashworld.models.networks import random_networks
from flashworld.models.padded import PaddedConv, pad_convolutions, padded_channels


@pytest.mark.parametrize(
    ("channels", "more"), [((12, 160), (4, 32)), ((160, 160), (0, 32)), ((640, 96), (0, 32)), ((160, 320), (0, 0))]
)
def test_channels_of_the_full_model_are_padded_where_it_pays(channels, more):
    assert padded_channels(nn.Conv2d(*channels, 3, device="meta")) == more


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_padded_convolution_equals_the_plain_one(stride, bias):
    conv = nn.Conv2d(5, 7, 3, stride=stride, padding=1, bias=bias)
    x = torch.randn(2, 5, 8, 6)
    padded = PaddedConv(conv)
    assert padded.weight.shape == (64, 16, 3, 3)
    torch.testing.assert_close(padded(x), conv(x))


def test_padded_encoder_gives_the_same_latents_and_leaves_the_original_alone(tiny_config):
    encoder = random_networks(tiny_config).vae_encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    padded = pad_convolutions(encoder)
    assert sum(isinstance(m, PaddedConv) for m in padded.modules()) > 4
    pictures = torch.rand(2, 3, 32, 64) * 2 - 1
    with torch.inference_mode():
        for found, wanted in zip(padded(pictures), encoder(pictures), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    after = encoder.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_padded_encoder_exports_with_free_sizes(tiny_config):
    from torch.export import Dim, export

    encoder = pad_convolutions(random_networks(tiny_config).vae_encoder)
    sizes = {0: Dim("n", min=2, max=32), 2: 32 * Dim("r", min=2, max=32), 3: 32 * Dim("c", min=2, max=32)}
    exported = export(encoder, (torch.rand(3, 3, 64, 96),), dynamic_shapes=(sizes,)).module()
    other = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        torch.testing.assert_close(exported(other)[0], encoder(other)[0])
