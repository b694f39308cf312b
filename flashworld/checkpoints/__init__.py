"""Weights: where they are published, their expected names and shapes, how they are read and converted."""

from __future__ import annotations

__all__ = ["conversion", "loading", "random_weights", "tensor_files", "tokenizer_file"]
