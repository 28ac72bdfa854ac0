"""Crash dossiers: what is to be known about each failure, after the instance is gone.

Purpose: whoever looks into a failure finds what the actor handled, held and did last, also after
the process has been started again.
Guarantees: bounded in number, in bytes and in how many a second are made, so that a storm of
crashes costs the dispatcher next to nothing: what is past the rate is counted and not even
rendered, and files are written by a thread of their own. Trouble with the disk is logged once and
fails nothing; what could not be written stays in memory within the same bounds. Every text has been
masked. Thread-safe; only `open` and `get` wait for the disk.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from actors.runtime.inspection.crash_report_files import CrashReportFiles
from actors.runtime.inspection.recent_messages import RecentMessage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_DOSSIERS: Final = 200
MAX_BYTES: Final = 16 * 1024 * 1024
PER_SECOND: Final = 5
_QUEUED: Final = 64
"""Waiting for the disk; more are kept in memory alone. Twelve seconds of a storm."""


class CrashSummary(msgspec.Struct, frozen=True):
    """One line about a failure."""

    id: str
    at_us: int
    actor: str
    kind: str
    error: str
    message: str | None
    """Type of the message that could not be handled; None: it was a hook or the constructor."""
    decision: str


class CrashReport(msgspec.Struct, frozen=True):
    """Everything about a failure. Texts are bounded and masked."""

    id: str
    at_us: int
    """UTC in microseconds."""
    actor: str
    kind: str
    error: str
    traceback: str
    """Newest call last, without the values of variables."""
    message: str | None
    """Type of the message that could not be handled; None: it was a hook or the constructor."""
    summary: str | None
    """That message, rendered."""
    recent: tuple[RecentMessage, ...]
    """The last 20 messages, oldest first; the failed one is the last."""
    state: str | None
    """What the actor said about itself, rendered."""
    decision: str
    """"restart", "quarantine", "stop" or "escalate"."""
    restart_after_s: float | None
    restarts: int
    """How often the actor had been started again before."""

    @property
    def line(self) -> CrashSummary:
        """The dossier in short."""
        return CrashSummary(
            id=self.id,
            at_us=self.at_us,
            actor=self.actor,
            kind=self.kind,
            error=self.error,
            message=self.message,
            decision=self.decision,
        )


class _Kept:
    """A dossier in the index; `data` is None when the file has it."""

    __slots__ = ("data", "line", "size")

    def __init__(self, line: CrashSummary, size: int, data: bytes | None) -> None:
        self.line = line
        self.size = size
        self.data = data


class CrashReports:
    """See the module's docstring.

    Args:
        folder: where the files go; None: everything stays in memory.
        mask: replaces secrets in a text.
        max_dossiers: how many are kept; the oldest goes first.
        max_bytes: how much they may take together.
        per_second: how many are made at most in one second.
    """

    def __init__(
        self,
        folder: Path | None = None,
        mask: Callable[[str], str] = str,
        *,
        max_dossiers: int = MAX_DOSSIERS,
        max_bytes: int = MAX_BYTES,
        per_second: int = PER_SECOND,
    ) -> None:
        self.mask = mask
        self._folder = folder
        self._max_dossiers = max_dossiers
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """Oldest first."""
        self._bytes = 0
        self._made_s: deque[float] = deque(maxlen=per_second)
        self._number = 0
        self._skipped = 0
        self._files: CrashReportFiles | None = None
        self._work: queue.Queue[tuple[str, bytes | None] | None] = queue.Queue(_QUEUED)
        self._thread: threading.Thread | None = None
        self._complained = False
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("mintwatch")

    # Life.

    def open(self) -> None:
        """Read back what earlier processes left, and start the thread that writes."""
        if self._folder is None or self._thread is not None:
            return
        try:
            self._files = CrashReportFiles(self._folder)
            for dossier, size in self._files.load(CrashReport):
                for name in self._index(dossier.line, size, None):
                    self._files.remove(name)
        except OSError as error:
            self._complain(error)
        self._thread = threading.Thread(target=self._write_all, name="dossiers", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Write what waits, and end the thread. What comes later stays in memory."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._work.put(None, timeout=timeout_s)
        except queue.Full:
            # The disk hangs; the thread is a daemon, and holds nobody up.
            return
        thread.join(timeout_s)

    # Failures.

    def admit(self, now_s: float) -> bool:
        """Say whether a dossier may be made at this monotonic time; counted when not."""
        with self._lock:
            made = self._made_s
            if len(made) == made.maxlen and now_s - made[0] < 1.0:
                self._skipped += 1
                return False
            made.append(now_s)
            return True

    def next_id(self, at_us: int) -> str:
        """Give the id of a dossier: sorts by time, and is a file's name."""
        with self._lock:
            self._number += 1
            return f"{at_us:017d}-{self._number:04d}"

    def add(self, dossier: CrashReport) -> None:
        """Keep a dossier; past a bound the oldest ones go."""
        data = msgspec.json.encode(dossier)
        gone = self._index(dossier.line, len(data), data)
        if self._thread is None:
            return
        for name in gone:
            self._hand_over(name, None)
        self._hand_over(dossier.id, data)

    @property
    def skipped(self) -> int:
        """How many failures have no dossier, because there were too many in one second."""
        return self._skipped

    # Looking.

    def all(self, limit: int, actor: str | None = None) -> tuple[CrashSummary, ...]:
        """List what is kept, newest first, at most `limit`; of one actor when it is given."""
        with self._lock:
            lines = [kept.line for kept in reversed(self._kept.values())]
        return tuple(line for line in lines if actor is None or line.actor == actor)[:limit]

    def get(self, dossier_id: str) -> CrashReport | None:
        """Give one; None: there is none of this id, or its file is gone or damaged."""
        with self._lock:
            kept = self._kept.get(dossier_id)
            data, files = (kept.data if kept else None), self._files
        if kept is None:
            return None
        if data is not None:
            return msgspec.json.decode(data, type=CrashReport)
        return None if files is None else files.read(dossier_id, CrashReport)

    # Keeping.

    def _index(self, line: CrashSummary, size: int, data: bytes | None) -> list[str]:
        """Enter one, and name those that had to go for it."""
        gone: list[str] = []
        with self._lock:
            self._kept[line.id] = _Kept(line, size, data)
            self._bytes += size
            while len(self._kept) > self._max_dossiers or self._bytes > self._max_bytes:
                name, old = self._kept.popitem(last=False)
                self._bytes -= old.size
                gone.append(name)
        return gone

    def _hand_over(self, name: str, data: bytes | None) -> None:
        try:
            self._work.put_nowait((name, data))
        except queue.Full:
            self._complain(TimeoutError("the disk does not keep up"))

    def _write_all(self) -> None:
        while (work := self._work.get()) is not None:
            name, data = work
            try:
                self._write(name, data)
            except OSError as error:
                self._complain(error)

    def _write(self, name: str, data: bytes | None) -> None:
        if self._folder is None:
            return
        if self._files is None:
            self._files = CrashReportFiles(self._folder)
        if data is None:
            self._files.remove(name)
            return
        self._files.write(name, data)
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None:
                kept.data = None
        self._complained = False

    def _complain(self, error: OSError) -> None:
        if self._complained:
            return
        self._complained = True
        self._log.error(
            "dossiers_not_written",
            folder=str(self._folder),
            error=str(error),
            hint="crash dossiers stay in memory until the folder can be written again",
        )
