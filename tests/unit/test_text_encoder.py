"""The text encoder: padding, truncation, prefix, cache."""

from __future__ import annotations

import pytest
import torch

from flashworld.config import TEXT_PREFIX
from flashworld.models.text_encoder import (
    CACHED_TEXTS,
    EOS_ID,
    PAD_ID,
    UNKNOWN_ID,
    TextConditioner,
    build_text_encoder,
    text_encoder_state,
    tiny_tokenizer,
)


@pytest.fixture
def text(tiny_networks):
    """An empty cache around the shared encoder."""
    return TextConditioner(tiny_tokenizer(270), tiny_networks.text.encoder, 48)


def test_omitting_padding_equals_masking_it(text):
    ids = text.token_ids("a lake")
    padded = torch.tensor([ids + [PAD_ID] * (48 - len(ids))])
    with torch.inference_mode():
        masked = text.encoder(input_ids=padded, attention_mask=(padded != PAD_ID).long()).last_hidden_state
        ours = text.encode_ids(ids)
    torch.testing.assert_close(ours[:, : len(ids)], masked[:, : len(ids)])
    assert ours.shape == (1, 48, 32) and not ours[:, len(ids) :].any()


def test_prompt_carries_the_prefix_and_ends_in_eos(text):
    ids = text.token_ids("é lake")
    assert ids[-1] == EOS_ID and UNKNOWN_ID not in ids
    assert text.tokenizer.decode(ids[:-1]).replace(" ", "").startswith(TEXT_PREFIX.strip()[:3])
    assert text.token_ids("") == [*text.tokenizer.encode(TEXT_PREFIX, add_special_tokens=False).ids, EOS_ID]


def test_long_prompt_is_truncated_and_keeps_eos(text):
    ids = text.token_ids("x" * 200)
    assert len(ids) == 48 and ids[-1] == EOS_ID


def test_tokenizers_own_padding_is_disabled(tiny_networks):
    tokenizer = tiny_tokenizer(270)
    tokenizer.enable_padding(length=40, pad_id=PAD_ID, pad_token="<pad>")
    assert PAD_ID not in TextConditioner(tokenizer, tiny_networks.text.encoder, 48).token_ids("a")


def test_small_vocabulary_falls_back_to_unknown(tiny_networks):
    ids = TextConditioner(tiny_tokenizer(60), tiny_networks.text.encoder, 48).token_ids("lake \u2603")
    assert max(ids) < 60 and UNKNOWN_ID in ids


def test_repeated_prompt_is_not_encoded_again(text):
    calls = []
    handle = text.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        first, second = text("a lake"), text("a lake")
        for i in range(CACHED_TEXTS):
            text(f"prompt {i}")
        text("a lake")
    handle.remove()
    assert torch.equal(first, second)
    assert len(calls) == 1 + CACHED_TEXTS + 1


def test_cached_embeddings_do_not_leak_into_training(text):
    with torch.inference_mode():
        text("a lake")
    embedding = text("a lake")
    assert embedding.requires_grad and not embedding.is_inference()


def test_clearing_the_cache_encodes_again(text):
    with torch.inference_mode():
        text("a lake")
        text.forget()
        calls = []
        handle = text.encoder.register_forward_hook(lambda *_: calls.append(1))
        text("a lake")
        handle.remove()
    assert calls == [1]


@pytest.mark.parametrize("stored", ["shared.weight", "encoder.embed_tokens.weight"])
def test_either_name_of_the_embedding_loads(tiny_config, tiny_networks, stored):
    state = tiny_networks.text.encoder.state_dict()
    other = {"shared.weight", "encoder.embed_tokens.weight"} - {stored}
    partial = {name: tensor for name, tensor in state.items() if name not in other}
    encoder = build_text_encoder(tiny_config.text)
    encoder.load_state_dict(text_encoder_state(partial), strict=True, assign=True)
    assert torch.equal(encoder.shared.weight, state["shared.weight"])
