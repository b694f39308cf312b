"""The parts of the page, one per file: mostly layout; event handlers are in `ui.events`."""

from __future__ import annotations
