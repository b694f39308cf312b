"""Where the published weights are: pinned revisions on the Hub, only the files that are needed, from the cache first.

A cached file is used without network access. The transformer of the Wan repository (20 GB) is never
downloaded: FlashWorld's checkpoint replaces every tensor of it. Tokens are left to `huggingface_hub`; nothing here reads,
logs or shows them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flashworld.config import FLASHWORLD_REPOSITORY, WAN_REPOSITORY, Repository
from flashworld.errors import CheckpointError

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger(__name__)

FileCallback: TypeAlias = Callable[[str, int, int], None]
"""Called with a description, bytes done and total bytes."""
TOKENIZER_FILE = "tokenizer/tokenizer.json"
TEXT_CONFIG_FILE = "text_encoder/config.json"
TEXT_INDEX_FILE = "text_encoder/model.safetensors.index.json"
TEXT_SINGLE_FILE = "text_encoder/model.safetensors"
VAE_FILE = "vae/diffusion_pytorch_model.safetensors"
CHECKPOINT_FILE = "model.ckpt"
"""A pickled dict with the state dicts `transformer` and `recon_decoder`."""


@dataclass(frozen=True)
class PublishedFiles:
    """The files of the full model as published.

    Attributes:
        tokenizer: `tokenizer.json`.
        text_config: The text encoder's `config.json`.
        text_encoder: Its safetensors shards.
        vae: The VAE's safetensors file.
        checkpoint: FlashWorld's `model.ckpt`.
    """

    tokenizer: Path
    text_config: Path
    text_encoder: tuple[Path, ...]
    vae: Path
    checkpoint: Path

    @property
    def weights(self) -> tuple[Path, ...]:
        """Every file with tensors."""
        return (*self.text_encoder, self.vae, self.checkpoint)


def resolve_files(
    checkpoint: str | Path | None = None,
    *,
    wan: str | Path | None = None,
    on_progress: FileCallback | None = None,
) -> PublishedFiles:
    """Find the full model's files, downloading what is neither given nor cached.

    Args:
        checkpoint: A local `model.ckpt`; None for the published one.
        wan: A folder laid out like the Wan repository; None for the Hub's cache.
        on_progress: Called for every download.

    Raises:
        CheckpointError: a file is missing and cannot be downloaded; the message says what to do.
    """

    def find(name: str) -> Path:
        return _in_folder(Path(wan), name) if wan is not None else _fetch(WAN_REPOSITORY, name, on_progress)

    text_config, tokenizer = find(TEXT_CONFIG_FILE), find(TOKENIZER_FILE)
    return PublishedFiles(
        tokenizer=tokenizer,
        text_config=text_config,
        text_encoder=_text_shards(find),
        vae=find(VAE_FILE),
        checkpoint=_given_checkpoint(checkpoint)
        if checkpoint
        else _fetch(FLASHWORLD_REPOSITORY, CHECKPOINT_FILE, on_progress),
    )


def read_shard_index(path: Path) -> dict[str, str]:
    """Tensor name to file name, from a `*.safetensors.index.json`.

    Raises:
        CheckpointError: not such a file, or it names a file outside its folder.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {str(tensor): str(file) for tensor, file in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path.name}: shard index is not readable ({type(error).__name__})") from error
    stray = next((file for file in names.values() if Path(file).name != file), None)
    if stray is not None or not names:
        raise CheckpointError(f"{path.name}: shard index must name files beside it, got {stray!r}")
    return names


def _text_shards(find: Callable[[str], Path]) -> tuple[Path, ...]:
    try:
        index = find(TEXT_INDEX_FILE)
    except _NotPublishedError:
        return (find(TEXT_SINGLE_FILE),)
    return tuple(find(f"text_encoder/{name}") for name in sorted(set(read_shard_index(index).values())))


def _given_checkpoint(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint {str(path)!r} is not a file: expected FlashWorld's {CHECKPOINT_FILE}")
    return path


def _in_folder(folder: Path, name: str) -> Path:
    path = folder / name
    if path.is_file():
        return path
    kind = _NotPublishedError if name == TEXT_INDEX_FILE and folder.is_dir() else CheckpointError
    raise kind(f"{str(folder)!r} has no {name}: expected a copy of {WAN_REPOSITORY.repo_id}")


class _NotPublishedError(CheckpointError):
    """The repository has no such file."""


def _fetch(repository: Repository, name: str, on_progress: FileCallback | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        XetDownloadError,
    )

    what = f"{repository.repo_id}/{name}"
    bar = _progress_bar(what, on_progress) if on_progress else None
    try:
        return Path(hf_hub_download(repository.repo_id, name, revision=repository.revision, tqdm_class=bar))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{what} is not in the Hub's cache and cannot be downloaded: connect once, unset HF_HUB_OFFLINE, or fetch it "
            f"elsewhere with `hf download {repository.repo_id} {name} --revision {repository.revision}`"
        ) from error
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise CheckpointError(
            f"{what}: this account may not read the repository; accept its terms or log in"
        ) from error
    except (RevisionNotFoundError, HFValidationError) as error:
        raise CheckpointError(f"{what}: the Hub has no revision {repository.revision!r} of it") from error
    except EntryNotFoundError as error:
        raise _NotPublishedError(f"{what}: the repository has no such file") from error
    except (OSError, RuntimeError, XetDownloadError) as error:  # HTTP errors, timeouts, full disk
        raise CheckpointError(
            f"{what} cannot be downloaded ({type(error).__name__}): check the connection and the free disk space"
        ) from error


def _progress_bar(what: str, on_progress: FileCallback) -> type[tqdm]:
    """A silent tqdm that reports to `on_progress`."""
    from tqdm import tqdm

    class Reporter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - tqdm's own
            options.pop("name", None)  # the Hub's own addition
            super().__init__(*args, **{**options, "disable": False, "file": _Nowhere()})

        def update(self, n: float = 1) -> bool | None:
            shown = super().update(n)
            on_progress(what, int(self.n), int(self.total or 0))
            return shown

    return Reporter


class _Nowhere:
    """A text stream that discards everything."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...
