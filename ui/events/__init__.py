"""Event handlers: a control changes or a button is pressed."""

from __future__ import annotations
