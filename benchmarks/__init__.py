"""Programs that print figures. Speed is measured here, never in a test."""

from __future__ import annotations
