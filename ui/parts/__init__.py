"""The parts of the page, one a file: layout only, events are in ui.events."""

from __future__ import annotations
