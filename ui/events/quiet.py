"""How events run that cost next to nothing: at once, past the queue, unseen by programs."""

from __future__ import annotations

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
