"""The page. `build_page(service)` and `launch_options()`; `ui.contract` defines the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.page import build_page, launch_options

__all__ = ["build_page", "launch_options"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'ui' has no attribute '{name}'")
    from ui import page

    return getattr(page, name)
