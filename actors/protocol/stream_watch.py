"""What stream-watch receives."""

from __future__ import annotations

from typing import ClassVar

from actors.domain import Mint
from actors.runtime.messages import Control, Message


class _OfOurs(Message, frozen=True):
    """About changes of ours, which are rare; a full mailbox takes them too, as each has to end."""

    must_arrive: ClassVar[bool] = True


class StreamChangePending(_OfOurs, frozen=True):
    """A change of ours to a stream is on its way to the database. Data lane.

    Told BEFORE the change is handed to a writer. Until the matching `StreamChangesCommitted` or
    `StreamChangesGivenUp`, what polls and notifications say about this mint is overridden: `active`
    is what the row will be.
    """

    mint: Mint
    active: bool


class StreamChangesCommitted(_OfOurs, frozen=True):
    """A writer has committed stream changes; one entry a change (a mint can stand here twice).

    Data lane.
    """

    mints: tuple[Mint, ...]


class StreamChangesGivenUp(_OfOurs, frozen=True):
    """A writer has given stream changes up, as the database will never have them.

    One entry a change (a mint can stand here twice). Data lane.
    """

    mints: tuple[Mint, ...]


class PollNow(Control, frozen=True):
    """The API wants streams and phases re-read at once. Control lane."""


class WatchStatus(Message, frozen=True):
    """Published by stream-watch after every reading and every failure."""

    database: str
    """"up", "away" or "unknown"."""
    last_error: str | None
    """Why the last reading failed; None once one did not."""
    listening: bool
    """Whether changes are told at once; otherwise polling alone finds them."""
    active: int
    """Streams that should be tracked, as far as is known here."""
    pending: int
    """Mints with changes of our own that are not committed yet."""
    last_read_us: int | None
    rows_ahead: int = 0
    """Rows of earlier runs that end after the start of this one, moved aside, not acknowledged."""
    rows_ahead_since_us: int | None = None
    """When the oldest of them was moved."""
    row_conflicts: int = 0
    """Candles whose row is there with other figures, kept aside, not acknowledged."""
    row_conflicts_since_us: int | None = None
    """When the oldest of them was found."""
    rows_counted_to: int = 0
    """Where these two counts end, so that one of this much means at least so many; 0: nowhere."""
