"""The summary table at the end of a run."""

from __future__ import annotations

import pytest

from tests.fuzz.targets import CASES_VARIABLE, TALLY, wanted_cases


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not TALLY.counts:
        return
    terminalreporter.write_sep("-", f"hostile input, {CASES_VARIABLE}={wanted_cases()}")
    for line in TALLY.lines():
        terminalreporter.write_line(line)
