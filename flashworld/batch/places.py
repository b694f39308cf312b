"""Where a batch's scenes go: a folder here, or anything that fsspec writes (s3://, gs://, hf://buckets/...).

    PLACE/results.parquet       one row a scene, written again and again while the batch runs
    PLACE/<id>/scene.ply ...    the scene's files
    PLACE/<id>/request.json     makes the same scene again
    PLACE/<id>/result.json      the scene's row, written last: a folder without it is half-written and is made again

On this machine files are written under temporary names and moved; elsewhere they are made here and then copied.
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
    """An open place.

    Args:
        url: A folder's path, or an address that fsspec understands.

    Attributes:
        url: The same, absolute; opens the place again in another process.

    Raises:
        InputError: an unknown kind of address.
        DependencyError: the package that knows this kind is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        try:
            self._fs, self._root = url_to_fs(url)
        except ImportError as error:
            raise DependencyError(f"{one_line(url, 80)}: {one_line(str(error), 200)}") from error
        except Exception as error:  # clients of stores have error classes of their own
            raise InputError(f"--out {one_line(url, 80)}: not a place to write to: {_reason(error)}") from error
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
        """A folder of this machine to write a scene's files into; elsewhere they are copied when the block ends well.

        Raises:
            PlaceError: a system's error on the way, inside the block too.
        """
        what = f"scene {scene} cannot be written"
        with self._writing(what, OSError):  # what else ends the block is the scene's
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
        """Mark a scene as finished: its files are all there.

        Raises:
            PlaceError: the mark cannot be written.
        """
        self._write(f"{outcome.id}/{MARK}", json.dumps(outcome.to_row(), indent=1).encode())

    def forget(self, scene: str) -> None:
        """Take a scene's mark away, before it is made anew from another row.

        Raises:
            PlaceError: it cannot be removed.
        """
        with self._writing(f"scene {scene} cannot be replaced"):
            self._fs.rm_file(self._path(f"{scene}/{MARK}"))

    def finished(self) -> dict[str, Outcome]:
        """Every finished scene by its id. Marks say which; rows come from the table where it has them.

        Raises:
            PlaceError: the place cannot be listed or read.
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
        """Turn errors of file systems into one sentence; a `WriteError` of the scene itself passes.

        Args:
            what: What failed, for the message.
            errors: Which to turn; by default all, because clients of stores have error classes of their own.
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
