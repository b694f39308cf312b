"""Verification of compiled graphs before use: in a process that may crash, against the network that they replace.

`runner.verify_graphs` starts that process (`child.py`), which builds networks of the same layout with random weights
(`standins.py`), runs them with and without the graph (`comparison.py`) and reports the result. `records.py` stores it.
"""

from __future__ import annotations

__all__ = ["check", "records", "runner", "standins", "trials", "verdict"]
