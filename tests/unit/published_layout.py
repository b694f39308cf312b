"""A tiny model laid out exactly like the published files: the golden data's weights, the Wan folder and `model.ckpt`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from flashworld.models.text_encoder import tiny_tokenizer


def write_published(golden_dir: Path, folder: Path, config) -> tuple[Path, Path]:
    """Write the Wan folder and `model.ckpt`; returns both paths."""
    weights = load_file(golden_dir / "weights.safetensors")
    text = {
        n.removeprefix("weights."): t
        for n, t in load_file(golden_dir / "g_text.safetensors").items()
        if n.startswith("weights.")
    }
    wan = folder / "wan"
    for name in ("tokenizer", "text_encoder", "vae"):
        (wan / name).mkdir(parents=True)
    (wan / "tokenizer/tokenizer.json").write_text(tiny_tokenizer(config.text.vocab_size).to_str())
    (wan / "text_encoder/config.json").write_text(json.dumps({**asdict(config.text), "model_type": "umt5"}))
    names = sorted(text)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({n: text[n] for n in part}, wan / "text_encoder" / file)
    index = {n: file for file, part in shards.items() for n in part}
    (wan / "text_encoder/model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    vae = part_of(weights, "vae.") | {"decoder.conv_in.weight": torch.zeros(3), "post_quant_conv.bias": torch.zeros(48)}
    save_file(vae, wan / "vae/diffusion_pytorch_model.safetensors")
    checkpoint = folder / "model.ckpt"
    torch.save({name: part_of(weights, f"{name}.") for name in ("transformer", "recon_decoder")}, checkpoint)
    return wan, checkpoint


def part_of(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}
