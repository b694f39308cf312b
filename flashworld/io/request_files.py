"""Finds the request files in a folder, by the same rule for `generate` and `batch`."""

from __future__ import annotations

from pathlib import Path

from flashworld.checks import file_name
from flashworld.errors import InputError
from flashworld.io.request_json import REQUEST_FILE


def find_request_files(where: Path) -> dict[str | None, Path]:
    """Request files by name, in the order of their names.

    Args:
        where: A request file, an example's folder, a folder of such folders, or a folder of `*.json` requests.

    Returns:
        Name (the folder's, or the file's without its suffix) to file; the name is None if `where` is a single request.

    Raises:
        InputError: nothing is there, or no request.
    """
    try:
        where.stat()
    except (OSError, ValueError) as error:  # also names that no file system can hold
        raise InputError(f"{file_name(where)}: expected a request file or a folder, found nothing there") from error
    if where.is_file():
        return {None: where}
    if (where / REQUEST_FILE).is_file():
        return {None: where / REQUEST_FILE}
    if not where.is_dir():
        raise InputError(f"{file_name(where)}: expected a request file or a folder, got a device")
    found: dict[str | None, Path] = {p.parent.name: p for p in sorted(where.glob(f"*/{REQUEST_FILE}"))}
    found = found or {p.stem: p for p in sorted(where.glob("*.json"))}
    if not found:
        raise InputError(f"{file_name(where)}: expected *.json request files or */{REQUEST_FILE}, found none")
    return found
