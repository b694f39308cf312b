"""The VAE encoder with channel counts padded to the tile sizes of GPU convolutions: the same output, plus zeros that are dropped.

Convolution kernels process 64 output channels at a time and read 8 input channels at once. The encoder's first layer has
12 input channels, for which the libraries fall back to a kernel without tensor cores (4 ms of the encoder's 35 on an H200, 0.5
padded); its 160-channel layers fill 2.5 of 3 tiles and are fastest when the third is padded.

Numerics: zeros add nothing; which kernel runs may change the order of summation.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from flashworld.models.trees import shallow_copy
from flashworld.models.vae_encoder import StillFrameEncoder

INPUT_MULTIPLE = 16
OUTPUT_MULTIPLE = 64
MAX_PADDED_OUTPUTS = 256
"""Wider layers gain nothing."""


class PaddedConv(nn.Module):
    """A convolution whose kernel is padded with zeros.

    Args:
        conv: The convolution; its kernel is copied.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels, self.out_channels = conv.in_channels, conv.out_channels
        self.stride, self.padding = conv.stride, cast("tuple[int, int]", conv.padding)
        more_in, more_out = padded_channels(conv)
        weight = F.pad(conv.weight.detach(), (0, 0, 0, 0, 0, more_in, 0, more_out))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = conv.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ...), a part of a larger tensor."""
        kept = self.products(x)[:, : self.out_channels]
        return kept if self.bias is None else kept + self.bias[:, None, None]

    def products(self, x: torch.Tensor) -> torch.Tensor:
        """The result without the bias, with all padded channels. (N, in_channels, H, W) -> (N, padded, ...)"""
        more = self.weight.shape[1] - self.in_channels
        return F.conv2d(F.pad(x, (0, 0, 0, 0, 0, more)) if more else x, self.weight, None, self.stride, self.padding)


def padded_channels(conv: nn.Conv2d) -> tuple[int, int]:
    """How many input and output channels a convolution is padded to."""
    more_in = -conv.in_channels % INPUT_MULTIPLE
    more_out = -conv.out_channels % OUTPUT_MULTIPLE
    return more_in, more_out if conv.out_channels + more_out <= MAX_PADDED_OUTPUTS else 0


def pad_convolutions(encoder: StillFrameEncoder) -> StillFrameEncoder:
    """An encoder whose 3x3 convolutions are padded where that is faster. The argument is not changed."""
    padded = shallow_copy(encoder)
    for parent in list(padded.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3) and any(padded_channels(child)):
                setattr(parent, name, PaddedConv(child))
    return padded
