"""The rows of a PLY file's `vertex` element, slice by slice, as structured arrays; binary of both orders, and ASCII."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from flashworld.errors import SceneFileError
from flashworld.io.reading import SceneFile, read_rows
from flashworld.io.scenes.ply_header import BYTE_ORDERS, Element, PlyHeader

SLICE_BYTES = 4 * 2**20
ASCII_SLICE_ROWS = 1 << 14
MAX_LINE_BYTES = 64 * 2**10


def iter_rows(source: SceneFile, header: PlyHeader) -> Iterator[np.ndarray]:
    """Iterate over the vertex table of an open file positioned at its body.

    The file's size is checked against the header's counts at once, not at the first row.

    Raises:
        SceneFileError: truncated, or a list element stands before the vertices of a binary file.
    """
    before = []
    for element in header.elements:
        if element.name == "vertex":
            return _rows(source, header, before, element)
        before.append(element)
    raise SceneFileError(f"{source.name}: expected an element 'vertex'")


def _rows(source: SceneFile, header: PlyHeader, before: list[Element], vertex: Element) -> Iterator[np.ndarray]:
    body = source.size - header.body_offset
    order = BYTE_ORDERS[header.format]
    if header.format == "ascii":
        if 2 * vertex.count * len(vertex.properties) > body + 1:  # a digit and a space each
            raise _truncated(source, vertex)
        return _ascii_rows(source, sum(element.count for element in before), vertex)
    if any(element.has_lists and element.count for element in before):
        raise SceneFileError(f"{source.name}: expected the vertices before any element with lists")
    skipped = sum(element.count * element.dtype(order).itemsize for element in before)
    dtype = vertex.dtype(order)
    if skipped + vertex.count * dtype.itemsize > body:
        raise _truncated(source, vertex)
    source.file.seek(header.body_offset + skipped)
    return _binary_rows(source, dtype, vertex)


def _binary_rows(source: SceneFile, dtype: np.dtype, vertex: Element) -> Iterator[np.ndarray]:
    at_once = max(1, SLICE_BYTES // dtype.itemsize)
    for start in range(0, vertex.count, at_once):
        yield read_rows(source, dtype, min(at_once, vertex.count - start))


def _ascii_rows(source: SceneFile, skipped_lines: int, vertex: Element) -> Iterator[np.ndarray]:
    lines = _lines(source)
    for _ in range(skipped_lines):
        if next(lines, None) is None:
            raise _truncated(source, vertex)
    dtype = np.dtype([(column, np.float64) for column, _ in vertex.properties])
    for start in range(0, vertex.count, ASCII_SLICE_ROWS):
        wanted = min(ASCII_SLICE_ROWS, vertex.count - start)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy warns of missing rows; the count below refuses them
                values = np.loadtxt(lines, dtype=np.float64, comments=None, max_rows=wanted, ndmin=2)
        except SceneFileError:  # a ValueError too: an endless line, refused by `_lines`
            raise
        except ValueError as error:
            raise SceneFileError(f"{source.name}: the vertices are not readable as numbers") from error
        if values.shape != (wanted, len(vertex.properties)):
            raise _truncated(source, vertex)
        yield values.view(dtype)[:, 0]


def _lines(source: SceneFile) -> Iterator[str]:
    """Lines that are not blank, none of them longer than is reasonable."""
    while line := source.file.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise SceneFileError(f"{source.name}: a line of the file is longer than {MAX_LINE_BYTES} bytes")
        if line.strip():
            yield line.decode("latin-1")


def _truncated(source: SceneFile, vertex: Element) -> SceneFileError:
    return SceneFileError(
        f"{source.name}: the file is too short for the {vertex.count} vertices of {len(vertex.properties)} columns "
        "that its header declares"
    )
