"""The Gaussian decoder with sub-pixel convolutions: the same output from 4/9 of the multiplications.

A 3x3 convolution after nearest-neighbour upsampling reads each input pixel up to four times. Summing the kernel's taps that
read the same pixel leaves, for each of the four output positions, a 2x2 kernel on the low-resolution input. All four run as
one 2x2 convolution with four times the channels; their outputs are then interleaved (pixel shuffle), and the shortcut is
added in the same pass (on CUDA by a kernel, `sub_pixel_kernels.py`).

Numerics: taps are summed in float32 and rounded once to the dtype of the weights. Equal to the plain decoder up to
rounding. The upsampling convolutions are 36/127 of the decoder's multiplications, so a fifth of the work is saved.
"""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import nn

from flashworld.models.gaussian_decoder import GaussianDecoder
from flashworld.models.residual_blocks import through
from flashworld.models.trees import shallow_copy
from flashworld.models.triton_use import kernels_run
from flashworld.models.vae_blocks import SPREAD, UpBlock, Upsample2x, spread_channels

try:  # a name, not the module: the sources of a compiled graph are located through it
    from flashworld.models.sub_pixel_kernels import interleave as interleave_kernel
except ImportError:  # no Triton: macOS, or a torch without CUDA
    interleave_kernel = None

TAP_SUMS = (((1.0, 0.0, 0.0), (0.0, 1.0, 1.0)), ((1.0, 1.0, 0.0), (0.0, 0.0, 1.0)))
"""(output position, tap of the 2-tap kernel, tap of the 3-tap kernel), along one axis."""


class SubPixelUpsample2x(nn.Module):
    """`Upsample2x` plus the block's shortcut, without storing the upsampled input."""

    def __init__(self, doubling: Upsample2x) -> None:
        super().__init__()
        conv = cast(nn.Conv2d, doubling.resample[1])
        sums = torch.tensor(TAP_SUMS, device=conv.weight.device)
        kernels = torch.einsum("arh,bsw,oihw->aboirs", sums, sums, conv.weight.detach().float())
        weight = rearrange(kernels, "a b o i r s -> (a b o) i r s").to(conv.weight.dtype)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(cast(torch.Tensor, conv.bias).detach().repeat(4))

    def forward(self, x: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W), (N, shortcut's, H, W) -> (N, C, 2H, 2W), channels_last"""
        squares = nn.functional.conv2d(x, self.weight, None, padding=1)  # one row and column more than x
        return interleave(squares, self.bias, shortcut)


class SubPixelUpBlock(nn.Module):
    """An `UpBlock` with sub-pixel upsampling; parts and names are those of the block it is made from."""

    def __init__(self, block: UpBlock) -> None:
        super().__init__()
        self.resnets = block.resnets
        self.upsampler = SubPixelUpsample2x(cast(Upsample2x, block.upsampler))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) -> (N, out, 2H, 2W)"""
        return self.upsampler(through(self.resnets, x), x)


def interleave(squares: torch.Tensor, bias: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
    """Interleave four images into one of twice the size, add a bias and the shortcut.

    Args:
        squares: One output position after another, C channels each, a row and a column more than the shortcut.
            (N, 4C, H + 1, W + 1)
        bias: (4C,)
        shortcut: C, 2C or 4C channels, see `spread_channels`. (N, ..., H, W)

    Returns:
        (N, C, 2H, 2W), channels_last
    """
    height, width = shortcut.shape[-2:]
    channels = len(bias) // 4
    if interleave_kernel is not None and kernels_run(squares):
        return interleave_kernel(squares, bias, shortcut, *SPREAD[shortcut.shape[1] // channels])
    squares = rearrange(squares + bias[:, None, None], "n (a b c) h w -> a b n h w c", a=2, b=2)
    rows = [torch.stack([squares[a, b, :, a : a + height, b : b + width] for b in range(2)], dim=3) for a in range(2)]
    large = rearrange(torch.stack(rows, dim=2), "n h a w b c -> n c (h a) (w b)")
    return large + spread_channels(shortcut, channels)


def use_sub_pixel_upsampling(decoder: GaussianDecoder) -> GaussianDecoder:
    """A decoder with sub-pixel upsampling. The argument is not changed; all other tensors are shared with it."""
    changed = shallow_copy(decoder)
    blocks = (cast(UpBlock, block) for block in changed.decoder.up_blocks)
    changed.decoder.up_blocks = nn.ModuleList(
        block if block.upsampler is None else SubPixelUpBlock(block) for block in blocks
    )
    return changed.eval()
