"""Trainable weights: initialisation, exponential moving average (EMA), optimiser and checkpoints.

A checkpoint is a folder: `progress.json` (configuration, history of commands) and `weights-<n>.safetensors`, float16, at
most `SHARD_BYTES` each, with the EMA weights under `<network>.<tensor>`. A resumed run starts from the EMA and repeats
the learning-rate warm-up; neither the raw weights nor the optimiser's moments are saved.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from flashworld.config import GAUSSIAN_HEAD_WIDTH, ModelConfig
from flashworld.models.gaussian_decoder import FIELDS
from flashworld.models.networks import Networks, random_networks
from flashworld.nano.training.grow import grow, with_new_words
from flashworld.nano.training.handover import hand_over
from flashworld.nano.training.losses import scale_bias
from flashworld.nano.training.tokenizer import build_tokenizer

SHARD_BYTES = 15_000_000
EMA_DECAY = 0.998
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.97)
CLIP_NORM = 1.0


class Learner:
    """Master weights, their EMA and the optimiser.

    Args:
        config: Sizes; its latent statistics are replaced after the first stage.
        seed: Seed of the initialisation.
        device: Training device.
    """

    def __init__(self, config: ModelConfig, seed: int, device: torch.device) -> None:
        self.config, self.device = config, device
        self.networks: Networks = random_networks(config, seed, "cpu", torch.float32, build_tokenizer())
        self.modules: dict[str, nn.Module] = self.networks.modules
        set_start_values(self.modules)
        for module in self.modules.values():
            module.to(device)
        self.ema = {name: copy.deepcopy(module).requires_grad_(False) for name, module in self.modules.items()}
        self.optimizer: torch.optim.Optimizer | None = None
        self.averaged = 0

    def prepare(self, rates: dict[str, float]) -> None:
        """Create an optimiser for the named networks; the others are frozen."""
        groups = []
        for name, module in self.modules.items():
            module.requires_grad_(name in rates)
            if name in rates:
                matrices = [p for p in module.parameters() if p.ndim >= 2]
                vectors = [p for p in module.parameters() if p.ndim < 2]
                groups.append({"params": matrices, "rate": rates[name], "weight_decay": WEIGHT_DECAY})
                groups.append({"params": vectors, "rate": rates[name], "weight_decay": 0.0})
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=BETAS, eps=1e-8, fused=fused)
        self.averaged = 0

    def step(self, loss: torch.Tensor, factor: float) -> torch.Tensor:
        """One update at `factor` times the learning rates; returns the norm of the gradients before clipping."""
        if self.optimizer is None:
            raise RuntimeError("learner: call prepare before step")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(parameters, CLIP_NORM, foreach=True)
        for p in parameters:  # no device synchronisation: non-finite gradients become zeros
            p.grad = torch.where(norm.isfinite(), p.grad, torch.zeros_like(p.grad)) if p.grad is not None else None
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        self.optimizer.step()
        self._average()
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        self.averaged += 1
        decay = min(EMA_DECAY, self.averaged / (self.averaged + 10))
        for name, module in self.modules.items():
            mine: list[torch.Tensor] = list(self.ema[name].parameters())
            theirs: list[torch.Tensor] = list(module.parameters())
            torch._foreach_lerp_(mine, theirs, 1 - decay)

    def hand_over(self) -> None:
        """Switch to stage 2: continue from the EMA weights, with a transformer initialised to copy the input image."""
        for name, module in self.modules.items():
            module.load_state_dict(self.ema[name].state_dict())
        hand_over(self.modules, self.config)
        for name, module in self.modules.items():
            self.ema[name].load_state_dict(module.state_dict())

    def save(self, folder: Path, progress: dict[str, object]) -> None:
        """Write a checkpoint."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{name}.{key}": p.detach().half().cpu().contiguous()
            for name, module in self.ema.items()
            for key, p in module.named_parameters()
        }
        shard: dict[str, torch.Tensor] = {}
        count = size = 0
        for name, tensor in tensors.items():
            if size + tensor.nbytes > SHARD_BYTES:
                save_file(shard, folder / f"weights-{count}.safetensors")
                shard, size, count = {}, 0, count + 1
            shard[name], size = tensor, size + tensor.nbytes
        save_file(shard, folder / f"weights-{count}.safetensors")
        text = json.dumps({"config": json.loads(self.config.to_json()), **progress}, indent=1)
        (folder / "progress.json").write_text(text)

    def load(self, folder: Path) -> dict[str, object]:
        """Load a checkpoint's weights and configuration; returns its progress.

        A nano folder is also accepted; a smaller transformer is grown (see `grow`).
        """
        path = folder / "progress.json"
        progress: dict[str, object] = {"history": []}
        if path.is_file():
            progress = json.loads(path.read_text())
            tensors: dict[str, torch.Tensor] = {}
            for shard in sorted(folder.glob("weights-*.safetensors")):
                tensors |= load_file(shard)
            kept = ModelConfig.from_json(json.dumps(progress.pop("config")))
            tensors, self.config = with_new_words(tensors, kept, self.config, self.ema)
        else:
            tensors, self.config = grow(folder, self.config, self.ema)
        with torch.no_grad():
            for name, module in self.ema.items():
                for key, parameter in module.named_parameters():
                    parameter.copy_(tensors[f"{name}.{key}"])
                self.modules[name].load_state_dict(module.state_dict())
        return progress


@torch.no_grad()
def set_start_values(modules: Mapping[str, Any]) -> None:
    """Adjust random weights: small opaque Gaussians at medium distance, and zero weights for features."""
    decoder, encoder = modules["gaussian_decoder"], modules["vae_encoder"]
    head = decoder.gs_head.gs_proj
    head.weight.mul_(0.1)
    head.bias.copy_(head_bias())
    decoder.extra_conv_in.weight.zero_()
    for module in (decoder, encoder):
        for name, parameter in module.named_parameters():
            if name.endswith(("conv2.weight", "proj.weight")) and "gs_proj" not in name:
                parameter.mul_(0.5)
    channels = encoder.quant_conv.out_channels // 2
    encoder.quant_conv.bias[channels:] = -4.0  # low posterior variance initially
    transformer = modules["transformer"]
    transformer.condition_embedder.time_proj.weight.mul_(0.1)
    for block in transformer.blocks:
        block.scale_shift_table[:, 2] += 0.5  # gates of attention and of the feed-forward part
        block.scale_shift_table[:, 5] += 0.5


def head_bias() -> torch.Tensor:
    """Initial biases of the Gaussian head. (76,)"""
    bias = torch.zeros(2, GAUSSIAN_HEAD_WIDTH)
    distance, opacity, scale, rotation = sum(FIELDS[:2]), sum(FIELDS[:3]), sum(FIELDS[:4]), sum(FIELDS[:5])
    bias[:, distance] = 1.4
    bias[:, opacity] = torch.tensor([1.5, -1.0])
    bias[:, scale : scale + 3] = scale_bias(0.6)
    bias[:, rotation] = 1.0
    return bias.flatten()
