"""Keeps the timelines of mints over restarts: a file, written now and then and at the end.

A crash costs what was noted since the file was written last, a minute at most. The timelines are
for people who look into a coin; no figure depends on them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from settings.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from actors.runtime.inspection.timeline import Timeline

EVERY_S: Final = 60.0


class Timelines:
    """Reads and writes the file; one thread at a time.

    Args:
        timelines: those of all mints.
        path: the file.
        monotonic_s: seconds that only measure durations.
    """

    def __init__(
        self,
        timelines: Timeline,
        path: Path,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timelines = timelines
        self._path = path
        self._monotonic_s = monotonic_s
        self._saved_s = monotonic_s()
        self._log = structlog.get_logger("mintwatch").bind(actor="timelines")

    def load(self) -> None:
        """Take up what an earlier process has left; a file that is damaged is left out."""
        try:
            self._timelines.restore(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            self._log.warning("timelines_not_read", file=str(self._path), cause=str(error))

    def save_now_and_then(self) -> None:
        """Write the file when the last time is a minute ago."""
        if self._monotonic_s() - self._saved_s >= EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the file anew; on a disk that takes nothing the one before stays."""
        self._saved_s = self._monotonic_s()
        try:
            replace_file(self._path, self._timelines.encode())
        except OSError as error:
            self._log.warning("timelines_not_written", file=str(self._path), cause=str(error))
