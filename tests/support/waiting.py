"""Wait for what another thread or process does: with a limit, and no longer than needed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(condition: Callable[[], Any], limit_s: float = 20.0, what: str = "") -> Any:
    """Wait until `condition` gives something true, and return that.

    Raises:
        AssertionError: it did not happen within the limit.
    """
    pause = threading.Event()
    deadline = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what or condition}")
        pause.wait(0.005)
