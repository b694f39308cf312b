"""The fused transformer equals the plain one, deviation by deviation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from flashworld.models.fp8 import Fp8Linear, quantize_blocks, quantize_linears
from flashworld.models.fused import attend, fuse_networks, fuse_transformer, rotate, stack_linears
from flashworld.models.networks import random_networks
from flashworld.models.transformer import velocity_and_features


@pytest.fixture
def inputs(tiny_config):
    return torch.randn(1, tiny_config.in_channels, 3, 4, 6), torch.tensor([750.0]), torch.randn(1, 48, 32)


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def both(networks, inputs):
    """Velocity and features as one tensor."""
    hidden, time, text = inputs
    hidden, text = hidden.to(networks.dtype), text.to(networks.dtype)
    with torch.inference_mode():
        context = networks.text_context(text)
        return torch.cat(velocity_and_features(networks.transformer, hidden, time, context, latent_channels=48), dim=1)


def test_fused_network_equals_the_plain_one(tiny_networks, inputs):
    torch.testing.assert_close(
        both(fuse_networks(tiny_networks), inputs), both(tiny_networks, inputs), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("fp8", [None, "per_row"])
def test_one_row_of_padding_stands_for_all(tiny_config, inputs, fp8):
    networks = fuse_networks(random_networks(tiny_config, seed=0, dtype=torch.bfloat16), fp8, native=False)
    padded, short = networks.text("a lake"), networks.embed("a lake")
    tokens = len(networks.text.token_ids("a lake"))
    assert padded.shape[1] == tiny_config.text.max_tokens > short.shape[1] == tokens + 1
    assert torch.equal(padded[:, : tokens + 1], short) and not short[:, -1].any()
    torch.testing.assert_close(both(networks, (*inputs[:2], short)), both(networks, (*inputs[:2], padded)))


def test_text_without_room_for_padding_counts_every_row_once(tiny_networks, inputs):
    networks, words = fuse_networks(tiny_networks), "a lake " * 40
    assert torch.equal(networks.embed(words), networks.text(words))
    expected = both(tiny_networks, (*inputs[:2], tiny_networks.embed(words)))
    torch.testing.assert_close(both(networks, (*inputs[:2], networks.embed(words))), expected, rtol=1e-4, atol=1e-5)


def test_fusing_loses_no_precision_in_bfloat16(tiny_config, tiny_networks, inputs):
    plain = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    exact = both(tiny_networks, inputs)
    assert relative(both(fuse_networks(plain), inputs), exact) < 1.2 * relative(both(plain, inputs), exact) < 0.02


def test_fusing_leaves_the_original_alone_and_shares_what_it_can(tiny_networks):
    before = set(tiny_networks.transformer.state_dict())
    context, fused = fuse_transformer(tiny_networks.transformer, 48)
    assert set(tiny_networks.transformer.state_dict()) == before
    assert fused.proj_out.weight is tiny_networks.transformer.proj_out.weight
    count = sum(p.numel() for module in (context, fused) for p in module.parameters())
    assert count == sum(p.numel() for p in tiny_networks.transformer.parameters())


def test_fusing_does_not_affect_per_row_eight_bit_linears(tiny_config, inputs):
    plain = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    separate = replace(plain, transformer=quantize_blocks(plain.transformer, "per_row", native=False))
    fused = fuse_networks(plain, "per_row", native=False)
    layers = [m for net in (fused.transformer, fused.text_context) for m in net.modules() if isinstance(m, Fp8Linear)]
    assert len(layers) == 6 * tiny_config.transformer.num_layers + 1
    assert relative(both(fused, inputs), both(separate, inputs)) < 0.02  # bfloat16 rounding, then e4m3 of it
    assert relative(both(fused, inputs), both(plain, inputs)) < 0.08


@pytest.mark.parametrize("fp8", [None, "per_row"])
def test_one_projection_gives_the_keys_and_values_of_every_block(tiny_config, fp8):
    plain = random_networks(tiny_config, seed=0, dtype=torch.bfloat16).transformer
    for block in plain.blocks:
        block.attn2.norm_k.weight.data.uniform_(0.5, 2.0)
        block.attn2.to_v.bias.data.normal_()
    text = torch.randn(2, 7, 32, dtype=torch.bfloat16)
    context, _ = fuse_transformer(plain, 48)
    blocks = plain.blocks
    if fp8:
        context = quantize_linears(context, "blocks", fp8, native=False)
        blocks = quantize_blocks(plain, fp8, native=False).blocks
    with torch.inference_mode():
        embedded = plain.condition_embedder.text_embedder(text)
        found = context(text)
        for index, block in enumerate(blocks):
            keys = block.attn2.norm_k(block.attn2.to_k(embedded))
            torch.testing.assert_close(found[:, index, 0], keys, rtol=1e-2, atol=1e-3)
            torch.testing.assert_close(found[:, index, 1], block.attn2.to_v(embedded), rtol=1e-2, atol=1e-3)
    assert found.is_contiguous()  # a graph would copy it at every call


def test_keys_and_values_are_not_fused_with_per_tensor_scales(tiny_config):
    context = fuse_networks(random_networks(tiny_config), "per_tensor", native=False).text_context
    assert isinstance(context.blocks.to_kv, nn.Linear)


def test_stacked_linear_gives_the_parts_outputs():
    parent = nn.ModuleDict({"a": nn.Linear(8, 4), "b": nn.Linear(8, 6)})
    x = torch.randn(3, 8)
    torch.testing.assert_close(
        stack_linears(parent["a"], parent["b"])(x), torch.cat([parent["a"](x), parent["b"](x)], -1)
    )


def test_rotation_keeps_lengths_and_attention_averages():
    angles = torch.rand(1, 5, 1, 4).repeat_interleave(2, -1)
    x = torch.randn(2, 5, 3, 8)
    torch.testing.assert_close(rotate(x, angles.cos(), angles.sin()).norm(dim=-1), x.norm(dim=-1))
    value = torch.randn(1, 6, 2, 4)
    same_keys = torch.ones(1, 6, 2, 4)
    torch.testing.assert_close(attend(x[:1, :, :2, :4], same_keys, value)[0, 3], value[0].mean(0).flatten())


@pytest.mark.parametrize("fp8", [None, "per_row"])
def test_fused_network_exports_with_free_sizes(tiny_config, fp8):
    from torch.export import Dim, export

    networks = fuse_networks(random_networks(tiny_config, dtype=torch.bfloat16), fp8, native=False)
    names = ("hidden_states", "timestep", "encoder_hidden_states")

    def call(*shape, texts):
        text = torch.randn(1, texts, 32, dtype=torch.bfloat16)
        hidden = torch.randn(1, tiny_config.in_channels, *shape, dtype=torch.bfloat16)
        with torch.no_grad():
            context = networks.text_context(text)
        return dict(zip(names, (hidden, torch.tensor([500.0]), context), strict=True)) | {"return_dict": False}

    sizes = {2: Dim("frames", min=2, max=32), 3: 2 * Dim("rows", min=2, max=32), 4: 2 * Dim("columns", min=2, max=32)}
    exported = export(
        networks.transformer, (), call(3, 4, 6, texts=40),
        dynamic_shapes=dict.fromkeys((*names, "return_dict"))
        | {"hidden_states": sizes, "encoder_hidden_states": {3: Dim("tokens", min=2, max=48)}},
    )  # fmt: skip
    assert not [name for name in exported.constants if "tensor_constant" in name]
    assert set(exported.graph_signature.parameters) <= set(networks.transformer.state_dict())
    for texts in (2, 48):
        other = call(5, 6, 4, texts=texts)
        with torch.inference_mode():
            torch.testing.assert_close(exported.module()(**other)[0], networks.transformer(**other)[0])


def test_fused_network_can_be_trained(tiny_networks, inputs):
    networks = fuse_networks(tiny_networks)
    hidden, time, text = inputs
    velocity, _ = velocity_and_features(
        networks.transformer, hidden, time, networks.text_context(text), latent_channels=48
    )
    velocity.square().mean().backward()
    assert networks.text_context.blocks.to_kv.weight.grad is not None
    assert networks.transformer.blocks[0].attn1.to_qkv.weight.grad is not None
    for module in (networks.transformer, networks.text_context):
        module.zero_grad()
