"""Replies that are completed on their way back to whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from actors.runtime.attempt import attempt

if TYPE_CHECKING:
    from collections.abc import Callable


class Completed(pykka.Future[Any]):
    """Passes a reply on to the asker's future, completed.

    `complete` runs in the thread of whoever answers; what it raises is the asker's, not theirs.
    """

    def __init__(self, asker: pykka.Future[Any], complete: Callable[[Any], Any]) -> None:
        super().__init__()
        self._asker = asker
        self._complete = complete

    def set(self, value: Any | None = None) -> None:
        """Complete a reply and pass it on."""
        completed: list[Any] = []
        error = attempt(lambda: completed.append(self._complete(value)))
        if error is None:
            self._asker.set(completed[0])
        else:
            self._asker.set_exception((type(error), error, error.__traceback__))

    def set_exception(self, exc_info: Any = None) -> None:
        """Pass a failure on as it is."""
        self._asker.set_exception(exc_info)
