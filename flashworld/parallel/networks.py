"""Networks split over processes: each computes a part and receives the whole result.

1. The DiT's tokens are divided; self-attention exchanges heads for tokens (Ulysses), by diffusers' context parallelism.
2. Gaussian decoder, renderer and VAE encoder work on this process's views; Gaussians, images and latents are gathered.
3. Text encoding, cameras, noise and the arithmetic between the networks are replicated on every process.

Numerics: the same operations with other shapes, so rounding differs as it does between batch sizes.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from flashworld.cameras import Cameras
from flashworld.gaussians import Gaussians
from flashworld.models.gaussian_decoder import GaussianDecoder
from flashworld.models.networks import Networks
from flashworld.models.transformer import PATCH
from flashworld.models.trees import shallow_copy
from flashworld.models.vae_encoder import StillFrameEncoder
from flashworld.parallel.group import GpuGroup
from flashworld.sampling import Renderer
from flashworld.types import Images, Latents


def split_networks(networks: Networks, group: GpuGroup) -> Networks:
    """The same model with its work divided; the argument is not modified."""
    return replace(
        networks,
        transformer=split_transformer(networks.transformer, group),
        gaussian_decoder=cast(GaussianDecoder, SplitDecoder(networks.gaussian_decoder, group)),
        vae_encoder=cast(StillFrameEncoder, SplitEncoder(networks.vae_encoder, group)),
    )


def split_transformer(transformer: nn.Module, group: GpuGroup) -> nn.Module:
    """The plain transformer of `build_transformer` with its sequence divided, for any number of tokens."""
    from diffusers import ContextParallelConfig, ParallelConfig
    from diffusers.hooks.context_parallel import apply_context_parallel
    from torch.distributed.device_mesh import init_device_mesh

    device = next(transformer.parameters()).device
    config = ContextParallelConfig(ulysses_degree=group.size)
    # Not `enable_parallelism`: it requires an accelerator, and modifies processors that other copies share.
    mesh = init_device_mesh(device.type, config.mesh_shape, mesh_dim_names=config.mesh_dim_names)
    config.setup(group.rank, group.size, device, mesh)
    twin: Any = shallow_copy(transformer)
    for block in twin.blocks:
        block.attn1.processor = copy.copy(block.attn1.processor)
        block.attn1.processor._parallel_config = ParallelConfig(context_parallel_config=config)
    # Without "": the model's timesteps are per scene, not per token. Without the last gather: for parts of
    # different lengths it needs operations that only NCCL has.
    plan = {name: part for name, part in twin._cp_plan.items() if name not in ("", "proj_out")}
    apply_context_parallel(twin, config, plan)
    twin.proj_out = GatheredOutput(twin.proj_out, group)
    return SplitTransformer(twin, config)


class GatheredOutput(nn.Module):
    """The last linear layer on this process's tokens; gathers the outputs of all processes."""

    def __init__(self, linear: nn.Module, group: GpuGroup) -> None:
        super().__init__()
        self.linear, self.group, self.tokens = linear, group, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, own tokens, width) -> (B, `tokens`, patch)"""
        return self.group.gather(self.linear(x).transpose(0, 1), self.tokens).transpose(0, 1)


class SplitTransformer(nn.Module):
    """A transformer whose sequence is divided; lengths are exchanged only if parts differ, to save time."""

    def __init__(self, transformer: Any, config: Any) -> None:  # noqa: ANN401 - diffusers' own types
        super().__init__()
        self.transformer, self._config = transformer, config

    def forward(self, hidden_states: Latents, **more: Any) -> Any:  # noqa: ANN401 - as diffusers' transformer
        """See `WanTransformer3DModel.forward`."""
        sides = zip(hidden_states.shape[2:], PATCH, strict=True)
        tokens, heads = math.prod(side // patch for side, patch in sides), self.transformer.config.num_attention_heads
        size = self._config.ulysses_degree
        self._config.ulysses_anything = tokens % size != 0 or heads % size != 0
        self.transformer.proj_out.tokens = tokens
        return self.transformer(hidden_states=hidden_states, **more)


class SplitDecoder(nn.Module):
    """A Gaussian decoder that decodes its process's views and gathers the Gaussians of all."""

    def __init__(self, decoder: GaussianDecoder, group: GpuGroup) -> None:
        super().__init__()
        self.decoder, self.group = decoder, group

    def gaussians(
        self,
        features: torch.Tensor,
        raw_latents: torch.Tensor,
        cameras: Cameras,
        *,
        frames_per_chunk: int | None = None,
    ) -> Gaussians:
        """See `GaussianDecoder.gaussians`."""
        count = len(cameras)
        if count < self.group.size:
            return self.decoder.gaussians(features, raw_latents, cameras, frames_per_chunk=frames_per_chunk)
        own = self.group.part(count)
        scene = self.decoder.gaussians(features[own], raw_latents[own], cameras[own], frames_per_chunk=frames_per_chunk)
        whole = Gaussians.from_vectors(self.group.gather(scene.to_vectors(), count))
        return Gaussians(
            *(t.contiguous() for t in (whole.means, whole.quats_wxyz, whole.scales, whole.opacities, whole.sh))
        )


class SplitEncoder(nn.Module):
    """A VAE encoder that encodes its process's images and gathers the latents of all."""

    def __init__(self, encoder: StillFrameEncoder, group: GpuGroup) -> None:
        super().__init__()
        self.encoder, self.group = encoder, group

    def forward(self, images: Images) -> tuple[torch.Tensor, torch.Tensor]:
        """See `StillFrameEncoder.forward`."""
        count = len(images)
        if count < self.group.size:
            return self.encoder(images)
        mean, logvar = self.encoder(images[self.group.part(count)])
        return self.group.gather(mean, count), self.group.gather(logvar, count)


def split_renderer(render: Renderer, group: GpuGroup) -> Renderer:
    """A renderer that renders its process's views and gathers the images of all."""

    def draw(scene: Gaussians, cameras: Cameras, height: int, width: int) -> Images:
        count = len(cameras)
        if count < group.size:
            return render(scene, cameras, height, width)
        return group.gather(render(scene, cameras[group.part(count)], height, width), count)

    return draw
