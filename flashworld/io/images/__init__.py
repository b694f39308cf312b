"""Images from users: decoded and checked, cropped to the output, or carried inside JSON."""

from __future__ import annotations

__all__ = ["crops", "data_urls", "hdr", "icc", "reading"]
