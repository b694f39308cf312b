"""The error classes. A message says what was expected, what was found, and where."""

from __future__ import annotations


class FlashWorldError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(FlashWorldError, ValueError):
    """The user's input is invalid. The message is one sentence for the user."""


class TrajectoryError(InputError):
    """A camera path is unusable: wrong count, missing key, not finite, zero quaternion."""


class ImageError(InputError):
    """An image is unreadable, too small or too large."""


class PromptError(InputError):
    """Neither an image nor a text was given, or the text is too long."""


class SceneFileError(InputError):
    """A file cannot be read as a Gaussian scene."""


class CheckpointError(FlashWorldError):
    """Weights are missing, damaged, or their names and shapes differ from the model's."""


class DependencyError(FlashWorldError, ImportError):
    """An optional package is absent. The message names it and how to install it."""


class CompiledBlockError(FlashWorldError):
    """A compiled block is missing or was made for other hardware, torch or source."""


class SceneError(FlashWorldError):
    """A scene has arrays of wrong shapes, is empty or not finite, or has values that its file format cannot represent."""


class VideoError(FlashWorldError):
    """Frames cannot be encoded as a video: none, too many, a wrong type or size, or an unknown quality or frame rate."""


class WriteError(FlashWorldError):
    """A file or folder cannot be written: no folder, no permission, full disk, or an unknown file suffix."""


class PlaceError(WriteError):
    """The output location cannot be written any more: no access or no space. Every further scene would be lost."""


class WorkerError(FlashWorldError):
    """Worker processes terminate before they have produced a result."""


class TransferError(FlashWorldError):
    """A result was lost in the transfer between processes."""


class NumericalError(FlashWorldError):
    """A network produced NaN or infinity. The message names the stage."""


class Cancelled(FlashWorldError):
    """The caller cancelled the generation; nothing was written."""
