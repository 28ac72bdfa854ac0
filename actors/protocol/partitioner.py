"""Which postgres-writer a mint's rows go through: one table that everyone who writes shares.

Guarantees: a mint has one writer at a time; what is sent before a switch stands in the old writer's
mailbox before the message that announces the switch, what is sent after it goes to the new one.
Thread-safe; never blocks for longer than a message takes to be queued.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from actors.protocol.supervisor import writer_name, writer_of

if TYPE_CHECKING:
    from actors.domain import Mint


class Post(Protocol):
    """How a message leaves: the runtime's context, or the runtime."""

    def tell(self, name: str, message: Any) -> bool:
        """Send a message; False: refused, and kept as a dead letter."""


class WriterRoutes:
    """See the module's docstring.

    Args:
        writers: how many postgres-writers there are, at least 1.
    """

    def __init__(self, writers: int) -> None:
        self._lock = threading.Lock()
        self._writers = writers

    @property
    def writers(self) -> int:
        """How many writers there are."""
        return self._writers

    @property
    def names(self) -> tuple[str, ...]:
        """The writers' names."""
        return tuple(writer_name(index) for index in range(self._writers))

    def tell(self, post: Post, mint: Mint, message: Any) -> bool:
        """Send a message to the writer of a mint; False: refused, and kept as a dead letter."""
        with self._lock:
            return post.tell(writer_of(mint, self._writers), message)

    def switch(self, post: Post, writers: int, announcement: Any) -> tuple[str, ...]:
        """Use another number of writers from now on, and announce it to those there were.

        Returns:
            Who was told: they have everything from before the switch in front of the announcement.
        """
        with self._lock:
            before, self._writers = self.names, writers
            return tuple(name for name in before if post.tell(name, announcement))
