"""nano's files: int8 or float16, verified against the hashes stored with them.

See `flashworld.nano` for the format. Numerics: int8 rows are scaled by their largest magnitude / 127, in float32;
reading multiplies in float32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flashworld.checkpoints.tensor_files import LazyTensor, open_safetensors, safetensors_metadata, with_prefix
from flashworld.checkpoints.tokenizer_file import read_tokenizer
from flashworld.config import ModelConfig
from flashworld.errors import CheckpointError, WriteError
from flashworld.models.text_encoder import TIED_EMBEDDING
from flashworld.models.transformer import ROPE_BUFFERS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from flashworld.models.networks import Networks

METADATA_KEY = "flashworld"
"""A single key, because safetensors writes several in no fixed order."""
FORMAT = "flashworld-nano"
VERSION = 2
"""Text encoders of version 1 read the prompt itself, those of version 2 its canonical form (`language`)."""
CONFIG_NAME = "config.json"
TOKENIZER_NAME = "tokenizer.json"
WEIGHTS_NAME = "weights.safetensors"
MORE_WEIGHTS_NAME = "weights-2.safetensors"
"""The second file; absent if one file holds everything."""
FILE_BYTES = 9_400_000
"""Maximum bytes of tensors in the first file."""
SCALE = ".scale"
INT8_MAX = 127
MIN_INT8_VALUES = 1024
"""Smaller tensors stay float16: they contribute little to the file's size but much to the error."""
HOW_TO_GET = "install the package again, or restore flashworld/nano from the repository (git checkout flashworld/nano)"


def nano_config(folder: Path) -> ModelConfig:
    """Sizes of the model in a folder; the sizes for training if the folder has none.

    Raises:
        CheckpointError: the file is not readable.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        from flashworld.nano.sizes import NANO

        return NANO
    return ModelConfig.from_json(_text(path))


def nano_tokenizer(folder: Path) -> Tokenizer:
    """Tokenizer of the model in a folder.

    Raises:
        CheckpointError: the file is missing or not readable.
    """
    return read_tokenizer(folder / TOKENIZER_NAME)


def write_nano(
    networks: Networks, folder: Path, *, eight_bit: Callable[[str, torch.Tensor], bool] | None = None
) -> None:
    """Write a nano folder; existing files are replaced.

    Args:
        networks: The trained model.
        folder: Created if it does not exist.
        eight_bit: Decides for a full name and a tensor whether to use int8; None for matrices and kernels of at least
            1024 values, except the Gaussian head.

    Raises:
        CheckpointError: a weight is not finite or too large for float16.
        WriteError: the files cannot be written.
    """
    from safetensors.torch import save

    choose = eight_bit or _suits_int8
    tensors: dict[str, torch.Tensor] = {}
    for network, module in networks.modules.items():
        for name, tensor in module.state_dict().items():
            if name != TIED_EMBEDDING and name not in ROPE_BUFFERS:
                tensors |= _packed(f"{network}.{name}", tensor.detach().cpu().float().contiguous(), choose)
    config, tokenizer = networks.config.to_json(), networks.text.tokenizer.to_str()
    head = {"format": FORMAT, "version": VERSION, **_hashes(tensors, config, tokenizer)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).write_text(config + "\n", encoding="utf-8")
        (folder / TOKENIZER_NAME).write_text(tokenizer + "\n", encoding="utf-8")
        halves = _halves(tensors)
        (folder / MORE_WEIGHTS_NAME).unlink(missing_ok=True)
        for name, half in reversed(list(halves.items())):  # the file that identifies a nano folder is written last
            partial = folder / f"{name}.part"
            partial.write_bytes(save(half, {METADATA_KEY: json.dumps(head | {"files": len(halves)})}))
            partial.replace(folder / name)
    except OSError as error:
        raise WriteError(f"nano weights cannot be written to {str(folder)!r} ({type(error).__name__})") from error


def open_nano(folder: Path) -> dict[str, dict[str, LazyTensor]]:
    """Open and verify a nano folder; tensors by network, in float32 when read.

    Raises:
        CheckpointError: truncated, of another version, or modified; the message says how to restore it.
    """
    path = folder / WEIGHTS_NAME
    try:
        metadata = _metadata(path)
        paths = [path, folder / MORE_WEIGHTS_NAME][: 2 if metadata.get("files") == 2 else 1]
        stored = open_safetensors(paths)
    except CheckpointError as error:
        raise CheckpointError(f"nano weights: {error}; {HOW_TO_GET}") from error
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        found = f"{metadata.get('format', 'no format')!s} {metadata.get('version', '')!s}".strip()[:60]
        raise CheckpointError(f"nano weights must be {FORMAT} version {VERSION}, got {found}; {HOW_TO_GET}")
    values = {name: tensor.read() for name, tensor in stored.items()}
    for name, value in _hashes(values, _text(folder / CONFIG_NAME), _text(folder / TOKENIZER_NAME)).items():
        if metadata.get(name) != value:
            what = name.removesuffix("_sha256")
            raise CheckpointError(f"nano weights: the {what} changed since the file was written; {HOW_TO_GET}")
    plain = {name: _unpacked(name, values) for name in values if not name.endswith(SCALE)}
    return {network: with_prefix(plain, f"{network}.") for network in _networks(plain)}


def _halves(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors by file, in the order of their names; the second file only if the first is full."""
    halves: dict[str, dict[str, torch.Tensor]] = {WEIGHTS_NAME: {}}
    size, name = 0, WEIGHTS_NAME
    for key in sorted(tensors):
        size += tensors[key].nbytes
        name = WEIGHTS_NAME if size <= FILE_BYTES else MORE_WEIGHTS_NAME
        halves.setdefault(name, {})[key] = tensors[key]
    return halves


def _metadata(path: Path) -> dict[str, object]:
    try:
        head = json.loads(safetensors_metadata(path).get(METADATA_KEY, "{}"))
    except (ValueError, RecursionError):
        head = None
    return head if isinstance(head, dict) else {}


def _networks(names: Mapping[str, object]) -> list[str]:
    found = sorted({name.partition(".")[0] for name in names})
    expected = ["gaussian_decoder", "text_encoder", "transformer", "vae_encoder"]
    if found != expected:
        raise CheckpointError(f"nano weights must hold {', '.join(expected)}, got {', '.join(found)}; {HOW_TO_GET}")
    return found


def _suits_int8(name: str, tensor: torch.Tensor) -> bool:
    return tensor.ndim >= 2 and tensor.numel() >= MIN_INT8_VALUES and ".gs_head." not in name


def _packed(name: str, tensor: torch.Tensor, eight_bit: Callable[[str, torch.Tensor], bool]) -> dict[str, torch.Tensor]:
    if not eight_bit(name, tensor):
        half = tensor.half()
        if not torch.isfinite(half).all():
            raise CheckpointError(f"nano weights: {name} is not finite in float16")
        return {name: half}
    rows = tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]
    scale = rows.abs().amax(dim=1) / INT8_MAX
    if not torch.isfinite(scale).all():
        raise CheckpointError(f"nano weights: {name} is not finite")
    codes = (rows / scale.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).round().to(torch.int8)
    return {name: codes.reshape(tensor.shape), name + SCALE: scale}


def _unpacked(name: str, values: Mapping[str, torch.Tensor]) -> LazyTensor:
    tensor, scale = values[name], values.get(name + SCALE)
    if tensor.dtype == torch.float16 and scale is None:
        value = tensor.float()
    elif tensor.dtype == torch.int8 and scale is not None and scale.shape == tensor.shape[:1]:
        value = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
    else:
        raise CheckpointError(f"nano weights: {name} must be float16, or int8 with one scale per row; {HOW_TO_GET}")
    return LazyTensor(tuple(value.shape), value.dtype, lambda: value)


def _hashes(tensors: Mapping[str, torch.Tensor], config: str, tokenizer: str) -> dict[str, str]:
    """SHA-256 of the tensors (names, dtypes, shapes, values) and of the contents of the two JSON files."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return {
        "tensors_sha256": digest.hexdigest(),
        "config_sha256": _json_sha256(config),
        "tokenizer_sha256": _json_sha256(tokenizer),
    }


def _json_sha256(text: str) -> str:
    """SHA-256 of the parsed JSON, regardless of line endings."""
    try:
        return hashlib.sha256(json.dumps(json.loads(text), sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"nano weights: a JSON file beside them is not readable; {HOW_TO_GET}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"nano weights: {path.name} is not readable ({type(error).__name__}); {HOW_TO_GET}"
        ) from error
