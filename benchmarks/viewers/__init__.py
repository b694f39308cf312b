"""Open our scene files in programs that are not ours, and compare their pictures with our own render."""

from __future__ import annotations
