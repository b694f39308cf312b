"""Settings of cheap events: run immediately, outside the queue, hidden from the API."""

from __future__ import annotations

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
