"""Expected names, shapes and hashes of weights, and the error messages for differences.

`checkpoint_manifest.json.gz` holds the names and shapes of the published files of the full model: `transformer` and
`recon_decoder` of FlashWorld's `model.ckpt`, and `vae` of the Wan repository, all before reduction to still frames.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from flashworld.errors import CheckpointError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
MANIFEST_FILE = Path(__file__).parent / "checkpoint_manifest.json.gz"
SHOWN = 3
"""Names of each kind that a message lists."""
CHUNK_BYTES = 1 << 22


@cache
def full_manifest() -> Mapping[str, Shapes]:
    """Names and shapes of the full model's published tensors by part: transformer, recon_decoder, vae."""
    data = json.loads(gzip.decompress(MANIFEST_FILE.read_bytes()))
    return MappingProxyType({part: {name: tuple(shape) for name, shape in rows.items()} for part, rows in data.items()})


def require_same(expected: Shapes, found: Shapes, where: str) -> None:
    """Refuse tensors whose names or shapes are not exactly those expected.

    Raises:
        CheckpointError: how many are missing, unexpected or of another shape, and the first few of each.
    """
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    reshaped = [
        f"{name}: expected {_shape(expected[name])}, got {_shape(found[name])}"
        for name in expected
        if name in found and tuple(expected[name]) != tuple(found[name])
    ]
    kinds = (("missing", missing, ", "), ("unexpected", unexpected, ", "), ("of another shape", reshaped, "; "))
    parts = [f"{len(names)} {kind} ({_first(names, comma)})" for kind, names, comma in kinds if names]
    if parts:
        raise CheckpointError(f"{where} does not fit the model: of {len(expected)} tensors {', '.join(parts)}")


def file_sha256(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, hexadecimal; `on_bytes` is called with the number of bytes read each time.

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                if on_bytes:
                    on_bytes(len(chunk))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({type(error).__name__})") from error
    return digest.hexdigest()


def _shape(shape: Iterable[int]) -> str:
    return "x".join(str(side) for side in shape) or "a single number"


def _first(names: list[str], comma: str) -> str:
    return comma.join(names[:SHOWN]) + (f"{comma}..." if len(names) > SHOWN else "")
