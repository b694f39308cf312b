"""Hostile values, and ways to damage valid data: JSON objects by structure, files byte by byte."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

NUMBERS: tuple[Any, ...] = (
    float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e-308, 5e-324, -0.0, 0, 0.0, 1, -1, 2, 3, 0.5, 1e6, -1e6,
    1000001, 1e38, 3.5e38, 2**31, 2**31 - 1, 2**53, 2**63, 2**64, 10**40, 10**309, 10**399, -(10**350), 24, 32, 33, 64,
    480, 704, 179.999, 180, 360,
)  # fmt: skip
STRINGS = (
    "", " ", "0", "1", "NaN", "inf", "true", "null", "None", "\0", "\n", "a\nb", "\x1b[31mred", "\u202egnp.exe", "\u061c",
    "\u2028", "\ud800", "\udfff\ud800", "<script>alert(1)</script>", "![x](http://e/x)", "[a](javascript:alert(1))",
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/", "C:\\x", "a" * 5000, "é" * 2001,
    "\U0001f600" * 60, "{}", "[]", "%s%n", "{0.__class__}", "orbit_right", "forward", "linear", "opengl", "opencv",
    "data:,", "data:image/png;base64,", "data:image/png;base64,AAAA", "data:image/svg+xml;base64,PHN2Zy8+",
    "data:image/png;base64,!!!!", "data:text/html,<b>", "data:" + "x" * 300 + ";base64,AAAA", "AAAA", "A" * 4001, "=", "\ufeff",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [{}], {"": {}}, [None] * 3, [1, 2, 3], [0, 0, 0, 0])


def scalar(rng: random.Random) -> Any:
    """A number, a text or a small value of an unexpected type."""
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(NUMBERS)
    if kind < 0.55:
        return rng.uniform(-10, 10) * 10.0 ** rng.randint(-12, 12)
    if kind < 0.8:
        return rng.choice(STRINGS)
    return copy.deepcopy(rng.choice(OTHERS))


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values inside a JSON value, its own included."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key, part in value.items() for place in places(part, (*path, key))]
    elif isinstance(value, list):
        found += [place for index, part in enumerate(value[:40]) for place in places(part, (*path, index))]
    return found


def damaged(rng: random.Random, value: Any, most: int = 2) -> Any:
    """A copy with a few values replaced, removed, duplicated, renamed, wrapped or swapped."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, most)):
        path = rng.choice(places(value))
        if not path:
            if rng.random() < 0.1:
                value = scalar(rng)
            continue
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        _damage(rng, parent, path[-1])
    return value


def _damage(rng: random.Random, parent: Any, key: Any) -> None:
    action = rng.randrange(7)
    if action <= 1:
        parent[key] = scalar(rng)
    elif action == 2 and isinstance(parent[key], float):
        parent[key] *= rng.choice([-1, 0, 0.5, 2, 1 + 1e-9, 1e3])
    elif action == 2:
        parent[key] = scalar(rng)
    elif action == 3:
        del parent[key]
    elif action == 4:
        parent[key] = rng.choice([[parent[key]], {"value": parent[key]}, str(parent[key])[:100]])
    elif action == 5 and isinstance(parent, dict):
        parent[rng.choice([*map(str, STRINGS[:20]), "frames", "cameras", "format", "preset", "axes"])] = parent[key]
    elif isinstance(parent, list):
        parent.extend(copy.deepcopy(parent[key]) for _ in range(rng.choice([1, 2, 7, 1100 if len(parent) < 40 else 3])))
    else:
        other = rng.choice(list(parent))
        parent[key], parent[other] = parent[other], parent[key]


def json_bytes(rng: random.Random, value: Any) -> bytes:
    """JSON text of a value (with NaN and Infinity, which are not JSON), sometimes damaged as text."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    data = text.encode("utf-8", "surrogatepass")
    kind = rng.random()
    if kind < 0.75:
        return data
    if kind < 0.85:
        return damaged_bytes(rng, data)
    if kind < 0.9:
        return text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"]), "surrogatepass")
    wrapped = {
        0: b"[" * rng.choice([1, 900, 100_000]) + data,
        1: data + data,
        2: b'{"a":' * rng.choice([1, 900, 50_000]) + data,
        3: data[:-1] + b',"seed":1,"seed":2}',
        4: b"{" + b",".join(b'"%d":0' % n for n in range(rng.choice([10, 20_000, 250_000]))) + b',"0":1}',
        5: data.replace(b"0", b"0" * rng.choice([1, 500, 20_000]) + b"1", 1),
        6: data.replace(b"1", b"1" * rng.choice([2, 399, 401, 5000]), 1),
    }  # fmt: skip
    return wrapped[rng.randrange(len(wrapped))]


def damaged_bytes(rng: random.Random, data: bytes, headers: int = 64) -> bytes:
    """Bits flipped (most often near the start), or the data truncated, duplicated, enlarged, or parts of it moved."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        if not out:
            break
        at = rng.randrange(min(len(out), headers) if rng.random() < 0.6 else len(out))
        action = rng.randrange(7)
        if action <= 1:
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif action == 2:
            width = rng.choice([2, 4, 8])
            out[at : at + width] = rng.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * width
        elif action == 3:
            del out[rng.randrange(len(out)) :]
        elif action == 4:
            del out[at : at + rng.choice([1, 2, 4, 100])]
        elif action == 5:
            out[at:at] = out[at : at + rng.choice([1, 4, 64])]
        else:
            out[at:at] = rng.randbytes(rng.choice([1, 4, 64, 4096]))
    return bytes(out)
