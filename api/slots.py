"""How many of one kind of long work run at once, so that they never take every thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from api.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Slots:
    """A few places; whoever finds them all taken is sent away at once. Thread-safe.

    Args:
        limit: How many places.
        full: The sentence for those who are sent away.
        retry_after_s: When it is worth trying again.
    """

    def __init__(self, limit: int, full: str, retry_after_s: int) -> None:
        self._free = threading.BoundedSemaphore(limit)
        self._full = full
        self._retry_after_s = retry_after_s

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place for the length of a block.

        Raises:
            ProblemError: 503, every place is taken.
        """
        if not self._free.acquire(blocking=False):
            raise ProblemError(503, self._full, retry_after_s=self._retry_after_s)
        try:
            yield
        finally:
            self._free.release()
