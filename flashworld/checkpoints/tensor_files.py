"""Lazily read tensor files: names, shapes and dtypes come from the header, values are read on demand.

Safetensors and `torch.load(mmap=True, weights_only=True)` only: nothing here runs code from a file, and opening 21 GB
takes neither memory nor time. A tensor that keeps its dtype stays mapped to the file, so the file must stay in place
(a deleted file remains readable until the process ends).
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from flashworld.errors import CheckpointError
from flashworld.models.still_frame import still_frame_state

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
}


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is still in its file.

    Attributes:
        shape: Its shape.
        dtype: Its dtype in the file.
        read: Returns the values, on the CPU.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]

    @property
    def bytes(self) -> int:
        """Size in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


LazyState: TypeAlias = Mapping[str, LazyTensor]


def shapes(state: LazyState) -> dict[str, tuple[int, ...]]:
    """Names and shapes."""
    return {name: tensor.shape for name, tensor in state.items()}


def open_safetensors(paths: Iterable[Path]) -> dict[str, LazyTensor]:
    """Open one or more shards.

    Raises:
        CheckpointError: missing, truncated, not safetensors, or a duplicate name.
    """
    state: dict[str, LazyTensor] = {}
    for path in paths:
        for name, tensor in _open_shard(path).items():
            if name in state:
                raise CheckpointError(f"{path.name}: tensor {name!r} comes in two shards")
            state[name] = tensor
    return state


def safetensors_metadata(path: Path) -> dict[str, str]:
    """The text fields of a safetensors header.

    Raises:
        CheckpointError: missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def open_checkpoint(path: Path) -> dict[str, dict[str, LazyTensor]]:
    """Open a pickled dict of state dicts such as FlashWorld's `model.ckpt`, mapped into memory.

    Raises:
        CheckpointError: missing, truncated, or holding anything but tensors in two levels of dicts.
    """
    try:
        data = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:  # code, or anything other than plain tensors
        raise CheckpointError(f"{path.name} holds more than tensors and was not opened: it may run code") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(data, Mapping) or not all(isinstance(part, Mapping) for part in data.values()):
        raise CheckpointError(f"{path.name}: expected a dict of state dicts, got {type(data).__name__}")
    return {str(part): _lazy_part(path, str(part), state) for part, state in data.items()}


def still_frames(state: LazyState) -> dict[str, LazyTensor]:
    """The tensors of the still-frame networks (see `models.still_frame`), each reduced when it is read."""
    cut: dict[str, LazyTensor] = {}
    for name, tensor in state.items():
        for kept, meta in still_frame_state({name: torch.empty(tensor.shape, device="meta")}).items():
            cut[kept] = replace(tensor, shape=tuple(meta.shape), read=_reader_of_cut(name, tensor))
    return cut


def with_prefix(state: LazyState, prefix: str) -> dict[str, LazyTensor]:
    """The tensors whose names have a prefix, with the prefix removed."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _reader_of_cut(name: str, tensor: LazyTensor) -> Callable[[], torch.Tensor]:
    return lambda: still_frame_state({name: tensor.read()})[name]


def _open_shard(path: Path) -> dict[str, LazyTensor]:
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "pt")
        state = {}
        for name in file.keys():
            part = file.get_slice(name)
            dtype = _DTYPES.get(part.get_dtype())
            if dtype is None:
                raise CheckpointError(f"{path.name}: tensor {name!r} has the unknown dtype {part.get_dtype()}")
            state[name] = LazyTensor(tuple(part.get_shape()), dtype, partial(file.get_tensor, name))
        return state
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _lazy_part(path: Path, part: str, state: Mapping[str, torch.Tensor]) -> dict[str, LazyTensor]:
    wrong = next((name for name, tensor in state.items() if not isinstance(tensor, torch.Tensor)), None)
    if wrong is not None:
        raise CheckpointError(f"{path.name}: {part}.{wrong} must be a tensor, got {type(state[wrong]).__name__}")
    return {str(n): LazyTensor(tuple(t.shape), t.dtype, lambda t=t: t.detach()) for n, t in state.items()}


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"weights file {str(path)!r} does not exist")
    return CheckpointError(
        f"{path.name} is damaged, truncated or of another kind ({type(error).__name__}): fetch it again"
    )
