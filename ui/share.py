"""Links that carry the settings and the camera path: no server state, so they stay valid as long as the app. The picture
is not included.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlencode

from flashworld.errors import InputError
from flashworld.limits import MAX_FOV_DEG, MAX_FRAMES, MAX_PROMPT_CHARS, MAX_SEED, MIN_FOV_DEG, MIN_FRAMES
from flashworld.trajectories import PRESETS

MAX_LINK_CHARS = 6000
"""Maximum length of a link that browsers and servers handle reliably."""
LONGEST_ESCAPE = 12
"""Maximum number of characters in a link per character of text."""
MAX_PATH_CHARS = 200_000
"""Maximum size of an unpacked path: links are untrusted."""
PATH_DIGITS = 5
RANGES = {"seed": (0, MAX_SEED), "fov": (MIN_FOV_DEG, MAX_FOV_DEG), "frames": (MIN_FRAMES, MAX_FRAMES)}
"""Ranges of the controls; values of a link outside them are ignored."""


@dataclass(frozen=True)
class Shared:
    """The contents of a link; empty strings and None are omitted. `keys` and `cameras` are packed JSON: a recorded path, or
    one from a file.
    """

    text: str = ""
    path: str = ""
    parameters: str = ""
    seed: int | None = None
    fov: float | None = None
    frames: int | None = None
    size: str = ""
    keys: str = ""
    cameras: str = ""


def share_query(shared: Shared) -> tuple[str, bool]:
    """The query string of the link, and whether it is complete.

    If the link is too long, first the whole path is omitted, then the end of the text.
    """
    values = {name: value for name, value in asdict(shared).items() if value not in ("", None)}
    query = urlencode(values)
    if len(query) <= MAX_LINK_CHARS:
        return query, True
    kept = {name: value for name, value in values.items() if name not in ("keys", "cameras")}
    while len(urlencode(kept)) > MAX_LINK_CHARS and kept.get("text"):
        over = len(urlencode(kept)) - MAX_LINK_CHARS
        kept["text"] = kept["text"][: -max(1, over // LONGEST_ESCAPE)]
    return urlencode(kept), False


def pack(data: object) -> str:
    """Pack JSON values, with rounded numbers, into URL-safe characters."""
    text = json.dumps(_rounded(data), separators=(",", ":"))
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def unpack(packed: str) -> str:
    """The unpacked JSON text, empty if there is none; its content is not checked.

    Args:
        packed: Untrusted text from a link.
    """
    try:
        raw = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(raw, MAX_PATH_CHARS)
        return text.decode() if unpacker.eof else ""
    except (binascii.Error, zlib.error, ValueError):
        return ""


def _rounded(data: object) -> object:
    if isinstance(data, Mapping):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_rounded(value) for value in data]
    return round(data, PATH_DIGITS) if isinstance(data, float) else data


def parameters_text(params: Mapping[str, object]) -> str:
    """Preset parameters as JSON."""
    return json.dumps(dict(params), separators=(",", ":"))


def read_query(query: Mapping[str, str]) -> Shared:
    """The valid values of a link; wrong or unknown ones are ignored, because links are untrusted."""
    clean: dict[str, Any] = {}
    if "knobs" in query:  # the name of the parameters in links made by version 0.1
        query = {"parameters": query["knobs"], **query}
    casts = {"seed": int, "frames": int, "fov": float}
    for name in (field.name for field in fields(Shared)):
        try:
            if name in query:
                clean[name] = casts.get(name, str)(query[name])
        except ValueError:
            continue
    clean["size"] = clean.get("size", "").split(" ")[0]  # older links have the orientation after the numbers
    clean["text"] = clean.get("text", "")[:MAX_PROMPT_CHARS]
    if clean.get("path") not in PRESETS:
        clean["path"] = ""
    for name, (low, high) in RANGES.items():
        if name in clean and not low <= clean[name] <= high:  # false for NaN too
            del clean[name]
    return Shared(**clean)


def read_parameters(shared: Shared) -> dict[str, float]:
    """The link's preset parameters, checked; defaults where the link has no valid value."""
    preset = PRESETS[shared.path]
    try:
        given = json.loads(shared.parameters or "{}")
        known = {param.name for param in preset.params}
        return preset.resolve({k: v for k, v in given.items() if k in known} if isinstance(given, dict) else {})
    except (ValueError, RecursionError, InputError):  # RecursionError: deeply nested brackets
        return preset.resolve({})
