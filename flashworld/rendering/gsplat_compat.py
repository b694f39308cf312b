"""Private interfaces of gsplat. Read from gsplat 1.5.3."""

from __future__ import annotations

from typing import Any


def kernel_library() -> Any:  # noqa: ANN401 - a compiled module
    """Gsplat's kernels, compiled at the first call unless a wheel contains them; None if they cannot be compiled.

    Raises:
        ImportError: gsplat is not installed.
        RuntimeError, OSError: compilation failed.
    """
    from gsplat.cuda import _backend

    return _backend._C
