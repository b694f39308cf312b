"""Parts shared by servers of the model: cost and duration estimates, workers, transfer between processes, result files."""

from __future__ import annotations

__all__ = [
    "costs",
    "delivery",
    "durations",
    "file_progress",
    "messages",
    "options",
    "private_folder",
    "sentences",
    "shared_arrays",
    "shutdown",
    "transfer",
    "workers",
]
