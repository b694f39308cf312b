"""The rule for all external input: a valid object, or a one-sentence error. Nothing else, and at bounded cost.

A case is a call that reads hostile input, and a check of its result. `judge` runs it and says "accepted" or
"refused"; it raises when the call ends in any other way, warns of an overflow, takes too much memory or processor time,
or refuses with a message that is unsafe to display.
"""

from __future__ import annotations

import re
import time
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flashworld.errors import InputError

Outcome = Literal["accepted", "refused"]
MAX_SENTENCE_CHARS = 700
"""The longest honest one lists every preset's name."""
MAX_CPU_SECONDS = 20.0
"""Processor time, not time on the clock; cases take milliseconds, and the slowest allowed picture 3 s."""
MAX_CASE_BYTES = 400 * 2**20
"""Peak memory above what was held before. Cases that may take more say so."""
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        call: Reads the input.
        check: Asserts that the result of `call` is valid.
        errors: The exceptions that count as a refusal.
        max_bytes: Limit on peak memory.
    """

    call: Callable[[], Any]
    check: Callable[[Any], None]
    errors: tuple[type[Exception], ...] = (InputError,)
    max_bytes: int = MAX_CASE_BYTES


def judge(case: Case) -> Outcome:
    """Run a case and apply the rule."""
    before, start = _begin_peak(), time.process_time()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            given = case.call()
        except case.errors as error:
            check_sentence(str(error))
            outcome: Outcome = "refused"
        else:
            case.check(given)
            outcome = "accepted"
    seconds = time.process_time() - start
    assert seconds < MAX_CPU_SECONDS, f"took {seconds:.1f} processor seconds"
    if before is not None:
        taken = _status_bytes("VmHWM") - before
        assert taken < case.max_bytes, f"took {taken / 2**20:.0f} MiB"
    numeric = [str(warning.message) for warning in heard if issubclass(warning.category, RuntimeWarning)]
    assert not numeric, f"numerical warnings: {numeric[:3]}"
    return outcome


def check_sentence(text: str) -> None:
    """One line, bounded, with nothing that a terminal or a page would interpret, and it names something."""
    assert text, "an error without a message"
    assert len(text) <= MAX_SENTENCE_CHARS, f"{len(text)} characters: {text[:200]!r}"
    hostile = [character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not hostile, f"control characters {hostile[:5]!r} in {text[:200]!r}"
    assert len(re.findall(r"[A-Za-z]{2,}", text)) >= 3, f"not a sentence: {text!r}"


def leaves(folder: Path) -> set[str]:
    """Names below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _begin_peak() -> int | None:
    """Start measuring peak memory anew; bytes held now, or None where the system cannot say."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return None
    return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int:
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)
    return int(kilobytes) * 1024
