"""Server-sent events: what a tap hears, as long as somebody reads it.

Guarantees: a stream ends after `MAX_SECONDS`, within a second of the server's stop, and once its
reader is gone; every `HEARTBEAT_SECONDS` something is sent, so that both ends notice a dead
connection. Ids count what was heard: a step of more than one is what was left out, and is told by a
`dropped` event as well.
Not guaranteed: a reader that comes back begins anew; nothing is kept for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from actors.runtime.inspection.timeline import Note
from api.actors.views import handled_of
from api.trackers.sentences import note_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.runtime.inspection.recent_messages import RecentMessage
    from telemetry import Redactor

MAX_SECONDS: Final = 15 * 60.0
HEARTBEAT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 1.0
"""How soon a stream notices that it is to end."""
_BEAT: Final = b": still here\n\n"


class TapSource(Protocol):
    """What is listened to: `actors.runtime.inspection.taps.Tap`."""

    @property
    def closed(self) -> bool:
        """Whether nothing more will be heard."""

    @property
    def dropped(self) -> int:
        """How much was left out, because it was read too slowly."""

    def get(self, timeout_s: float) -> RecentMessage | Note | None:
        """Wait for the next thing heard; None: nothing came in time."""


@dataclass(frozen=True)
class TapContext:
    """What ends a stream besides its source."""

    monotonic_s: Callable[[], float]
    gone: Callable[[], bool]
    """Whether nobody reads any more, or far too slowly."""
    closing: Callable[[], bool]
    """Whether the server stops."""
    redactor: Redactor


def events(mint: str, source: TapSource, around: TapContext) -> Iterator[bytes]:
    """Write what is heard as server-sent events, until the stream ends."""
    began_s = sent_s = around.monotonic_s()
    heard = dropped = 0
    yield _event("begin", heard, {"mint": mint, "ends_after_seconds": MAX_SECONDS})
    while not around.gone():
        found = source.get(LOOK_SECONDS)
        now_s = around.monotonic_s()
        if source.dropped > dropped:
            heard += source.dropped - dropped
            dropped = source.dropped
            yield _event("dropped", heard, {"dropped": dropped})
        if found is not None:
            heard, sent_s = heard + 1, now_s
            yield _heard(found, heard, around.redactor)
        elif now_s - sent_s >= HEARTBEAT_SECONDS:
            sent_s = now_s
            yield _BEAT
        reason = _end(source, found, now_s - began_s, around)
        if reason is not None:
            yield _event("end", heard, {"reason": reason, "dropped": dropped})
            return


def _end(source: TapSource, found: object, lasted_s: float, around: TapContext) -> str | None:
    """Say why the stream is over; None: it is not."""
    if around.closing():
        return "The service stops."
    if lasted_s >= MAX_SECONDS:
        return "A stream ends after 15 minutes: open another one."
    if source.closed and found is None:
        return "The tracker has ended."
    return None


def _heard(found: RecentMessage | Note, number: int, redactor: Redactor) -> bytes:
    if isinstance(found, Note):
        return _event("note", number, note_of(found, redactor).model_dump())
    return _event("handled", number, handled_of(found, redactor).model_dump())


def _event(name: str, number: int, data: object) -> bytes:
    # JSON in ASCII has no line breaks, which would end the field.
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
