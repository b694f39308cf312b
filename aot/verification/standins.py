"""Networks with the layout of the real ones in a fraction of their memory: few random layers, used in turn.

A graph reads its weights by name, so any weights of the right layout are sufficient. Deep networks repeat one kind of layer;
alternating two of them keeps the depth, names and layouts and needs a fifteenth of the memory.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import nn

from aot.blocks import module_of
from aot.compile import CompileOptions
from aot.keys import PRECISION_NAMES
from aot.variants import Variant
from flashworld.config import ModelConfig
from flashworld.models.networks import Networks, build_networks, random_networks
from flashworld.models.text_encoder import tie_embedding
from flashworld.models.transformer import materialize_rope

LAYERS_DRAWN = 2
"""So that neighbours differ."""
DTYPES = {name: dtype for dtype, name in PRECISION_NAMES.items()}


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the layout of networks, and therefore which graphs match them.

    Attributes:
        config: Sizes.
        variant: The optimisations applied to them.
        device: "cuda" or "cpu".
        dtype: Their dtype.
        options: Compile options of their graphs.
    """

    config: ModelConfig
    variant: Variant
    device: str
    dtype: torch.dtype
    options: CompileOptions = field(default_factory=CompileOptions)

    @classmethod
    def of(cls, networks: Networks, variant: Variant, options: CompileOptions) -> Recipe:
        """The recipe of networks that `variant` has been applied to."""
        return cls(networks.config, variant, networks.device.type, networks.dtype, options)

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        data = {
            "config": self.config.to_json(),
            "variant": dataclasses.asdict(self.variant),
            "device": self.device,
            "dtype": PRECISION_NAMES[self.dtype],
            "options": dataclasses.asdict(self.options),
        }
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read `to_json`'s line."""
        data = json.loads(text)
        return cls(
            ModelConfig.from_json(data["config"]),
            Variant(**data["variant"]),
            data["device"],
            DTYPES[data["dtype"]],
            CompileOptions(**data["options"]),
        )

    def networks(self) -> Networks:
        """Networks of this layout with random weights, all of them."""
        return self.variant.apply(random_networks(self.config, device=self.device, dtype=self.dtype))

    def layout(self) -> Networks:
        """Networks of this layout without memory, on "meta"."""
        networks = build_networks(self.config).to("meta", self.dtype)
        materialize_rope(networks.transformer)
        return self.variant.apply(networks)

    def blank(self, block: str) -> Networks:
        """Networks of which those that a block's example call needs are on the device, all zero: sufficient to compile."""
        networks = replace(self.layout(), device=torch.device(self.device))
        for module in _needed(networks, block):
            module.to_empty(device=self.device)
            for tensor in (*module.parameters(), *module.buffers()):
                (tensor.view(torch.uint8) if tensor.element_size() == 1 else tensor).data.zero_()
        if block == "text_encoder":
            tie_embedding(cast(Any, networks.text.encoder))
        return networks

    def blank_bytes(self, blocks: Iterable[str]) -> int:
        """Memory of `blank` for all of these."""
        layout = self.layout()
        modules = [module for block in blocks for module in _needed(layout, block)]
        return sum(t.numel() * t.element_size() for m in modules for t in {*m.parameters(), *m.buffers()})

    def stand_ins(self) -> Networks:
        """Networks of this layout with random weights, deep layers shared."""
        config = self.config
        shallow = replace(
            config,
            transformer=replace(config.transformer, num_layers=min(LAYERS_DRAWN, config.transformer.num_layers)),
            text=replace(config.text, num_layers=min(LAYERS_DRAWN, config.text.num_layers)),
        )
        networks = replace(self, config=shallow).networks()
        depth, context = config.transformer.num_layers, networks.text_context
        for parent, name, count in (
            (networks.transformer, "blocks", depth),
            (cast(Any, networks.text.encoder).encoder, "block", config.text.num_layers),
        ):
            layers = getattr(parent, name)
            setattr(parent, name, nn.ModuleList(layers[i] for i in _turns(len(layers), count)))
        if not isinstance(context, nn.Identity):
            context = InTurn(context, depth)
        return replace(networks, config=config, text_context=context)


class InTurn(nn.Module):
    """A text context of few blocks as one of many."""

    def __init__(self, context: nn.Module, depth: int) -> None:
        super().__init__()
        self.context = context
        self.depth = depth

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """(B, tokens, text_dim) -> (B, blocks, ...)"""
        drawn = self.context(text)
        return drawn[:, _turns(drawn.shape[1], self.depth)]


def _needed(networks: Networks, block: str) -> list[nn.Module]:
    """The networks that run in a block's example call before the block itself, and the block."""
    module = module_of(networks, block)
    return [networks.text_context, module] if block == "transformer" else [module]


def _turns(drawn: int, depth: int) -> list[int]:
    """The index of the random layer that represents each layer."""
    return [i % drawn for i in range(depth)]
