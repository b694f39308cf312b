"""Training and evaluation of nano: generated worlds, losses, trainer, benchmark. Nothing in the product imports it."""

from __future__ import annotations

__all__ = []
