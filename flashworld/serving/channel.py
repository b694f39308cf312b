"""Python objects between two processes that did not fork from each other."""

from __future__ import annotations

import pickle
from multiprocessing.connection import Connection
from typing import Any

GONE = (EOFError, OSError)
"""What a channel raises when the process at its other end has exited."""


class Channel:
    """One end of a socket pair. `Connection.send` is not used: torch patches it to pass tensors as file descriptors with a key.

    Args:
        fd: The socket, owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self._connection = Connection(fd)

    def send(self, value: object) -> None:
        """Send an object; raises one of `GONE` if the other end is closed."""
        self._connection.send_bytes(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    def receive(self) -> Any:  # noqa: ANN401 - whatever was sent
        """Wait for the next object; raises one of `GONE` if the other end is closed."""
        return pickle.loads(self._connection.recv_bytes())

    def waiting(self) -> bool:
        """Whether the next `receive` would return immediately."""
        return self._connection.poll()

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
