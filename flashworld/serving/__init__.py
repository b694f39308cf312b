"""What any server of the model needs: cost and duration estimates, workers, transfer between processes, deliverables."""

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
