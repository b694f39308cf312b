"""The page. `build_page(service)` and `launch_options()`; what a service is stands in `ui.contract`."""

from __future__ import annotations

from ui.page import build_page, launch_options

__all__ = ["build_page", "launch_options"]
