"""Parts shared by servers of the model: cost and duration estimates, workers, transfer between processes, result files."""

from __future__ import annotations

__all__ = [
    "channel",
    "child_environment",
    "costs",
    "delivery",
    "durations",
    "file_progress",
    "freed_memory",
    "generation",
    "gpu_pool",
    "gpus",
    "light",
    "messages",
    "options",
    "pool_worker",
    "private_folder",
    "sentences",
    "shared_arrays",
    "shutdown",
    "transfer",
    "workers",
]
