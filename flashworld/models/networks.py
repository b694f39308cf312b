"""All networks of one model together: built without weights, or with seeded random ones.

Numerics: `Networks.dtype` is the dtype of the networks' computation: bfloat16 on CUDA, float32 on CPU. Parts named in
`transformer.FLOAT32_PARTS` and `gaussian_decoder.FLOAT32_PARTS` keep float32 weights always. Kernels are channels_last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from flashworld.config import ModelConfig
from flashworld.models import gaussian_decoder, transformer
from flashworld.models.gaussian_decoder import GaussianDecoder, design_bias, design_lrs_mul
from flashworld.models.text_encoder import TextConditioner, build_text_encoder, tie_embedding, tiny_tokenizer
from flashworld.models.transformer import build_transformer, materialize_rope
from flashworld.models.vae_encoder import StillFrameEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import UMT5EncoderModel

FLOAT32_PARTS = {
    "text_encoder": (),
    "vae_encoder": (),
    "transformer": transformer.FLOAT32_PARTS,
    "gaussian_decoder": gaussian_decoder.FLOAT32_PARTS,
    "text_context": (),
}
"""By network: tensors whose names contain one of these stay float32, whatever dtype the rest is cast to."""
UNSCALED_QUERY = "SelfAttention.q.weight"
"""UMT5 does not divide its attention logits by the square root of a head's width; its query weights are that much
smaller. With unscaled random weights, logits of width 64 have a standard deviation of 8, attention selects single tokens, and 24
such layers multiply any rounding error by a thousand: two correct results in bfloat16 then differ by 80 %.
"""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Networks:
    """One model.

    Attributes:
        config: Its sizes.
        text: Prompt to embedding.
        vae_encoder: Images to latents.
        transformer: The denoiser, or something made from it (fused, quantised, compiled).
        gaussian_decoder: Features and latents to Gaussians.
        device: Where the networks run.
        dtype: Dtype of the networks' computation and inputs.
        text_context: Text embedding to the text input of `transformer`, called once per scene: the identity for the
            plain transformer, a `fused.TextContext` for the fused one.
    """

    config: ModelConfig
    text: TextConditioner
    vae_encoder: StillFrameEncoder
    transformer: nn.Module
    gaussian_decoder: GaussianDecoder
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    text_context: nn.Module = field(default_factory=nn.Identity)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The four networks by name, and `text_context` where it has weights."""
        modules = {
            "text_encoder": self.text.encoder,
            "vae_encoder": self.vae_encoder,
            "transformer": self.transformer,
            "gaussian_decoder": self.gaussian_decoder,
        }
        return modules if isinstance(self.text_context, nn.Identity) else modules | {"text_context": self.text_context}

    def embed(self, text: str) -> torch.Tensor:
        """Text embedding for `text_context`: every row for the plain transformer, of rows of zeros only one for the fused.

        Returns:
            (1, tokens, text_dim)
        """
        return self.text(text, padded=isinstance(self.text_context, nn.Identity))

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Networks:
        """Cast and move. As with `nn.Module.to`, the networks themselves move; use the returned `Networks`.

        Casting happens before moving, so that half the bytes are transferred.
        """
        device = torch.device(device)
        for name, module in self.modules.items():
            cast_weights(module, dtype, FLOAT32_PARTS[name])
            module.to(device)
        self.text.forget()
        return replace(self, device=device, dtype=dtype)


def build_networks(
    config: ModelConfig, device: torch.device | str = "meta", tokenizer: Tokenizer | None = None
) -> Networks:
    """Every network of `config` with uninitialised weights, in eval mode.

    Assign state dicts (`still_frame_state`, `text_encoder_state`), then call `materialize_rope` and `tie_embedding`.

    Args:
        config: Sizes.
        device: Where parameters are created; "meta" takes no memory.
        tokenizer: The model's own; None takes a byte tokenizer.
    """
    device = torch.device(device)
    text_encoder = build_text_encoder(config.text, device)
    with device:
        vae_encoder, decoder = StillFrameEncoder(config.vae).eval(), GaussianDecoder(config).eval()
    return Networks(
        config=config,
        text=TextConditioner(tokenizer or tiny_tokenizer(config.text.vocab_size), text_encoder, config.text.max_tokens),
        vae_encoder=vae_encoder,
        transformer=build_transformer(config, device),
        gaussian_decoder=decoder,
        device=device,
    )


def weight_bytes(config: ModelConfig, dtype: torch.dtype) -> dict[str, int]:
    """Bytes that each network of `config` occupies when it computes in `dtype`, tied weights counted once."""
    networks = build_networks(config).to("meta", dtype)
    return {
        name: sum(t.numel() * t.element_size() for t in {*module.parameters(), *module.buffers()})
        for name, module in networks.modules.items()
    }


def cast_weights(module: nn.Module, dtype: torch.dtype, float32_parts: tuple[str, ...] = ()) -> None:
    """Cast floating-point weights in place; those with one of `float32_parts` in the name to float32.

    Eight-bit weights and their scales stay as they are; 4-D kernels become channels_last.
    """
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not tensor.is_floating_point() or tensor.element_size() == 1 or name.endswith("inv_scale"):
            continue
        tensor.data = _laid_out(tensor.data.to(stored_dtype(name, dtype, float32_parts)))


def stored_dtype(name: str, dtype: torch.dtype, float32_parts: tuple[str, ...]) -> torch.dtype:
    """The dtype one tensor is kept in when its network computes in `dtype`."""
    return torch.float32 if any(part in name for part in float32_parts) else dtype


def random_networks(
    config: ModelConfig,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    tokenizer: Tokenizer | None = None,
) -> Networks:
    """Every network with seeded random weights that keep activations of order one and scenes in view.

    Weights are generated on `device` (full size takes seconds on a GPU) in float32, then cast, so one seed gives the same
    weights in every dtype; another type of device produces different weights.

    Args:
        config: Sizes.
        seed: Seed of the weights.
        device: Where to generate and keep them.
        dtype: Dtype of the networks' computation.
        tokenizer: The model's own; None takes a byte tokenizer.
    """
    device = torch.device(device)
    networks = build_networks(config, "meta", tokenizer)
    generator = torch.Generator(device).manual_seed(seed)
    query_gain = config.text.d_kv**-0.5
    for network, module in networks.modules.items():
        state = dict(_random_state(module, generator, dtype, FLOAT32_PARTS[network], query_gain))
        module.load_state_dict(state, strict=True, assign=True)
        module.requires_grad_(True)
    tie_embedding(cast("UMT5EncoderModel", networks.text.encoder))
    materialize_rope(networks.transformer)
    return replace(networks, device=device, dtype=dtype)


def _random_state(
    module: nn.Module,
    generator: torch.Generator,
    dtype: torch.dtype,
    float32_parts: tuple[str, ...],
    query_gain: float,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Random values for every tensor of a module's state dict, in its order."""
    seen: dict[int, torch.Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:  # a tied weight is generated once
            value = _random_tensor(name, tensor.shape, generator)
            if name.endswith(UNSCALED_QUERY):
                value.mul_(query_gain)
            seen[id(tensor)] = _laid_out(value.to(stored_dtype(name, dtype, float32_parts)))
        yield name, seen[id(tensor)]


def _random_tensor(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """A random weight of the kind that its name implies, float32, on the generator's device."""
    device = generator.device
    if name == "gs_head.lrs_mul":
        return design_lrs_mul().to(device)
    if name == "gs_head.gs_proj.bias":
        return design_bias().to(device)
    if "norm" in name and not name.endswith("bias"):
        return torch.ones(shape, device=device)
    if name.endswith("bias") and len(shape) == 1:
        return torch.zeros(shape, device=device)
    value = torch.randn(shape, generator=generator, device=device)
    if "shared" in name or "embed_tokens" in name:
        return value
    return value.mul_(1 / math.sqrt(math.prod(shape[1:])))


def _laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """4-D kernels in channels_last, the rest contiguous."""
    return tensor.contiguous(memory_format=torch.channels_last if tensor.ndim == 4 else torch.contiguous_format)
