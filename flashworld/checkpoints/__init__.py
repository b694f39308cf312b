"""Weights: where they are published, what they must look like, how they are read and converted."""

from __future__ import annotations
