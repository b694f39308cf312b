"""A converted model: one folder of sharded safetensors with the names and shapes of our networks, loaded within seconds.

    flashworld.json                 format, version, dtype, whether trained, and bytes and SHA-256 of every other file;
                                    written last
    config.json                     `ModelConfig.to_json()`
    tokenizer.json                  unchanged
    weights.safetensors.index.json  tensor name to shard
    weights-00001-of-00003.safetensors ...

Tensor names are `<network>.<name in its state dict>`, with kernels already reduced to still frames; the embedding that
UMT5 stores under two names is stored once. Block weights are in the requested dtype, each network's `FLOAT32_PARTS` in
float32, so that reading back in that dtype copies nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flashworld.checkpoints.hub import FileCallback, read_shard_index
from flashworld.checkpoints.manifest import file_sha256
from flashworld.checkpoints.tensor_files import LazyState, LazyTensor, open_safetensors, with_prefix
from flashworld.checkpoints.tokenizer_file import read_tokenizer
from flashworld.config import ModelConfig
from flashworld.errors import CheckpointError, WriteError
from flashworld.models.networks import FLOAT32_PARTS, stored_dtype
from flashworld.models.text_encoder import TIED_EMBEDDING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FORMAT = "flashworld-weights"
VERSION = 1
MANIFEST_NAME = "flashworld.json"
CONFIG_NAME = "config.json"
TOKENIZER_NAME = "tokenizer.json"
INDEX_NAME = "weights.safetensors.index.json"
HOW_TO_GET = "convert the weights again with `flashworld weights convert`"


@dataclass(frozen=True)
class _Entry:
    """One tensor on its way into a shard."""

    name: str
    tensor: LazyTensor
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return self.tensor.bytes // self.tensor.dtype.itemsize * self.dtype.itemsize


def write_converted(
    folder: Path,
    config: ModelConfig,
    tokenizer: Tokenizer,
    states: Mapping[str, LazyState],
    *,
    dtype: torch.dtype,
    shard_bytes: int,
    trained: bool = True,
    on_progress: FileCallback | None = None,
) -> None:
    """Write a folder; at most one shard is held in memory.

    Args:
        folder: Created if it does not exist; must be empty.
        config: Sizes.
        tokenizer: Written as it is.
        states: Tensors by network, with the networks' names and shapes.
        dtype: Dtype of block weights.
        shard_bytes: Largest shard, unless a single tensor is larger.
        trained: Recorded, so that readers of the folder can display *untrained*.
        on_progress: Called with (what, bytes done, total bytes).

    Raises:
        WriteError: the folder is not empty, the disk has too little free space, or a file cannot be written; no
            partial files are left.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise WriteError(f"converted weights go to an empty folder, and {str(folder)!r} holds files")
        shards = list(_shards(states, dtype, shard_bytes))
        _require_room(folder, sum(entry.bytes for shard in shards for entry in shard))
        head = {"format": FORMAT, "version": VERSION, "dtype": str(dtype).removeprefix("torch."), "trained": trained}
        try:
            _write_all(folder, config, tokenizer, shards, head, on_progress)
        except BaseException:  # also Ctrl-C: a partial model of up to 13 GB must not be left behind
            for path in folder.iterdir():
                path.unlink()
            raise
    except OSError as error:
        raise WriteError(f"converted weights cannot be written to {str(folder)!r} ({type(error).__name__})") from error


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise WriteError(f"{str(folder)!r} must have room for {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def open_converted(folder: Path) -> tuple[ModelConfig, Tokenizer, dict[str, dict[str, LazyTensor]], bool]:
    """Open a folder: sizes, tokenizer, tensors by network, whether trained. Sizes of files are checked, hashes are not.

    Raises:
        CheckpointError: a file is missing, truncated or of another version.
    """
    for name, entry in read_manifest(folder).items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != entry["bytes"]:
            found = "it is missing" if size is None else f"it has {size}"
            raise CheckpointError(f"converted weights: {name} must have {entry['bytes']} bytes, {found}; {HOW_TO_GET}")
    index = read_shard_index(folder / INDEX_NAME)
    state = open_safetensors(folder / name for name in sorted(set(index.values())))
    if set(state) != set(index):
        raise CheckpointError(f"converted weights: {INDEX_NAME} and the shards name different tensors; {HOW_TO_GET}")
    config = ModelConfig.from_json((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    networks = {network: with_prefix(state, f"{network}.") for network in FLOAT32_PARTS}
    return config, read_tokenizer(folder / TOKENIZER_NAME), networks, is_trained(folder)


def is_trained(folder: Path) -> bool:
    """Whether the weights of a converted folder come from training; True for folders that do not specify it.

    Raises:
        CheckpointError: not such a folder.
    """
    return _read_head(folder).get("trained") is not False


def read_manifest(folder: Path) -> dict[str, dict[str, object]]:
    """Bytes and SHA-256 of every file of a folder.

    Raises:
        CheckpointError: not such a folder, or of another version.
    """
    data = _read_head(folder)
    try:
        found, version, files = data["format"], data["version"], data["files"]
        entries = {str(n): {"bytes": int(e["bytes"]), "sha256": str(e["sha256"])} for n, e in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"converted weights: {MANIFEST_NAME} is not readable; {HOW_TO_GET}") from error
    if found != FORMAT or version != VERSION:
        raise CheckpointError(
            f"converted weights must be {FORMAT} version {VERSION}, got {found} {version}; {HOW_TO_GET}"
        )
    if any(Path(name).name != name for name in entries) or not {CONFIG_NAME, TOKENIZER_NAME, INDEX_NAME} <= set(
        entries
    ):
        raise CheckpointError(f"converted weights: {MANIFEST_NAME} must name the folder's own files; {HOW_TO_GET}")
    return entries


def _read_head(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"converted weights: {MANIFEST_NAME} is not readable; {HOW_TO_GET}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"converted weights: {MANIFEST_NAME} is not readable; {HOW_TO_GET}")
    return data


def _shards(states: Mapping[str, LazyState], dtype: torch.dtype, shard_bytes: int) -> Iterator[list[_Entry]]:
    """Tensors in order, split into lists of at most `shard_bytes`."""
    shard: list[_Entry] = []
    size = 0
    for network, state in states.items():
        for name, tensor in state.items():
            if name == TIED_EMBEDDING and network == "text_encoder":
                continue
            entry = _Entry(f"{network}.{name}", tensor, stored_dtype(name, dtype, FLOAT32_PARTS[network]))
            if shard and size + entry.bytes > shard_bytes:
                yield shard
                shard, size = [], 0
            shard.append(entry)
            size += entry.bytes
    yield shard


def _write_all(
    folder: Path,
    config: ModelConfig,
    tokenizer: Tokenizer,
    shards: list[list[_Entry]],
    head: dict[str, object],
    on_progress: FileCallback | None,
) -> None:
    total, done = sum(entry.bytes for shard in shards for entry in shard), 0
    index: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"weights-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / name, shard)
        index |= dict.fromkeys((entry.name for entry in shard), name)
        done += sum(entry.bytes for entry in shard)
        if on_progress:
            on_progress("converting", done, total)
    texts = {
        CONFIG_NAME: config.to_json(),
        TOKENIZER_NAME: tokenizer.to_str(),
        INDEX_NAME: json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in set(index.values()):
        (folder / name).chmod(
            (folder / INDEX_NAME).stat().st_mode
        )  # safetensors makes files readable by their owner only
    files = {p.name: {"bytes": p.stat().st_size, "sha256": file_sha256(p)} for p in sorted(folder.iterdir())}
    (folder / MANIFEST_NAME).write_text(json.dumps(head | {"files": files}, indent=1), encoding="utf-8")


def _write_shard(path: Path, shard: list[_Entry]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({entry.name: entry.tensor.read().to(entry.dtype).contiguous() for entry in shard}, path)
    except SafetensorError as error:
        raise WriteError(f"{path.name} cannot be written: is the disk full?") from error
