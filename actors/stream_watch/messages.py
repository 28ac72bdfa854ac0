"""What stream-watch receives."""

from __future__ import annotations

from actors.domain import Mint
from actors.runtime.messages import Control, Message


class StreamChangePending(Message, frozen=True):
    """A change of ours to a stream is on its way to the database. Data lane.

    Told BEFORE the change is handed to a writer. Until the matching `StreamChangesCommitted`, what
    polls and notifications say about this mint is overridden: `active` is what the row will be.
    """

    mint: Mint
    active: bool


class StreamChangesCommitted(Message, frozen=True):
    """A writer has committed stream changes; one entry a change (a mint can stand here twice).

    Data lane.
    """

    mints: tuple[Mint, ...]


class PollNow(Control, frozen=True):
    """The API wants streams and phases re-read at once. Control lane."""


class ChangeRefresh(Control, frozen=True):
    """The API changes how often everything is re-read. Control lane; acts at once."""

    interval_s: float


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
