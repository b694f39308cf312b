"""Messages for errors that are not the user's fault: one sentence each, without internal details, which the log has."""

from __future__ import annotations

from flashworld.errors import CheckpointError, InputError, NumericalError, WorkerError

BROKEN = "Something went wrong on our side and no files were made. Try again; if it happens twice, change the settings."
OUT_OF_MEMORY = "There was not enough memory. Choose fewer views or a smaller image size and try again."
NOT_FINITE = "The model produced no usable numbers for this request. Try another seed, or change the text or the image."
WORKER_DIED = "The process that made your scene ended and is being started again. No files were made: try again."
NOT_LOADED = "The model failed to load; see the app log."


def sentence_for(error: Exception) -> str:
    """The message for an error during a generation: an `InputError`'s own, a fixed one for anything else."""
    import torch

    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, NumericalError):
        return NOT_FINITE
    if isinstance(error, WorkerError):
        return WORKER_DIED
    if isinstance(error, CheckpointError):
        return NOT_LOADED
    # torch on the CPU raises a plain RuntimeError, and so do some CUDA libraries.
    text = str(error).lower()
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "can't allocate" in text:
        return OUT_OF_MEMORY
    return BROKEN
