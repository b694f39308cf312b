"""No compiled graph serves before it has proved itself: in a process that may die, against the network it stands for.

`prover.prove` starts that process (`child.py`), which builds networks of the same layout with random weights
(`standins.py`), runs them with and without the graph (`comparison.py`) and answers. `ledger.py` remembers the answer.
"""

from __future__ import annotations

__all__ = ["examination", "ledger", "prover", "standins", "trials", "verdicts"]
