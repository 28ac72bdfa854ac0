"""Where a journal ends, and which number comes next."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from actors.connection import journal_segments as files
from actors.connection.journal_reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

SPARE_NUMBERS: Final = 2**24
"""Left out behind a journal that was not closed. Its end may be missing (a loss of power, a disk
that was full) while rows already name numbers from there; no number may ever be given twice. At
400 events a second this many last for 11 hours, and 64 bits for 5e11 starts.
"""


class Tail(msgspec.Struct, frozen=True):
    """Where an earlier process stopped writing; zeros for an empty journal."""

    last_seq: int = 0
    last_us: int = 0
    torn_bytes: int = 0
    """Bytes cut off as no whole record; kept in a `.torn` file beside the segment."""
    journal_id: int = 0
    """Whose numbers these are, see `actors.domain.Session`; 0: the disk could not keep an id."""
    is_closed: bool = False
    """The process has closed the journal: every number it gave is in here."""
    set_back_us: int = 0
    """By how much the journal was set back, because its clock had been ahead; 0: it was not."""

    @property
    def next_seq(self) -> int:
        """The first number that nobody can have given before."""
        return self.last_seq + 1 + (0 if self.is_closed or not self.last_seq else SPARE_NUMBERS)


def read_tail(directory: Path) -> Tail:
    """Give the highest sequence number and time, from the last record and the newest name."""
    seq = us = 0
    for record in JournalReader(directory).last(1):
        seq, us = record.seq, record.at_us
    with contextlib.suppress(OSError):
        for segment in files.list_segments(directory)[-1:]:
            seq, us = max(seq, segment.first_seq), max(us, segment.first_us)
    is_closed = files.read_number(directory, files.CLOSED) == seq
    return Tail(last_seq=seq, last_us=us, is_closed=is_closed)


def keep_id(directory: Path, journal_id: int = 0) -> int:
    """Give the id of the journal's numbers; a journal without one gets this one, or a new one.

    Raises:
        OSError: The disk refuses.
    """
    kept = files.read_number(directory, files.ID)
    if 0 < kept <= files.LARGEST_ID:
        return kept
    drawn = journal_id or 1 + secrets.randbelow(files.LARGEST_ID)
    files.keep_number(directory, files.ID, drawn)
    return drawn


def note_closing(directory: Path, last_seq: int) -> None:
    """Note that every number given is in the journal; a disk that refuses costs spare numbers."""
    with contextlib.suppress(OSError):
        files.keep_number(directory, files.CLOSED, last_seq)


def forget_closing(directory: Path) -> None:
    """Take the note back, before anything is written."""
    with contextlib.suppress(OSError):
        (directory / files.CLOSED).unlink(missing_ok=True)
