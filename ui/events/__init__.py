"""What happens when a control changes or a button is pressed."""

from __future__ import annotations
