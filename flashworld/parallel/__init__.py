"""One scene on several cards: a process a card, the sequence of the DiT and the views of everything else divided."""

from __future__ import annotations

__all__ = ["launch"]
