"""Reading and writing of files and text: scenes, images, videos, request JSON. Bounded reading and atomic writing."""

from __future__ import annotations

__all__ = ["atomic", "images", "json_text", "request_files", "request_json", "scenes", "video"]
