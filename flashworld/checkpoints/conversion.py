"""Converting and checking weights, for the command `flashworld weights`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from flashworld.checkpoints.converted import MANIFEST_NAME, read_manifest, write_converted
from flashworld.checkpoints.hub import CHECKPOINT_FILE, FileCallback, PublishedFiles, resolve_files
from flashworld.checkpoints.loading import OpenedModel, checked_states, open_model
from flashworld.checkpoints.manifest import file_sha256, full_manifest, require_same
from flashworld.checkpoints.tensor_files import open_checkpoint, open_safetensors, shapes
from flashworld.config import FULL, NANO_DIR, ModelConfig
from flashworld.errors import CheckpointError

SHARD_BYTES = 4 * 10**9
_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
"""The Hub's cache names large files by their SHA-256."""

Hashes = Literal["verified", "not published"]


@dataclass(frozen=True)
class WeightsReport:
    """The result of a check.

    Attributes:
        config: Sizes of the model.
        tensors: Number of tensors.
        bytes: Their size in the files.
        dtypes: Tensors by dtype.
        hashes: "verified", or "not published" for files without a published hash.
        trained: False for random weights.
    """

    config: ModelConfig
    tensors: int
    bytes: int
    dtypes: dict[str, int]
    hashes: Hashes
    trained: bool = True


def convert_weights(
    source: str | Path,
    out_dir: str | Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
    wan: str | Path | None = None,
    config: ModelConfig = FULL,
    on_progress: FileCallback | None = None,
) -> None:
    """Write a model as a converted folder: half the size in bfloat16, and loaded within seconds.

    Args:
        source: As for `load_networks`.
        out_dir: An empty folder, or one that does not exist yet.
        dtype: Dtype of block weights.
        shard_bytes: Largest shard.
        wan: As for `load_networks`.
        config: As for `load_networks`.
        on_progress: Called with (what, bytes done, total bytes).

    Raises:
        CheckpointError: the source is missing, damaged or does not fit.
        WriteError: the folder cannot be written.
    """
    opened = open_model(source, wan=wan, config=config, on_progress=on_progress)
    write_converted(
        Path(out_dir),
        opened.config,
        opened.tokenizer,
        checked_states(opened),
        dtype=dtype,
        shard_bytes=shard_bytes,
        trained=opened.trained,
        on_progress=on_progress,
    )


def check_weights(
    source: str | Path = "full",
    *,
    wan: str | Path | None = None,
    config: ModelConfig = FULL,
    on_progress: FileCallback | None = None,
) -> WeightsReport:
    """Verify names, shapes, dtypes and hashes of a model without loading it.

    Args:
        source: As for `load_networks`.
        wan: As for `load_networks`.
        config: As for `load_networks`.
        on_progress: Called with (what, bytes done, total bytes) while hashing.

    Raises:
        CheckpointError: the weights are invalid; the message lists the first few names.
    """
    opened = open_model(source, wan=wan, config=config, on_progress=on_progress)
    states = checked_states(opened)
    tensors = [tensor for state in states.values() for tensor in state.values()]
    odd = sorted({str(t.dtype) for t in tensors if not t.dtype.is_floating_point or t.dtype.itemsize == 1})
    if odd:
        raise CheckpointError(f"weights must be float32, float16 or bfloat16, got {', '.join(odd)}")
    return WeightsReport(
        config=opened.config,
        tensors=len(tensors),
        bytes=sum(tensor.bytes for tensor in tensors),
        dtypes=dict(Counter(str(tensor.dtype).removeprefix("torch.") for tensor in tensors)),
        hashes=_verify_hashes(source, wan, opened, on_progress),
        trained=opened.trained,
    )


def _verify_hashes(
    source: str | Path, wan: str | Path | None, opened: OpenedModel, on_progress: FileCallback | None
) -> Hashes:
    path = NANO_DIR if source == "nano" else Path(source)
    if source != "full" and (path / MANIFEST_NAME).is_file():
        for name, entry in read_manifest(path).items():
            _require_hash(path / name, str(entry["sha256"]), on_progress)
        return "verified"
    checkpoint = path / CHECKPOINT_FILE if (path / CHECKPOINT_FILE).is_file() else path
    if source == "full" or checkpoint.is_file():
        files = resolve_files(None if source == "full" else checkpoint, wan=wan)
        if opened.config == FULL:
            _check_published_names(files)
        return _verify_published(files, on_progress)
    return "verified"  # nano: opening it compared its hashes


def _check_published_names(files: PublishedFiles) -> None:
    """Compare with the published names and shapes, before reduction to still frames."""
    manifest = full_manifest()
    checkpoint = open_checkpoint(files.checkpoint)
    for part in ("transformer", "recon_decoder"):
        require_same(manifest[part], shapes(checkpoint[part]), f"{files.checkpoint.name}: {part}")
    require_same(manifest["vae"], shapes(open_safetensors([files.vae])), files.vae.name)


def _verify_published(files: PublishedFiles, on_progress: FileCallback | None) -> Hashes:
    """Hash the files that the Hub's cache stores under their SHA-256."""
    blobs = {path: path.resolve().name for path in files.weights}
    known = {path: name for path, name in blobs.items() if _BLOB_NAME.fullmatch(name)}
    for path, expected in known.items():
        _require_hash(path, expected, on_progress)
    return "verified" if len(known) == len(blobs) else "not published"


def _require_hash(path: Path, expected: str, on_progress: FileCallback | None) -> None:
    found = file_sha256(path, _counter(path, on_progress) if on_progress else None)
    if found != expected:
        raise CheckpointError(
            f"{path.name} is damaged or was changed: SHA-256 is {found[:12]}..., expected {expected[:12]}..."
        )


def _counter(path: Path, on_progress: FileCallback) -> Callable[[int], None]:
    total, done = path.stat().st_size if path.exists() else 0, 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        on_progress(f"checking {path.name}", done, total)

    return count
