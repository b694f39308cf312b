"""Open our scene files in third-party viewers, and compare their images with our own render."""

from __future__ import annotations
