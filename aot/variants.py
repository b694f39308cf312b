"""Optimisations of networks before they are compiled, shared by the app and the command line, which must agree.

They are applied in the main process, on networks with their weights; the FP8 support of the GPU
has to be probed where the GPU is (`probe_precision`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from flashworld.models.fp8 import Fp8Mode, probe_fp8
from flashworld.models.fused import fuse_networks
from flashworld.models.int8 import shrink_text_encoder
from flashworld.models.networks import Networks
from flashworld.models.padded import pad_convolutions
from flashworld.models.sub_pixel import use_sub_pixel_upsampling

logger = logging.getLogger(__name__)

PROBE_SECONDS = 30


@dataclass(frozen=True)
class Variant:
    """Optimisations that change the speed, not the model.

    Attributes:
        fused: Fused QKV projections; the text's keys and values computed once per scene.
        sub_pixel: The Gaussian decoder with sub-pixel convolutions, from 4/9 of the multiplications.
        padded: The VAE encoder's channel counts padded with zeros.
        fp8: Granularity of FP8 linear layers in the blocks; None leaves them in the networks' dtype. Needs `fused`.
        text_int8: Eight-bit weights in the text encoder: 4.6 GB less to store and, on a cold ZeroGPU worker, to move.
    """

    fused: bool = True
    sub_pixel: bool = True
    padded: bool = True
    fp8: Fp8Mode | None = None
    text_int8: bool = False

    def apply(self, networks: Networks) -> Networks:
        """The same model, optimised and for inference only; delete the argument to free the replaced weights."""
        if self.fused or self.fp8:
            networks = fuse_networks(networks, self.fp8)
        if self.sub_pixel:
            networks = replace(networks, gaussian_decoder=use_sub_pixel_upsampling(networks.gaussian_decoder))
        if self.padded:
            networks = replace(networks, vae_encoder=pad_convolutions(networks.vae_encoder))
        if self.text_int8:
            networks = shrink_text_encoder(networks)
        for module in networks.modules.values():
            module.requires_grad_(False)
        return networks


def probe_precision(
    on_gpu: Callable[[Callable[[], Fp8Mode | None]], Callable[[], Fp8Mode | None]],
) -> Fp8Mode | None:
    """The FP8 granularity of the GPU, probed where it is; None if it has none or does not answer.

    Args:
        on_gpu: Makes a function run there, e.g. `spaces.GPU(duration=PROBE_SECONDS)`.
    """
    try:
        return on_gpu(lambda: probe_fp8("cuda"))()
    except Exception:
        # FP8 is optional: without an answer the app starts in bfloat16.
        logger.exception("the GPU could not be probed for FP8; using bfloat16")
        return None
