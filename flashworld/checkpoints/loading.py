"""The only reader of weights: a name or a path in, networks out.

Tensors are read, reduced to still frames, cast and moved one at a time, directly into modules built on the meta device, so that
nothing is held twice. Block weights take the requested dtype; the parts that each network names in `FLOAT32_PARTS` stay
float32. Names and shapes must match exactly.

A path may be a `model.ckpt` (the Wan parts come from the Hub's cache or from `wan`), a folder written by
`convert_weights`, or a folder in nano's format (see `flashworld.nano`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from flashworld.checkpoints.converted import MANIFEST_NAME, is_trained, open_converted
from flashworld.checkpoints.hub import CHECKPOINT_FILE, FileCallback, PublishedFiles, resolve_files
from flashworld.checkpoints.manifest import require_same
from flashworld.checkpoints.tensor_files import (
    LazyState,
    LazyTensor,
    open_checkpoint,
    open_safetensors,
    shapes,
    still_frames,
)
from flashworld.config import FULL, NANO_DIR, ModelConfig, TextConfig
from flashworld.errors import CheckpointError
from flashworld.models.networks import (
    FLOAT32_PARTS,
    Networks,
    build_networks,
    cast_weights,
    random_networks,
    stored_dtype,
)
from flashworld.models.still_frame import ENCODER_PREFIXES
from flashworld.models.text_encoder import EMBEDDING, TIED_EMBEDDING, tie_embedding
from flashworld.models.transformer import materialize_rope
from flashworld.nano.language import nano_prompt
from flashworld.nano.package import CONFIG_NAME, WEIGHTS_NAME, nano_config, nano_tokenizer, open_nano

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import UMT5EncoderModel

CHECKPOINT_PARTS = {"transformer": "transformer", "gaussian_decoder": "recon_decoder"}
"""Our names and those in `model.ckpt`."""


@dataclass(frozen=True)
class LoadedModel:
    """Networks ready to run.

    Attributes:
        networks: In eval mode, on their device.
        trained: False for seeded random weights: results are then displayed as *untrained*.
    """

    networks: Networks
    trained: bool


@dataclass(frozen=True)
class OpenedModel:
    """A model whose tensors are still in their files.

    Attributes:
        config: Its sizes.
        tokenizer: Its tokenizer.
        states: Tensors by network, with the networks' names and shapes.
        trained: False for a folder of random weights.
        read_prompt: The text to encode for a prompt; None: the prompt itself.
    """

    config: ModelConfig
    tokenizer: Tokenizer
    states: Mapping[str, LazyState]
    trained: bool = True
    read_prompt: Callable[[str], str] | None = None


def load_networks(
    source: str | Path = "full",
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    wan: str | Path | None = None,
    config: ModelConfig = FULL,
    on_progress: FileCallback | None = None,
) -> LoadedModel:
    """Load a model.

    Args:
        source: "full" (published files, downloaded when not cached), "nano" (the one inside the package), a
            `model.ckpt`, or a folder.
        device: Device of the networks.
        dtype: Their dtype; None for bfloat16 on CUDA and float32 elsewhere.
        wan: A local copy of the Wan repository, for "full" and for a `model.ckpt`.
        config: Sizes of a `model.ckpt`; folders contain their own.
        on_progress: Called with (what, bytes done, total bytes) while downloading and reading.

    Raises:
        CheckpointError: weights are missing, damaged, or do not fit; the message says what to do.
    """
    device = torch.device(device)
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    if source == "nano":
        return load_nano(NANO_DIR, device=device, dtype=dtype)
    opened = open_model(source, wan=wan, config=config, on_progress=on_progress)
    return LoadedModel(_fill(opened, device, dtype, on_progress), trained=opened.trained)


def load_nano(
    folder: str | Path = NANO_DIR, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> LoadedModel:
    """The small model inside the package, or seeded random weights if its weights file is missing.

    Raises:
        CheckpointError: the files are damaged, modified or of another version.
    """
    folder = Path(folder)
    if (folder / WEIGHTS_NAME).is_file():
        return LoadedModel(_fill(_open_nano(folder), torch.device(device), dtype, None), trained=True)
    networks = random_networks(nano_config(folder), 0, "cpu", dtype, nano_tokenizer(folder))
    return LoadedModel(networks.to(device, dtype), trained=False)


def model_config(source: str | Path = "full", *, config: ModelConfig = FULL) -> ModelConfig:
    """Sizes of a model without opening its weights; `config` for a `model.ckpt`.

    Raises:
        CheckpointError: the folder's `config.json` is missing or not readable.
    """
    if source == "full":
        return config
    if source == "nano":
        return nano_config(NANO_DIR)
    path = Path(source) / CONFIG_NAME
    try:
        if Path(source).is_file() or ((Path(source) / CHECKPOINT_FILE).is_file() and not path.is_file()):
            return config
        return ModelConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also invalid file names
        raise _unknown_source(source) from error


def trained_weights(source: str | Path) -> bool:
    """Whether a model's weights come from training, without opening them; True if the model cannot be opened.

    Raises:
        CheckpointError: a converted folder whose manifest is not readable.
    """
    if source == "nano":
        return (NANO_DIR / WEIGHTS_NAME).is_file()
    folder = Path(source)
    return is_trained(folder) if source != "full" and (folder / MANIFEST_NAME).is_file() else True


def reads_own_words(source: str | Path) -> bool:
    """Whether a model is a nano, which understands only the words of `flashworld.nano.language`; does not open its weights."""
    folder = NANO_DIR if source == "nano" else Path(source)
    return source != "full" and (folder / WEIGHTS_NAME).is_file() and not (folder / MANIFEST_NAME).is_file()


def open_model(
    source: str | Path,
    *,
    wan: str | Path | None = None,
    config: ModelConfig = FULL,
    on_progress: FileCallback | None = None,
) -> OpenedModel:
    """Open every tensor of a model without reading values; see `load_networks` for arguments and errors."""
    if source == "full":
        return _open_published(resolve_files(wan=wan, on_progress=on_progress), config)
    path = NANO_DIR if source == "nano" else Path(source)
    try:
        path = path / CHECKPOINT_FILE if (path / CHECKPOINT_FILE).is_file() else path
    except OSError as error:  # an invalid file name
        raise _unknown_source(source) from error
    if path.is_file():
        return _open_published(resolve_files(path, wan=wan, on_progress=on_progress), config)
    if (path / MANIFEST_NAME).is_file():
        return OpenedModel(*open_converted(path))
    if (path / WEIGHTS_NAME).is_file():
        return _open_nano(path)
    raise _unknown_source(source)


def _unknown_source(source: str | Path) -> CheckpointError:
    return CheckpointError(
        f'model {str(source)!r} was not found: expected "full", "nano", a {CHECKPOINT_FILE}, or a folder written by '
        "`flashworld weights convert`"
    )


def _open_nano(folder: Path) -> OpenedModel:
    return OpenedModel(nano_config(folder), nano_tokenizer(folder), open_nano(folder), read_prompt=nano_prompt)


def _open_published(files: PublishedFiles, config: ModelConfig) -> OpenedModel:
    from flashworld.checkpoints.tokenizer_file import read_tokenizer

    _check_text_config(files.text_config, config.text)
    checkpoint = open_checkpoint(files.checkpoint)
    parts = {}
    for network, part in CHECKPOINT_PARTS.items():
        if part not in checkpoint:
            raise CheckpointError(
                f"{files.checkpoint.name} must hold {part!r}, got {', '.join(checkpoint) or 'nothing'}"
            )
        parts[network] = checkpoint[part]
    vae = {name: t for name, t in open_safetensors([files.vae]).items() if name.startswith(ENCODER_PREFIXES)}
    states = {
        "text_encoder": open_safetensors(files.text_encoder),
        "vae_encoder": still_frames(vae),
        "transformer": parts["transformer"],
        "gaussian_decoder": still_frames(parts["gaussian_decoder"]),
    }
    return OpenedModel(config, read_tokenizer(files.tokenizer), states)


def _check_text_config(path: Path, expected: TextConfig) -> None:
    """Refuse a text encoder whose shapes match but whose heads are split differently."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"text encoder's {path.name} is not readable ({type(error).__name__})") from error
    for name in (field.name for field in fields(TextConfig)):
        if isinstance(found, dict) and name in found and found[name] != getattr(expected, name):
            raise CheckpointError(f"text encoder: {name} must be {getattr(expected, name)}, got {found[name]!r}")


def checked_states(opened: OpenedModel, networks: Networks | None = None) -> dict[str, dict[str, LazyTensor]]:
    """Every network's tensors under all of their names, after checking names and shapes.

    Args:
        opened: The tensors.
        networks: The networks to check against, if they are already built.

    Raises:
        CheckpointError: names or shapes differ; the message lists the first few.
    """
    modules = (networks or build_networks(opened.config, "meta", opened.tokenizer)).modules
    states = {}
    for network in modules:
        state = dict(opened.states[network])
        if network == "text_encoder":
            _name_embedding_twice(state)
        require_same({n: tuple(t.shape) for n, t in modules[network].state_dict().items()}, shapes(state), network)
        states[network] = state
    return states


def _name_embedding_twice(state: dict[str, LazyTensor]) -> None:
    for stored, other in ((EMBEDDING, TIED_EMBEDDING), (TIED_EMBEDDING, EMBEDDING)):
        if stored in state:
            state.setdefault(other, state[stored])


def _fill(opened: OpenedModel, device: torch.device, dtype: torch.dtype, on_progress: FileCallback | None) -> Networks:
    networks = build_networks(opened.config, "meta", opened.tokenizer)
    states = checked_states(opened, networks)
    for network, module in networks.modules.items():
        _assign(module, network, states[network], device, dtype, on_progress)
    tie_embedding(cast("UMT5EncoderModel", networks.text.encoder))
    materialize_rope(networks.transformer)
    networks.text.read_prompt = opened.read_prompt
    return replace(networks, device=device, dtype=dtype)


def _assign(
    module: nn.Module,
    network: str,
    state: LazyState,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: FileCallback | None,
) -> None:
    """Read, cast and move tensor by tensor, then assign them to the module."""
    total, done = sum(tensor.bytes for tensor in state.values()), 0
    values: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name == TIED_EMBEDDING:  # the same tensor as the other name's, read once
            continue
        values[name] = tensor.read().to(stored_dtype(name, dtype, FLOAT32_PARTS[network])).to(device)
        done += tensor.bytes
        if on_progress:
            on_progress(f"reading {network}", done, total)
    if TIED_EMBEDDING in state:
        values[TIED_EMBEDDING] = values[EMBEDDING]
    module.load_state_dict(values, strict=True, assign=True)
    cast_weights(
        module, dtype, FLOAT32_PARTS[network]
    )  # only changes the memory layout of kernels: dtypes are already right
