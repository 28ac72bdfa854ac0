"""The slow half of the journal: waiting for the disk, compressing, clearing away.

Purpose: an append must cost microseconds, because a frame is stamped when it is read. An fsync
(milliseconds, at times hundreds) or a gzip (a second for a segment) would delay the next read, so
they have a thread of their own. Both calls release the GIL.

Guarantees: the two threads share no lock. The appender opens descriptors and announces them in one
assignment; only the keeper closes them, so a descriptor it syncs cannot be closed under it. A
segment is removed only when every record in it is older than what was released; the newest is
never removed, so that its name keeps the sequence.

Not guaranteed: the cap to the byte. A segment being compressed exists twice for a moment.
Relies on `maintain` running in one thread at a time.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from actors.journal import segments as files
from actors.journal.segments import Inventory, Segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fsync = Literal["slice", "second", "never"]

_PERIOD_S: Final = 1.0
_COMPRESS_PAUSE_S: Final = 60.0
_STOP_LIMIT_S: Final = 5.0
_HOUR_US: Final = 3_600_000_000


class Policy(msgspec.Struct, frozen=True):
    """How the journal is kept."""

    fsync: Fsync
    max_bytes: int
    max_age_hours: float


class Opened(msgspec.Struct, frozen=True):
    """A segment that is being appended to, with its descriptor."""

    segment: Segment
    fd: int


class SyncTimes(msgspec.Struct, frozen=True):
    """How long waiting for the disk took; seconds."""

    count: int = 0
    last_s: float = 0.0
    longest_s: float = 0.0
    total_s: float = 0.0

    def plus(self, seconds: float) -> SyncTimes:
        """Add one more wait."""
        longest = max(self.longest_s, seconds)
        return SyncTimes(self.count + 1, seconds, longest, self.total_s + seconds)


class FolderTotals(msgspec.Struct, frozen=True):
    """What the keeper's last round left in the folder."""

    segments: int = 0
    bytes: int = 0
    oldest_us: int | None = None
    """Arrival time at which the oldest segment begins."""
    appended_before: int = 0
    """Bytes this process had appended when the round looked: at least these are in `bytes`."""
    full: bool = False
    """The cap is reached, and nothing may be removed."""


class Compactor:
    """Syncs, compresses and removes the segments of one folder.

    `begin`, `wake`, `release_before` and all attributes may be used from any thread; `maintain`
    and `stop` from one.
    """

    def __init__(
        self,
        directory: Path,
        policy: Policy,
        *,
        appended_bytes: Callable[[], int],
        wall_us: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._policy = policy
        self._appended_bytes = appended_bytes
        self._wall_us = wall_us
        self._monotonic_s = monotonic_s
        self._boundary: Segment | None = None
        self._opened: Opened | None = None
        self._left: deque[int] = deque()
        self._synced_segment: Segment | None = None
        self._synced_bytes = 0
        self._synced_at_s = 0.0
        self._compress_again_s = 0.0
        self._released_us = 0
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self.census = FolderTotals()
        self.sync_times = SyncTimes()
        self.sync_fault: OSError | None = None
        """A failed wait for the disk; whoever acts on it sets it back to None."""
        self.disk_full = False
        """Set by the appender: give up one released segment a round, whatever the cap says."""
        self.last_error: str | None = None

    @property
    def running(self) -> bool:
        """Whether the keeper's thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def released_us(self) -> int:
        """Records from before this time may be removed."""
        return self._released_us

    def start(self) -> None:
        """Start the thread; it looks after the folder every second and whenever it is woken."""
        self._thread = threading.Thread(target=self._run, name="journal-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """End the thread, sync and close what is open.

        False: the disk did not answer within 5 s, descriptors stay open.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_LIMIT_S)
            if self._thread.is_alive():
                return False
        self.begin(None)
        self._close_left()
        return True

    def wake(self) -> None:
        """Have the thread make a round now."""
        self._wake.set()

    def expect(self, segment: Segment) -> None:
        """Announce a segment before its file is created; the keeper touches earlier ones only."""
        self._boundary = segment

    def begin(self, opened: Opened | None) -> None:
        """Announce the segment appended to from now on; the one before is closed by the keeper."""
        before, self._opened = self._opened, opened
        if before is not None:
            self._left.append(before.fd)
        self._wake.set()

    def release_before(self, us: int) -> None:
        """Allow removing records from before this time; never takes back what was allowed."""
        self._released_us = max(self._released_us, us)

    def sync_new_segment(self) -> None:
        """Wait until the present segment's name is on the disk. Blocks; raises OSError."""
        opened = self._opened
        if opened is not None and opened.segment != self._synced_segment:
            files.sync_directory(self._directory)
            self._synced_segment = opened.segment

    def sync(self, fd: int) -> None:
        """Wait until a descriptor's contents are on the disk. Blocks; raises OSError."""
        began = self._monotonic_s()
        files.sync_data(fd)
        self.sync_times = self.sync_times.plus(self._monotonic_s() - began)

    def maintain(self) -> None:
        """Make one round: sync, close, compress, remove. Blocks; trouble is kept, not raised."""
        self._sync_opened()
        self._close_left()
        try:
            self._compress_closed()
            self._clear_away()
            self._miss_nothing()
            self.count()
        except OSError as error:
            self.last_error = f"cannot look after the journal's files: {error}"

    def count(self) -> None:
        """Look at what the folder holds. Blocks; raises OSError."""
        appended = self._appended_bytes()
        inventory = files.take_inventory(self._directory)
        self.census = FolderTotals(
            segments=len(inventory.segments),
            bytes=inventory.total_bytes,
            oldest_us=inventory.segments[0].first_us if inventory.segments else None,
            appended_before=appended,
            full=inventory.total_bytes >= self._policy.max_bytes,
        )

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(_PERIOD_S)
            self._wake.clear()
            self.maintain()

    def _sync_opened(self) -> None:
        # The count first: whatever it includes is then in this descriptor or in one that was left.
        appended = self._appended_bytes()
        opened = self._opened
        if self._policy.fsync != "second" or opened is None or appended == self._synced_bytes:
            return
        self._synced_at_s = self._monotonic_s()
        try:
            self.sync_new_segment()
            self.sync(opened.fd)
        except OSError as error:
            self.sync_fault = error
        self._synced_bytes = appended

    def _close_left(self) -> None:
        while self._left:
            fd = self._left.popleft()
            try:
                if self._policy.fsync == "second":
                    self.sync(fd)
            except OSError as error:
                self.sync_fault = error
            finally:
                os.close(fd)

    def _compress_closed(self) -> None:
        inventory = files.take_inventory(self._directory)
        for segment in self._closed(inventory):
            if segment in inventory.plain and not self._compress(segment):
                return

    def _compress(self, segment: Segment) -> bool:
        if self._monotonic_s() < self._compress_again_s:
            return False
        try:
            return files.compress(self._directory, segment, self._may_go_on)
        except OSError as error:
            self._compress_again_s = self._monotonic_s() + _COMPRESS_PAUSE_S
            self.last_error = f"cannot compress {segment.plain}, it stays as it is: {error}"
            return False

    def _may_go_on(self) -> bool:
        """Between two pieces of a long compression: the sync of every second cannot wait."""
        if self._monotonic_s() - self._synced_at_s >= _PERIOD_S:
            self._sync_opened()
        return not self._stopping.is_set()

    def _closed(self, inventory: Inventory) -> list[Segment]:
        # An inventory taken before this reading holds no later segment that was not announced yet.
        boundary = self._boundary
        return [each for each in inventory.segments if boundary is None or each < boundary]

    def _clear_away(self) -> None:
        inventory = files.take_inventory(self._directory)
        must_free, self.disk_full = self.disk_full, False
        total = inventory.total_bytes
        for segment, successor in pairwise(inventory.segments):
            # What has a successor is closed, and nothing in it is later than the successor's name.
            if successor.first_us >= self._released_us:
                return
            if not (must_free or total > self._policy.max_bytes or self._expired(successor)):
                return
            files.remove(self._directory, segment)
            total -= inventory.sizes[segment]
            must_free = False

    def _miss_nothing(self) -> None:
        opened, boundary = self._opened, self._boundary
        if opened is None or (boundary is not None and opened.segment < boundary):
            # Its successor is announced: this round may have compressed it by now.
            return
        if not (self._directory / opened.segment.plain).exists():
            self.sync_fault = FileNotFoundError(errno.ENOENT, "the journal's file was removed")

    def _expired(self, successor: Segment) -> bool:
        return successor.first_us < self._wall_us() - int(self._policy.max_age_hours * _HOUR_US)
