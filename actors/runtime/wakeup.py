"""Wakes one thread that waits in `select`: a self-pipe with a level."""

from __future__ import annotations

import os
import select
import threading


class Wakeup:
    """Readable from `set` until `clear`.

    `set` may be called from any thread and costs a system call only the first time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._is_set = False
        self._closed = False

    def set(self) -> None:
        """Make the descriptor readable."""
        with self._lock:
            if self._is_set or self._closed:
                return
            self._is_set = True
            os.write(self._writer, b"!")

    def clear(self) -> None:
        """Make the descriptor unreadable."""
        with self._lock:
            if self._is_set and not self._closed:
                self._is_set = False
                os.read(self._reader, 16)

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set; False after the timeout."""
        # Not select(): it takes no descriptor above 1,023, and connections may take those below.
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(poll.poll(timeout_s * 1_000))

    def fileno(self) -> int:
        """Give the descriptor to select on."""
        return self._reader

    def close(self) -> None:
        """Give the descriptors back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._reader)
                os.close(self._writer)
