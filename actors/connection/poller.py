"""Waiting for a socket and for messages at once, in the actor's own thread."""

from __future__ import annotations

import select
from typing import Final

LONGEST_WAIT_S: Final = 0.05


class Poller:
    """Waits at most 50 ms.

    Args:
        wakeup_fd: readable while messages wait; None: never wait, someone else calls in time
        (tests on a manual clock).
    """

    def __init__(self, wakeup_fd: int | None) -> None:
        self._wakeup_fd = wakeup_fd

    def wait(
        self, timeout_s: float, socket_fd: int | None = None, *, for_writing: bool = False
    ) -> None:
        """Return once the socket is ready, a message waits, or `timeout_s` is over."""
        poll = select.poll()
        if self._wakeup_fd is None:
            timeout_s = 0.0
        else:
            poll.register(self._wakeup_fd, select.POLLIN)
        if socket_fd is not None:
            poll.register(socket_fd, select.POLLIN | (select.POLLOUT if for_writing else 0))
        poll.poll(min(max(timeout_s, 0.0), LONGEST_WAIT_S) * 1000)
