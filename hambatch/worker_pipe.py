"""The worker's end of the pipe to its parent."""

import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from hambatch.sources.reading import Item

ALIVE_EVERY_SECONDS = 0.2
"""Signs of life are not sent more often than that."""


@dataclass(frozen=True)
class Alive:
    """The worker has finished a file that it decodes alone; its group takes longer."""


class Parent:
    """The other end of the pipe; where it is gone the process ends: nobody is left to tell.

    A parent that was killed leaves EOF, a reset, or half a message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last_said = connection, 0.0

    def send(self, message: object) -> None:
        """Send a message; for the main thread only."""
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)
        self._last_said = time.monotonic()

    def say_alive(self) -> None:
        """Tell that the main thread is getting on, if it has said nothing for a moment."""
        if time.monotonic() - self._last_said > ALIVE_EVERY_SECONDS:
            self.send(Alive())

    def receive(self) -> list[Item] | None:
        """Wait for a group; None is the end."""
        try:
            group: list[Item] | None = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        return group
