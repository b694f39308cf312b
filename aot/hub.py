"""Share compiled artifacts: push entries of a store to a place and pull them from it, by revision.

A place is a Hub repository ("owner/name") or a folder ("file:///folder", "/folder", "./folder"), which acts as a
repository with one sub-folder per revision. Entries are verified before a push and after a pull. A compiled
graph is machine code, so pull only from a repository you trust, at a revision you have pinned.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from aot.artifacts import Artifact, ArtifactStore, read_artifact
from aot.keys import Key, safe_name
from flashworld.errors import CompiledBlockError

logger = logging.getLogger(__name__)

DEFAULT_REVISION = "main"
MAX_EXPLANATION_CHARS = 300
FOLDER_PREFIXES = ("file://", "/", "./", "../", "~")


class Place(Protocol):
    """A shared repository of entries."""

    def push(self, artifact: Artifact) -> None:
        """Upload an entry, replacing one of the same name."""
        ...

    def fetch(self, slug: str, into: Path) -> Path:
        """Copy an entry's folder below `into`, unchecked, and return it."""
        ...

    def slugs(self) -> list[str]:
        """Names of all entries."""
        ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder that acts as a Hub repository."""

    folder: Path
    revision: str

    @property
    def store(self) -> ArtifactStore:
        """This revision's entries."""
        return ArtifactStore(self.folder / safe_name(self.revision))

    def push(self, artifact: Artifact) -> None:
        """See `Place`."""
        self.store.adopt(artifact.path)

    def fetch(self, slug: str, into: Path) -> Path:
        """See `Place`."""
        folder = self.store.root / safe_name(slug)
        if not folder.is_dir():
            raise CompiledBlockError(f"{self.store.root}: no {slug}")
        return ArtifactStore(into).adopt(folder).path

    def slugs(self) -> list[str]:
        """See `Place`."""
        return [entry.slug for entry in self.store.entries() if isinstance(entry, Artifact)]


@dataclass(frozen=True)
class HubPlace:
    """A repository on the Hugging Face Hub."""

    repo_id: str
    revision: str
    endpoint: str | None = None

    def push(self, artifact: Artifact) -> None:
        """See `Place`. The repository must exist and the environment must hold a token that may write to it."""
        from huggingface_hub import HfApi

        with _hub_errors(f"{self.repo_id}@{self.revision}: cannot push {artifact.slug}"):
            HfApi(endpoint=self.endpoint).upload_folder(
                repo_id=self.repo_id,
                folder_path=artifact.path,
                path_in_repo=artifact.slug,
                revision=self.revision,
                commit_message=f"Add {artifact.slug}",
                delete_patterns="*",
            )

    def fetch(self, slug: str, into: Path) -> Path:
        """See `Place`."""
        from huggingface_hub import snapshot_download

        with _hub_errors(f"{self.repo_id}@{self.revision}: cannot pull {slug}"):
            root = snapshot_download(
                self.repo_id,
                revision=self.revision,
                allow_patterns=f"{slug}/*",
                local_dir=into / "repository",  # must be new: an existing one is returned when the Hub is unreachable
                endpoint=self.endpoint,
            )
        folder = Path(root) / slug
        if not folder.is_dir():
            raise CompiledBlockError(f"{self.repo_id}@{self.revision}: no {slug}")
        return folder

    def slugs(self) -> list[str]:
        """See `Place`."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFolder

        with _hub_errors(f"{self.repo_id}@{self.revision}: cannot be listed"):
            tree = HfApi(endpoint=self.endpoint).list_repo_tree(self.repo_id, revision=self.revision)
            return sorted(item.path for item in tree if isinstance(item, RepoFolder))


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    """Convert exceptions of huggingface_hub to a one-sentence error."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        explanation = " ".join(str(error).split())[:MAX_EXPLANATION_CHARS] or type(error).__name__
        raise CompiledBlockError(f"{what}: {explanation}") from error


def open_place(place: str, revision: str = DEFAULT_REVISION, endpoint: str | None = None) -> Place:
    """A folder or a Hub repository, by how it is written.

    Args:
        place: "owner/name", "file:///folder", or a path that starts with "/", "./", "../" or "~".
        revision: Branch, tag or commit; in a folder, a sub-folder.
        endpoint: A Hub endpoint other than that of the environment.

    Raises:
        CompiledBlockError: it is neither.
    """
    if place.startswith(FOLDER_PREFIXES):
        path = unquote(urlsplit(place).path) if place.startswith("file://") else place
        return FolderPlace(Path(path).expanduser(), revision)
    if place.count("/") == 1 and not place.startswith("/") and not place.endswith("/"):
        return HubPlace(place, revision, endpoint)
    raise CompiledBlockError(f"expected owner/name or a folder such as ./graphs, got {place!r}")


def pull(store: ArtifactStore, place: Place, key: Key | str) -> Artifact:
    """Copy one entry into the store.

    Raises:
        CompiledBlockError: it is missing, damaged or does not match its name; the store is unchanged.
    """
    slug = key if isinstance(key, str) else key.slug
    with tempfile.TemporaryDirectory(prefix="flashworld-pull-") as temporary:
        artifact = store.adopt(place.fetch(slug, Path(temporary)))
    logger.info("pulled %s", artifact.slug)
    return artifact


def push(store: ArtifactStore, place: Place, key: Key | str) -> Artifact:
    """Copy one entry of the store to a place.

    Raises:
        CompiledBlockError: the store has no such entry, it is damaged, or the place refuses it.
    """
    slug = key if isinstance(key, str) else key.slug
    artifact = read_artifact(store.root / safe_name(slug))
    place.push(artifact)
    logger.info("pushed %s", artifact.slug)
    return artifact
