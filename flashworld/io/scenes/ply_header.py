"""PLY headers of untrusted files, with every size checked. The body is not read here.

Source: the PLY format as described by Greg Turk (1994); both spellings of type names, LF, CRLF and CR line ends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from flashworld.errors import SceneFileError
from flashworld.io.reading import SceneFile

MAX_HEADER_BYTES = 64 * 2**10
MAX_PROPERTIES = 1000
BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True)
class Element:
    """A table of the file.

    Attributes:
        name: "vertex", "face", ...
        count: Rows, according to the header.
        properties: Column names and their numpy types without byte order; None for a list, whose size varies.
    """

    name: str
    count: int
    properties: tuple[tuple[str, str | None], ...]

    @property
    def has_lists(self) -> bool:
        """Whether the rows differ in size."""
        return any(kind is None for _, kind in self.properties)

    def dtype(self, byte_order: str) -> np.dtype:
        """The structured type of a row; only for elements without lists."""
        return np.dtype([(name, byte_order + kind) for name, kind in self.properties if kind is not None])


@dataclass(frozen=True)
class PlyHeader:
    """A parsed header.

    Attributes:
        format: "ascii", "binary_little_endian" or "binary_big_endian".
        comments: Text of the comment lines.
        elements: In file order.
        body_offset: Where the first row begins, bytes.
    """

    format: str
    comments: tuple[str, ...]
    elements: tuple[Element, ...]
    body_offset: int


def read_header(source: SceneFile) -> PlyHeader:
    """Read the header of an open file and leave the file at its body.

    Raises:
        SceneFileError: not a PLY header, or one of more than 64 KiB.
    """
    head = source.file.read(MAX_HEADER_BYTES)
    end = re.search(rb"(?:\r\n|\n|\r)[ \t]*end_header[ \t]*(\r\n|\n|\r|\Z)", head)
    if not re.match(rb"ply[ \t]*[\r\n]", head) or end is None:
        raise SceneFileError(f"{source.name}: expected a PLY header ('ply' ... 'end_header') in the first 64 KiB")
    lines = head[: end.start()].decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:]
    source.file.seek(end.end())
    return _parse(lines, end.end(), source.name)


def _parse(lines: list[str], body_offset: int, name: str) -> PlyHeader:
    file_format, comments, elements = None, [], []
    for line in lines:
        keyword, _, rest = line.strip().partition(" ")
        words = rest.split()
        if keyword in ("comment", "obj_info", ""):
            comments.append(rest.strip())
        elif keyword == "format" and len(words) == 2 and words[0] in BYTE_ORDERS and file_format is None:
            file_format = words[0]
        elif keyword == "element" and len(words) == 2:
            elements.append((words[0], _count(words, name), []))
        elif keyword == "property" and elements:
            elements[-1][2].append(_property(words, line, name))
        else:
            raise SceneFileError(f"{name}: PLY header line {line[:60]!r} is not understood")
    if file_format is None:
        raise SceneFileError(f"{name}: the PLY header names no format")
    built = tuple(Element(title, count, tuple(columns)) for title, count, columns in elements)
    _check_columns(built, name)
    return PlyHeader(file_format, tuple(comments), built, body_offset)


def _count(words: list[str], name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", words[1], re.ASCII):
        raise SceneFileError(f"{name}: the count of element {words[0][:40]!r} must be a number, got {words[1][:20]!r}")
    return int(words[1])


def _property(words: list[str], line: str, name: str) -> tuple[str, str | None]:
    if len(words) == 4 and words[0] == "list" and words[1] in TYPES and words[2] in TYPES:
        return words[3], None
    if len(words) == 2 and words[0] in TYPES:
        return words[1], TYPES[words[0]]
    raise SceneFileError(f"{name}: PLY header line {line[:60]!r} is not a property")


def _check_columns(elements: tuple[Element, ...], name: str) -> None:
    for element in elements:
        columns = [column for column, _ in element.properties]
        if len(set(columns)) != len(columns):
            raise SceneFileError(f"{name}: element {element.name[:40]!r} names a property twice")
        if len(columns) > MAX_PROPERTIES:
            raise SceneFileError(f"{name}: expected at most {MAX_PROPERTIES} properties, got {len(columns)}")
