"""Output location of a batch: a local folder, or any fsspec URL (s3://, gs://, hf://buckets/...).

    PLACE/results.parquet       one row per scene, rewritten periodically while the batch runs
    PLACE/<id>/scene.ply ...    the scene's files
    PLACE/<id>/request.json     reproduces the scene
    PLACE/<id>/result.json      the scene's row, written last: without it the folder is incomplete, and is made again

Local files are written under temporary names and moved; for remote locations they are written locally, then uploaded.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from flashworld.batch.results import Outcome, read_table, table_bytes
from flashworld.checks import one_line
from flashworld.errors import DependencyError, InputError, PlaceError
from flashworld.io.atomic import replacing
from flashworld.result import make_folder

TABLE = "results.parquet"
MARK = "result.json"


class Place:
    """An open output location.

    Args:
        url: A local path or an fsspec URL.

    Attributes:
        url: The absolute form, with which other processes open the same location.

    Raises:
        InputError: an unknown protocol.
        DependencyError: the package for this protocol is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._fs, self._root = url_to_fs(url)
        except ImportError as error:
            raise DependencyError(f"{one_line(url, 80)}: {one_line(str(error), 200)}") from error
        except Exception as error:  # storage clients have their own error classes
            raise InputError(f"--out {one_line(url, 80)}: cannot be opened for writing: {_reason(error)}") from error
        self.is_local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))
        self.url = self._root if self.is_local else url

    def require_access(self) -> None:
        """Write a small file and remove it.

        Raises:
            PlaceError: it cannot be written.
        """
        name = f".flashworld-{secrets.token_hex(8)}.part"
        with self._writing("nothing can be written there"):
            if self.is_local:
                make_folder(self._root)
            self._fs.pipe_file(self._path(name), b"access")
            self._fs.rm_file(self._path(name))

    @contextmanager
    def scene_folder(self, scene: str) -> Iterator[Path]:
        """A local folder for a scene's files; for a remote location they are uploaded when the block succeeds.

        Raises:
            PlaceError: an I/O error, inside the block as well.
        """
        what = f"scene {scene} cannot be written"
        with self._writing(what, OSError):  # other exceptions belong to the scene
            if self.is_local:
                yield make_folder(Path(self._root) / scene)
                return
            with tempfile.TemporaryDirectory(prefix="flashworld-batch-") as folder:
                yield Path(folder)
                with self._writing(what):
                    self._fs.makedirs(self._path(scene), exist_ok=True)
                    for file in sorted(Path(folder).iterdir()):
                        self._fs.put_file(str(file), self._path(f"{scene}/{file.name}"))

    def finish(self, outcome: Outcome) -> None:
        """Mark a scene as finished, once all its files are written.

        Raises:
            PlaceError: the mark cannot be written.
        """
        self._write(f"{outcome.id}/{MARK}", json.dumps(outcome.to_row(), indent=1).encode())

    def forget(self, scene: str) -> None:
        """Remove a scene's mark before it is made again from a changed row.

        Raises:
            PlaceError: it cannot be removed.
        """
        with self._writing(f"scene {scene} cannot be replaced"):
            self._fs.rm_file(self._path(f"{scene}/{MARK}"))

    def finished(self) -> dict[str, Outcome]:
        """All finished scenes by id. The marks are authoritative; rows are read from the table where available.

        Raises:
            PlaceError: the location cannot be listed or read.
        """
        with self._writing("it cannot be read"):
            self._fs.invalidate_cache()
            marked = [path.split("/")[-2] for path in self._fs.glob(f"{escape(self._path(''))}*/{MARK}")]
            table = self._table() if marked else {}
            rows = {}
            for scene in marked:
                outcome = table.get(scene)
                if outcome is None or outcome.state != "done":
                    outcome = Outcome.from_json(self._fs.cat_file(self._path(f"{scene}/{MARK}")))
                if outcome is not None and outcome.id == scene:
                    rows[scene] = outcome
            return rows

    def write_table(self, outcomes: list[Outcome]) -> None:
        """Replace the table of results.

        Raises:
            PlaceError: it cannot be written.
        """
        self._write(TABLE, table_bytes(outcomes))

    def _table(self) -> dict[str, Outcome]:
        try:
            data = self._fs.cat_file(self._path(TABLE))
        except FileNotFoundError:
            return {}
        return {outcome.id: outcome for outcome in read_table(data)}

    def _write(self, name: str, data: bytes) -> None:
        with self._writing(f"{name} cannot be written"):
            if self.is_local:
                with replacing(self._path(name)) as temporary:
                    temporary.write_bytes(data)
            else:
                self._fs.pipe_file(self._path(name), data)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _writing(self, what: str, errors: type[Exception] = Exception) -> Iterator[None]:
        """Convert file-system errors to one-sentence messages; a `WriteError` of the scene itself is passed on.

        Args:
            what: The failed operation, for the message.
            errors: Classes to convert; by default all, because storage clients have their own error classes.
        """
        from flashworld.errors import FlashWorldError, WriteError

        try:
            yield
        except WriteError as error:
            if isinstance(error.__cause__, OSError) and not isinstance(error, PlaceError):
                raise self._error(what, error.__cause__) from error
            raise
        except FlashWorldError:
            raise
        except ImportError as error:
            raise DependencyError(f"{one_line(self.url, 80)}: {one_line(str(error), 200)}") from error
        except errors as error:
            raise self._error(what, error) from error

    def _error(self, what: str, error: Exception) -> PlaceError:
        return PlaceError(f"--out {one_line(self.url, 80)}: {what}: {_reason(error)}")


def _reason(error: Any) -> str:  # noqa: ANN401 - any library's error
    return getattr(error, "strerror", None) or one_line(str(error), 120) or type(error).__name__
