"""Reads a recording instead of the live feed, as fast as the rest of the system takes it.

Guarantees: a recording gives the same rows each time, however far apart its frames are and however
slow the machine is. Behind each slice the feed clock stands still until everything that follows
from the slice has been done: coins activated and routed, trackers ended, the places of those that
ended given to coins that waited for one.
Relies on: the runtime, which says who has something to do. No message carries this, so none can be
lost; a failed actor is waited for until it runs again, one in quarantine is not.

A recording holds one JSON object a line, `{"received_at": <Unix seconds or null>, "message": <the
frame>}`, in order of arrival; gzip when its name ends in `.gz`. Segments of the journal are
recordings too: a frame that is no JSON stands there as base64 in `raw`, and facts about trackers
are passed over.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import itertools
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import msgspec

from actors.connection.partition import RawFrame
from actors.connection.poller import LONGEST_WAIT_S
from actors.domain import US_PER_SECOND
from actors.protocol.supervisor import SUPERVISOR, FeedEnded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.connection.partition import FrameBatch
    from actors.connection.pipeline import Pipeline
    from actors.connection.poller import Poller
    from actors.connection.state import ConnectionState
    from actors.domain import Mint
    from actors.runtime import Context

SLICE_FRAMES: Final = 256
SLICE_US: Final = 50_000
CONGESTED_AT: Final = 2_000
"""Below the bound of a tracker's mailbox: a recording can wait, and loses nothing by it."""
FOLLOWERS: Final = frozenset({"connection", "discovery", "supervisor", "tracker"})
"""Whoever decides which trade gets into which row. Writers only write, and may be behind."""
SPINS: Final = 50
"""Looks without a pause; most slices have been dealt with by then."""
LOOK_S: Final = 0.001
OVERDUE_S: Final = 10.0
"""A slice is a millisecond's work; one that takes this long is worth a line in the log."""
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_LATEST_S: Final = 253_402_300_800
"""The year 10000, behind which no calendar goes."""


class RecordingError(Exception):
    """A recording cannot be read on; the text names file and line, and what to do."""


class _Line(msgspec.Struct):
    received_at: float | None = None
    message: msgspec.Raw = msgspec.Raw()
    raw: str | None = None
    fact: str | None = None


_LINE: Final = msgspec.json.Decoder(_Line)


def read_recording(path: Path) -> Iterator[RawFrame]:
    """Read the frames of a recording with their times in integer microseconds.

    Times rise strictly: a frame without one, or with one that is not later than its predecessor's,
    comes 1 us after it. Frames come back byte for byte.

    Raises:
        RecordingError: the file cannot be read, or a line is not one of a recording.
    """
    last_us = 0
    try:
        with _open(path) as file:
            for number in itertools.count(1):
                text = file.readline(MAX_LINE_BYTES)
                if not text:
                    return
                if text.isspace():
                    continue
                line = _parse(text, path, number)
                if line.fact is None:
                    last_us = _next_us(line.received_at, last_us, path, number)
                    yield RawFrame(last_us, _frame_of(line, path, number))
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"{path} cannot be read: {error}") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _parse(text: bytes, path: Path, number: int) -> _Line:
    try:
        return _LINE.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(path, number, str(error)) from error


def _next_us(received_at: float | None, last_us: int, path: Path, number: int) -> int:
    if received_at is None:
        return last_us + 1
    if not 0 <= received_at < _LATEST_S:
        raise _broken(path, number, f"received_at is {received_at}")
    return max(round(received_at * US_PER_SECOND), last_us + 1)


def _frame_of(line: _Line, path: Path, number: int) -> bytes:
    if line.raw is None:
        frame = bytes(line.message)
        if not frame:
            raise _broken(path, number, "there is no message")
        return frame
    try:
        return base64.b64decode(line.raw, validate=True)
    except binascii.Error as error:
        raise _broken(path, number, f"raw is no base64: {error}") from error


def _broken(path: Path, number: int, found: str) -> RecordingError:
    return RecordingError(
        f"{path}, line {number}: {found}; expected "
        '{"received_at": Unix seconds or null, "message": {...}}; remove or repair the line'
    )


class ReplayReader:
    """Hands a recording on, slice by slice, on the recording's own clock.

    Every mint counts as covered from its first frame on.
    """

    def __init__(
        self,
        context: Context,
        state: ConnectionState,
        pipeline: Pipeline,
        path: Path,
        poller: Poller,
    ) -> None:
        self._context = context
        self._state = state
        self._pipeline = pipeline
        self._path = path
        self._poller = poller
        self._frames: Iterator[RawFrame] | None = None
        self._ahead: RawFrame | None = None
        self._broken: RecordingError | None = None
        """Why nothing follows; what came before it is handed on first."""
        self._looks = 0
        """How often somebody has been busy with the last slice."""
        self._waits_since_s = 0.0

    def start(self) -> None:
        """Begin, or go on behind what another instance has handed on."""
        self._broken = None
        self._frames = itertools.islice(read_recording(self._path), self._state.replayed, None)
        if self._state.status.replaying(self._context.now_us()):
            self._pipeline.tell_status()

    resume = start

    def stop(self) -> None:
        """Read no more."""
        self.release()
        if self._state.status.stopped(self._context.now_us()):
            self._pipeline.tell_status()

    def release(self) -> None:
        """Close the file."""
        self._frames = self._ahead = None

    def turn(self) -> None:
        """Hand on one slice, or wait at most 50 ms for the last one, for room or for messages."""
        if self._frames is None or self._is_congested():
            self._poller.wait(LONGEST_WAIT_S)
            return
        if not self._has_settled():
            self._poller.wait(0.0 if self._looks < SPINS else LOOK_S)
            return
        arrived = self._next_slice(self._frames)
        if arrived:
            self._hand_on(arrived)
        elif self._broken is not None:
            self._give_up(str(self._broken))
        else:
            self._end()

    def cover(self, mint: Mint) -> None:
        """Cover a routed mint since its first frame, if it had one already."""
        since_us = self._state.replay_since_us.get(mint)
        if since_us is not None:
            self._pipeline.tell_coverage(self._state.coverage.begin(mint, since_us))

    def _is_congested(self) -> bool:
        self._state.is_congested = self._context.queued_events() > CONGESTED_AT
        return self._state.is_congested

    def _has_settled(self) -> bool:
        """Say whether everything that follows from the last slice has been done."""
        is_untold = self._state.is_recovering
        busy = "connection" if is_untold else self._context.busy(FOLLOWERS)
        now_s = self._context.monotonic_s()
        if busy is None:
            self._looks = 0
            return True
        if self._looks == 0:
            self._waits_since_s = now_s
        self._looks += 1
        if now_s - self._waits_since_s >= OVERDUE_S:
            self._looks = 1
            self._waits_since_s = now_s
            self._context.log.warning("replay_waits", waits_for=busy, seconds=OVERDUE_S)
        return False

    def _next_slice(self, frames: Iterator[RawFrame]) -> list[RawFrame]:
        gathered: list[RawFrame] = []
        while len(gathered) < SLICE_FRAMES:
            item = self._ahead or self._next(frames)
            self._ahead = None
            if item is None:
                break
            if gathered and item.at_us - gathered[0].at_us >= SLICE_US:
                self._ahead = item
                break
            gathered.append(item)
        return gathered

    def _next(self, frames: Iterator[RawFrame]) -> RawFrame | None:
        try:
            return next(frames, None)
        except RecordingError as error:
            self._broken = error
            return None

    def _hand_on(self, arrived: list[RawFrame]) -> None:
        # Time goes on to the slice first, so that what ends before it ends in front of it.
        self._pipeline.advance(arrived[0].at_us)
        stamped = [RawFrame(self._pipeline.stamp_as(item.at_us), item.frame) for item in arrived]
        batch = self._pipeline.partition(stamped)
        self._pipeline.journal(batch)
        self._state.replayed += len(stamped)
        self._cover(batch)
        self._pipeline.route(batch)
        self._pipeline.advance(stamped[-1].at_us + 1)

    def _cover(self, batch: FrameBatch) -> None:
        for mint, at_us in batch.seen.items():
            self._state.replay_since_us.setdefault(mint, at_us)
        for mint in batch.routed:
            self.cover(mint)

    def _end(self) -> None:
        self.release()
        if not self._state.has_replay_ended:
            self._state.has_replay_ended = True
            self._context.tell(SUPERVISOR, FeedEnded(frames=self._state.replayed))

    def _give_up(self, reason: str) -> None:
        self._state.last_error = reason
        self._context.log.error("replay_failed", reason=reason)
        if self._state.status.lost(reason, self._context.now_us()):
            self._pipeline.tell_status()
        self._end()
