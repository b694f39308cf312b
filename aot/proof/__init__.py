"""Verification of compiled graphs before use: in a process that may crash, against the network that they replace.

`prover.prove` starts that process (`child.py`), which builds networks of the same layout with random weights
(`standins.py`), runs them with and without the graph (`comparison.py`) and reports the result. `ledger.py` stores it.
"""

from __future__ import annotations

__all__ = ["examination", "ledger", "prover", "standins", "trials", "verdicts"]
