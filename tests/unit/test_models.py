"""The networks: names and shapes of the checkpoint, independence of frames, layouts, precision, export, gradients."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flashworld.cameras import Cameras
from flashworld.config import FULL, VaeConfig
from flashworld.gaussians import Gaussians
from flashworld.models.gaussian_decoder import GaussianDecoder, GaussianHead
from flashworld.models.networks import FLOAT32_PARTS, build_networks, random_networks
from flashworld.models.residual_blocks import NORM_EPS, ChannelNorm
from flashworld.models.still_frame import ENCODER_PREFIXES, still_frame_state
from flashworld.models.transformer import ROPE_BUFFERS, build_transformer, materialize_rope, velocity_and_features
from flashworld.models.vae_blocks import DownBlock, spread_channels
from flashworld.models.vae_encoder import StillFrameEncoder
from flashworld.sampling import encode

FRAMES, ROWS, COLUMNS = 3, 4, 6


@pytest.fixture
def cameras():
    quats = torch.tensor([[1.0, 0, 0, 0], [0.99, 0.05, 0.1, 0], [0.97, -0.1, 0.2, 0.05]])
    positions = torch.tensor([[0.0, 0, 0], [0.3, 0, -0.4], [0.6, 0.1, -0.75]])
    return Cameras(quats, positions, torch.tensor([0.8, 1.1, 0.52, 0.47]).expand(FRAMES, 4))


@pytest.fixture
def decoder_inputs(tiny_config):
    return torch.randn(FRAMES, tiny_config.feature_dim, ROWS, COLUMNS), torch.randn(FRAMES, 48, ROWS, COLUMNS)


@pytest.fixture
def denoiser_inputs(tiny_config):
    hidden = torch.randn(1, tiny_config.in_channels, FRAMES, ROWS, COLUMNS)
    return hidden, torch.tensor([750.0]), torch.randn(1, 48, 32)


def relative(actual, expected):
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


def same_scene(a: Gaussians, b: Gaussians):
    """Up to the order of sums, which a convolution picks by batch size; normalising a short quaternion amplifies it."""
    torch.testing.assert_close(a.to_vectors(), b.to_vectors(), rtol=1e-4, atol=1e-4)


# names and shapes


@pytest.fixture(scope="module")
def full_networks():
    return build_networks(FULL, "meta")


@pytest.fixture(scope="module")
def manifest(golden_dir):
    return json.loads((golden_dir / "checkpoint_manifest.json").read_text())


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def shapes(state):
    return {name: list(tensor.shape) for name, tensor in state.items()}


def on_meta(keys):
    return {name: torch.empty(shape, device="meta") for name, shape in keys.items()}


def test_full_transformer_has_the_checkpoints_names_and_shapes(full_networks, manifest):
    assert shapes(full_networks.transformer.state_dict()) == manifest["transformer"]["keys"]
    assert parameters(full_networks.modules["transformer"]) == manifest["transformer"]["total_parameters"]


def test_full_gaussian_decoder_has_the_checkpoints_names_and_shapes(full_networks, manifest):
    wanted = still_frame_state(on_meta(manifest["recon_decoder"]["keys"]))
    assert shapes(full_networks.gaussian_decoder.state_dict()) == shapes(wanted)
    assert set(wanted) == set(manifest["recon_decoder"]["keys"])
    assert parameters(full_networks.modules["gaussian_decoder"]) == manifest["recon_decoder"]["parameters"]


def test_full_vae_encoder_has_the_checkpoints_names_and_shapes(full_networks, manifest):
    keys = {n: s for n, s in manifest["vae_diffusers"]["keys"].items() if n.startswith(ENCODER_PREFIXES)}
    wanted = still_frame_state(on_meta(keys))
    assert shapes(full_networks.vae_encoder.state_dict()) == shapes(wanted)
    time_convs = {n for n in manifest["vae_diffusers"]["keys"] if n.startswith("encoder.") and "time_conv" in n}
    assert len(wanted) + len(time_convs) == manifest["vae_diffusers"]["encoder_and_quant_conv_tensors"]


def test_full_text_encoder_has_umt5_xxls_size(full_networks):
    assert parameters(full_networks.modules["text_encoder"]) == 5_680_910_336


def test_reduction_to_still_frames_is_idempotent(tiny_networks):
    state = tiny_networks.vae_encoder.state_dict()
    again = still_frame_state(state)
    assert all(again[name] is state[name] or torch.equal(again[name], state[name]) for name in state)


# arithmetic against the library the weights come from


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([(8, 8, False), (16, 8, False), (8, 8, True)]), st.integers(1, 4), st.integers(1, 4))
def test_up_shortcut_matches_diffusers(case, rows, columns):
    from diffusers.models.autoencoders.autoencoder_kl_wan import DupUp3D

    channels, out, time = case
    x = torch.randn(2, channels, rows, columns)
    theirs = DupUp3D(channels, out, factor_t=2 if time else 1, factor_s=2)(x[:, :, None], first_chunk=True)
    assert torch.equal(spread_channels(x, out), theirs[:, :, 0])


@pytest.mark.parametrize(("channels", "out", "time"), [(8, 8, False), (8, 16, True)])
def test_down_shortcut_matches_diffusers(channels, out, time):
    from diffusers.models.autoencoders.autoencoder_kl_wan import AvgDown3D

    block = DownBlock(channels, out, 1, downsample=True, downsample_time=time)
    torch.nn.init.zeros_(block.downsampler.resample[1].weight)
    torch.nn.init.zeros_(block.downsampler.resample[1].bias)
    x = torch.randn(2, channels, 4, 6)
    theirs = AvgDown3D(channels, out, factor_t=2 if time else 1, factor_s=2)(x[:, :, None])
    torch.testing.assert_close(block(x), theirs[:, :, 0])


def test_channel_norm_matches_diffusers_and_keeps_zeros():
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanRMS_norm

    ours, theirs = ChannelNorm(8), WanRMS_norm(8)
    torch.nn.init.normal_(ours.gamma)
    theirs.load_state_dict({"gamma": ours.gamma.detach()[:, None, None]})
    x = torch.randn(2, 8, 3, 5)
    x[0, :, 0, 0] = 0
    x[0, :, 0, 1] *= 1e-6
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    assert NORM_EPS > 0 and not ours(x)[0, :, 0, 0].any()


def test_unsupported_channel_multipliers_are_refused():
    with pytest.raises(ValueError, match="multipliers 1, 2, 4, 4"):
        StillFrameEncoder(VaeConfig(base_dim=8, dim_mult=(1, 2, 2, 4)))


# frames are independent


@settings(max_examples=6, deadline=None)
@given(st.integers(1, FRAMES + 1))
def test_chunks_of_frames_give_the_same_scene(tiny_networks, frames_per_chunk):
    torch.manual_seed(1)
    inputs = torch.randn(FRAMES, 64, ROWS, COLUMNS), torch.randn(FRAMES, 48, ROWS, COLUMNS)
    cameras = Cameras(torch.tensor([[1.0, 0, 0, 0]] * FRAMES), torch.rand(FRAMES, 3), torch.rand(FRAMES, 4) + 0.5)
    with torch.inference_mode():
        whole = tiny_networks.gaussian_decoder.gaussians(*inputs, cameras)
        parts = tiny_networks.gaussian_decoder.gaussians(*inputs, cameras, frames_per_chunk=frames_per_chunk)
    same_scene(parts, whole)


def test_scene_is_ordered_by_frame_point_row_column(tiny_networks, decoder_inputs, cameras):
    decoder = tiny_networks.gaussian_decoder
    with torch.inference_mode():
        maps = decoder(*decoder_inputs)
        scene = decoder.gaussians(*decoder_inputs, cameras)
    assert maps.shape == (FRAMES, 76, 8 * ROWS, 8 * COLUMNS)
    opacities = scene.opacities.reshape(FRAMES, 2, 8 * ROWS, 8 * COLUMNS)
    torch.testing.assert_close(opacities[1, 0], maps[1, 30].sigmoid())
    torch.testing.assert_close(opacities[2, 1], maps[2, 38 + 30].sigmoid())


def test_random_decoder_makes_gaussians_about_a_pixel_wide(tiny_networks, decoder_inputs, cameras):
    """As before training; the cost of rendering depends on it."""
    with torch.inference_mode():
        scene = tiny_networks.gaussian_decoder.gaussians(*decoder_inputs, cameras)
    distance = (scene.means.unflatten(0, (FRAMES, -1)) - cameras.positions[:, None]).norm(dim=-1)
    focal = cameras.intrinsics[:, :2] / torch.tensor([8 * COLUMNS, 8 * ROWS])
    pixel = (focal.norm(dim=-1)[:, None] * distance).flatten()
    assert 0.5 < float((scene.scales / pixel[:, None]).median()) < 2


def test_encoding_a_batch_equals_encoding_one_by_one(tiny_networks):
    images = torch.rand(FRAMES, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        together = tiny_networks.vae_encoder(images)
        for chunk in (1, 2):
            for a, b in zip(encode(tiny_networks.vae_encoder, images, chunk), together, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert together[0].shape == (FRAMES, 48, 4, 6)


# layouts and precision


def test_memory_format_changes_nothing(tiny_networks, decoder_inputs):
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    for network, inputs in ((tiny_networks.vae_encoder, (images,)), (tiny_networks.gaussian_decoder, decoder_inputs)):
        plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
        with torch.inference_mode():
            wanted = plain(*inputs)
            for layout in (torch.contiguous_format, torch.channels_last):
                got = network(*(t.contiguous(memory_format=layout) for t in inputs))
                for a, b in zip(got, wanted, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32(tiny_config, tiny_networks, denoiser_inputs, decoder_inputs):
    """Rounding to 8 bits is 0.2 % a step in the mean; a few dozen steps in a row make one or two per cent."""
    half = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    images = torch.rand(2, 3, 64, 96) * 2 - 1
    hidden, time, text = denoiser_inputs
    with torch.inference_mode():
        pairs = {
            "text": (half.text("a lake"), tiny_networks.text("a lake")),
            "mean": (half.vae_encoder(images)[0], tiny_networks.vae_encoder(images)[0]),
            "maps": (half.gaussian_decoder(*decoder_inputs), tiny_networks.gaussian_decoder(*decoder_inputs)),
        }
        low = velocity_and_features(half.transformer, hidden.bfloat16(), time, text.bfloat16(), latent_channels=48)
        high = velocity_and_features(tiny_networks.transformer, hidden, time, text, latent_channels=48)
    pairs |= {"velocity": (low[0], high[0]), "features": (low[1], high[1])}
    errors = {name: relative(a, b) for name, (a, b) in pairs.items()}
    assert all(0 < error < 0.02 for error in errors.values()), errors
    assert low[0].dtype == torch.bfloat16 and pairs["maps"][0].dtype == torch.float32


def test_random_text_encoder_of_full_depth_does_not_magnify_rounding(tiny_config):
    """Otherwise no comparison of two ways to compute it is meaningful; 24 layers with heads of 64, otherwise narrow."""
    text = replace(tiny_config.text, d_model=128, d_kv=FULL.text.d_kv, num_layers=FULL.text.num_layers, num_heads=2)
    half = random_networks(replace(tiny_config, text=text), dtype=torch.bfloat16).text.reader
    exact = copy.deepcopy(half).float()
    ids = torch.randint(text.vocab_size, (1, 40))
    with torch.inference_mode():
        assert 0 < relative(half(ids), exact(ids)) < 0.03


def test_casting_keeps_the_float32_parts_and_rounds_the_rest(tiny_config):
    cast = random_networks(tiny_config, seed=0).to("cpu", torch.bfloat16)
    assert cast.dtype == torch.bfloat16
    for network, module in cast.modules.items():
        for name, tensor in module.state_dict().items():
            kept = any(part in name for part in FLOAT32_PARTS[network])
            assert tensor.dtype == (torch.float32 if kept else torch.bfloat16), name
            assert tensor.ndim != 4 or tensor.is_contiguous(memory_format=torch.channels_last), name
    drawn = random_networks(tiny_config, seed=0, dtype=torch.bfloat16)
    for network, module in cast.modules.items():
        other = drawn.modules[network].state_dict()
        assert all(torch.equal(tensor, other[name]) for name, tensor in module.state_dict().items())


def test_one_seed_gives_one_set_of_weights(tiny_config, tiny_networks):
    same, other = random_networks(tiny_config, seed=0), random_networks(tiny_config, seed=1)
    weight = "blocks.1.ffn.net.2.weight"
    wanted = tiny_networks.transformer.state_dict()[weight]
    assert torch.equal(same.transformer.state_dict()[weight], wanted)
    assert not torch.equal(other.transformer.state_dict()[weight], wanted)


def test_embedding_is_one_parameter(tiny_networks):
    encoder = tiny_networks.text.encoder
    assert encoder.shared.weight is encoder.encoder.embed_tokens.weight


# rotary tables


def test_rope_tables_survive_meta_and_saving(tiny_config, tiny_networks):
    eager = build_transformer(tiny_config, "cpu")
    assert not set(ROPE_BUFFERS) & set(eager.state_dict())
    built = tiny_networks.transformer
    for name in ROPE_BUFFERS:
        assert torch.equal(built.state_dict()[name], eager.get_buffer(name))
    fresh = build_transformer(tiny_config, "cpu")
    materialize_rope(fresh)
    fresh.load_state_dict(built.state_dict(), strict=True)


# export and gradients


def test_networks_export_with_free_sizes(tiny_networks, denoiser_inputs, decoder_inputs):
    from torch.export import Dim, export

    frames, rows, columns = Dim("frames", min=2, max=32), Dim("rows", min=2, max=32), Dim("columns", min=2, max=32)
    latent = {0: frames, 2: 2 * rows, 3: 2 * columns}
    decoder = export(tiny_networks.gaussian_decoder, decoder_inputs, dynamic_shapes=(latent, latent))
    encoder = export(
        tiny_networks.vae_encoder,
        (torch.rand(3, 3, 64, 96),),
        dynamic_shapes=({0: frames, 2: 32 * rows, 3: 32 * columns},),
    )
    hidden, time, text = denoiser_inputs
    names = ("hidden_states", "timestep", "encoder_hidden_states")
    denoiser = export(
        tiny_networks.transformer,
        (),
        dict(zip(names, (hidden, time, text), strict=True)) | {"return_dict": False},
        dynamic_shapes={
            "hidden_states": {2: frames, 3: 2 * rows, 4: 2 * columns},
            "timestep": None,
            "encoder_hidden_states": None,
            "return_dict": None,
        },
    )
    with torch.inference_mode():
        features, latents, images = torch.randn(5, 64, 6, 4), torch.randn(5, 48, 6, 4), torch.rand(2, 3, 96, 64)
        torch.testing.assert_close(
            decoder.module()(features, latents), tiny_networks.gaussian_decoder(features, latents)
        )
        for a, b in zip(encoder.module()(images), tiny_networks.vae_encoder(images), strict=True):
            torch.testing.assert_close(a, b)
        inputs = dict(zip(names, (torch.randn(1, hidden.shape[1], 5, 6, 4), time, text), strict=True))
        got = denoiser.module()(**inputs, return_dict=False)[0]
        torch.testing.assert_close(got, tiny_networks.transformer(**inputs, return_dict=False)[0])


def test_text_encoder_exports(tiny_networks):
    tokens = torch.tensor([[5, 9, 7, 1]])
    encoder = tiny_networks.text.encoder
    exported = torch.export.export(encoder, (), {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)})
    got = exported.module()(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    wanted = encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens))
    torch.testing.assert_close(got.last_hidden_state, wanted.last_hidden_state)


def test_gradients_reach_every_weight(tiny_config, denoiser_inputs, decoder_inputs, cameras):
    networks = random_networks(tiny_config, seed=0)
    scene = networks.gaussian_decoder.gaussians(*decoder_inputs, cameras, frames_per_chunk=2)
    mean, logvar = networks.vae_encoder(torch.rand(1, 3, 64, 96))
    hidden, time, _ = denoiser_inputs
    text = networks.text("a lake")
    velocity, features = velocity_and_features(networks.transformer, hidden, time, text, latent_channels=48)
    losses = (scene.to_vectors(), mean, logvar, velocity, features)
    sum((loss**2).mean() for loss in losses).backward()
    for network, module in networks.modules.items():
        missing = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not missing, (network, missing)


def test_head_multiplier_scales_weight_and_bias(tiny_config, decoder_inputs):
    decoder = GaussianDecoder(tiny_config).eval()
    with torch.inference_mode():
        once = decoder(*decoder_inputs)
        decoder.gs_head.lrs_mul *= 2
        torch.testing.assert_close(decoder(*decoder_inputs), 2 * once)


def test_float16_head_keeps_eleven_bits():
    head = GaussianHead(256).eval()
    head.gs_proj.bias.data.normal_()
    x = torch.nn.functional.silu(torch.randn(2, 256, 9, 7))
    with torch.inference_mode():
        exact, found = head(x), head(x, torch.float16)
    assert found.shape == exact.shape and found.dtype == torch.float32
    assert 0 < relative(found, exact) < 2**-11


def test_bfloat16_decoder_has_a_float16_head(tiny_config, decoder_inputs):
    decoder = random_networks(tiny_config, dtype=torch.bfloat16).gaussian_decoder
    with torch.inference_mode():
        x = decoder.activations(*decoder_inputs)
        maps = decoder(*decoder_inputs)
        assert torch.equal(maps, decoder.gs_head(x, torch.float16))
        assert 0 < relative(maps, decoder.gs_head(x)) < 2**-11
