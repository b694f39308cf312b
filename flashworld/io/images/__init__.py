"""Images from users: decoded and checked, cropped to the output, or embedded in JSON."""

from __future__ import annotations

__all__ = ["crops", "data_urls", "hdr", "icc", "reading"]
