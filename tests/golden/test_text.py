"""Golden case g: token ids to text embedding."""

from __future__ import annotations

import torch
from safetensors.torch import load_file


def test_embedding_matches_original_without_encoding_padding(golden_dir, golden_networks, close):
    data = load_file(golden_dir / "g_text.safetensors")
    for ids, length, expected in zip(data["in.input_ids"], data["in.lengths"], data["out.embeds_first32"], strict=True):
        with torch.inference_mode():
            embedding = golden_networks.text.encode_ids(ids[:length].tolist())
        assert embedding.shape == (1, 512, 32)
        close(embedding[0, :32], expected, 1e-4)
        assert not embedding[0, length:].any()
