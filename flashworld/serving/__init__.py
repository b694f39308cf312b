"""Parts shared by servers of the model: cost and duration estimates, workers, transfer between processes, result files."""

from __future__ import annotations

__all__ = [
    "card_pool",
    "card_worker",
    "cards",
    "channel",
    "child_environment",
    "costs",
    "delivery",
    "durations",
    "file_progress",
    "generation",
    "light",
    "messages",
    "options",
    "private_folder",
    "sentences",
    "shared_arrays",
    "shutdown",
    "transfer",
    "workers",
]
