"""Initialise a deeper transformer from a trained one; except for text, it initially computes the same function.

1. Blocks are distributed over the new depth; the residual branches of blocks in between are zero-initialised.
2. A wider feed-forward layer keeps its units; the output weights of new ones are zero.
3. The text path is reinitialised: the text encoder, the embedding of its output, and cross-attention, scaled down.

VAE encoder, Gaussian decoder and the statistics of the latents are copied.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from flashworld.config import ModelConfig
from flashworld.errors import CheckpointError
from flashworld.nano.package import nano_config, open_nano

NEW_WORDS = re.compile(r"condition_embedder\.text_embedder\.|blocks\.\d+\.attn2\.")
QUIET = 0.1
"""Scale of the reinitialised cross-attention's output."""


@torch.no_grad()
def grow(
    folder: Path, config: ModelConfig, fresh: Mapping[str, nn.Module]
) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Weights of every network for `config`, initialised from a nano folder.

    Args:
        folder: In nano's format; its transformer has at most the layers and feed-forward width of `config`.
        config: Target sizes.
        fresh: Networks of those sizes with random weights, for the new parameters.

    Returns:
        Tensors named `<network>.<tensor>`, and the configuration with the folder's latent statistics.

    Raises:
        CheckpointError: the folder's model differs in more than the text path, depth and feed-forward width.
    """
    old = nano_config(folder)
    vae = dataclasses.replace(config.vae, latents_mean=old.vae.latents_mean, latents_std=old.vae.latents_std)
    stored = open_nano(folder)
    transformer = dataclasses.replace(config.transformer, text_dim=old.transformer.text_dim)
    if old.transformer == transformer:
        tensors = {f"{n}.{k}": t.read() for n, state in stored.items() for k, t in state.items()}
        return with_new_words(tensors, old, config, fresh)
    sizes = dataclasses.replace(
        config.transformer, num_layers=old.transformer.num_layers, ffn_dim=old.transformer.ffn_dim
    )
    if (old.transformer, old.vae, old.feature_dim) != (sizes, vae, config.feature_dim):
        raise CheckpointError(
            f"nano: {str(folder)!r} differs in more than the text path and the transformer's depth and width"
        )
    tensors = {
        f"{name}.{k}": p.detach().clone() for name, module in fresh.items() for k, p in module.named_parameters()
    }
    for name in ("vae_encoder", "gaussian_decoder"):
        tensors |= {f"{name}.{k}": stored[name][k].read() for k, _ in fresh[name].named_parameters()}
    before, after = old.transformer.num_layers, config.transformer.num_layers
    taken = {i * after // before: i for i in range(before)}
    for key, _ in fresh["transformer"].named_parameters():
        name = f"transformer.{key}"
        if NEW_WORDS.search(key):
            tensors[name] = tensors[name] * (QUIET if ".attn2.to_out." in key else 1)
            continue
        layer = re.match(r"blocks\.(\d+)\.(.*)", key)
        if layer is None:
            tensors[name] = stored["transformer"][key].read()
            continue
        number, rest = int(layer[1]), layer[2]
        source = max(place for place in taken if place <= number)
        value = stored["transformer"][f"blocks.{taken[source]}.{rest}"].read()
        if number in taken:
            tensors[name] = _widened(value, tensors[name], rest)
        elif rest == "scale_shift_table":
            tensors[name] = value
        elif rest.startswith(("attn1.to_out.", "ffn.net.2.")):
            tensors[name] = torch.zeros_like(tensors[name])
    return tensors, dataclasses.replace(config, vae=vae)


@torch.no_grad()
def with_new_words(
    tensors: Mapping[str, torch.Tensor], old: ModelConfig, config: ModelConfig, fresh: Mapping[str, nn.Module]
) -> tuple[dict[str, torch.Tensor], ModelConfig]:
    """Reinitialise a checkpoint's text encoder where its sizes have changed.

    Args:
        tensors: Named `<network>.<tensor>`.
        old: Their configuration.
        config: Target sizes.
        fresh: Networks of those sizes with random weights.

    Returns:
        Tensors of the same names, and the configuration with the checkpoint's latent statistics.

    Raises:
        CheckpointError: the checkpoint differs in more than the text path.
    """
    vae = dataclasses.replace(config.vae, latents_mean=old.vae.latents_mean, latents_std=old.vae.latents_std)
    config = dataclasses.replace(config, vae=vae)
    if old == config:
        return dict(tensors), config
    transformer = dataclasses.replace(old.transformer, text_dim=config.transformer.text_dim)
    if dataclasses.replace(old, text=config.text, transformer=transformer) != config:
        raise CheckpointError("nano: the checkpoint differs in more than the text path")
    result = {}
    for network, module in fresh.items():
        for key, parameter in module.named_parameters():
            name = f"{network}.{key}"
            new = network == "text_encoder" or ".text_embedder." in name
            result[name] = parameter.detach().clone() if new else tensors[name]
            if ".attn2.to_out." in name:
                result[name] = QUIET * result[name]
    return result, config


def _widened(value: torch.Tensor, fresh: torch.Tensor, name: str) -> torch.Tensor:
    """Copy a tensor into a larger one: new rows keep their random values, new columns are zero."""
    if value.shape == fresh.shape:
        return value
    wide = torch.zeros_like(fresh) if name.startswith("ffn.net.2.") else fresh.clone()
    wide[tuple(slice(0, side) for side in value.shape)] = value.to(wide.device)
    return wide
