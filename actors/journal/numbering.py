"""Where a journal ends, and which number comes next."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from actors.journal import segments as files
from actors.journal.reader import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

SPARE_NUMBERS: Final = 2**24
"""Left out at least behind a journal that was not closed. Its end may be missing (a loss of power,
a disk that was full) while rows already name numbers from there; no number may ever be given twice.
At 400 events a second this many last for 11 hours.
"""
_SCATTER: Final = 2**36
"""A random part of what is left out, as a folder that was copied, or brought back from a backup,
may be begun from twice. Numbers stay below 2**53 for 250,000 such starts.
"""


class SegmentTail(msgspec.Struct, frozen=True):
    """Where an earlier process stopped writing; zeros for an empty journal."""

    last_seq: int = 0
    last_us: int = 0
    torn_bytes: int = 0
    """Bytes cut off as no whole record; kept in a `.torn` file beside the segment."""
    journal_id: int = 0
    """Whose numbers these are, see `actors.domain.Session`; 0: the disk does not say."""
    unnumbered_seq: int = 0
    """Up to here numbers were given before the journal had its id: no row can name them."""
    next_seq: int = 1
    """The first number that nobody can have given before."""
    set_back_us: int = 0
    """By how much the journal was set back, because its clock had been ahead; 0: it was not."""


class Name(msgspec.Struct, frozen=True):
    """What a journal's numbers are known by."""

    journal_id: int = 0
    unnumbered_seq: int = 0


def read_tail(directory: Path) -> SegmentTail:
    """Give the highest sequence number and time, from the last record and the newest name."""
    seq = us = 0
    for record in JournalReader(directory).last(1):
        seq, us = record.seq, record.at_us
    with contextlib.suppress(OSError):
        for segment in files.list_segments(directory)[-1:]:
            seq, us = max(seq, segment.first_seq), max(us, segment.first_us)
    return SegmentTail(last_seq=seq, last_us=us, next_seq=seq + 1 + _left_out(directory, seq))


def _left_out(directory: Path, last_seq: int) -> int:
    if last_seq == 0 or _is_closed(directory, last_seq):
        return 0
    return SPARE_NUMBERS + secrets.randbelow(_SCATTER)


def _is_closed(directory: Path, last_seq: int) -> bool:
    """Say whether this very folder was closed behind its last record; a copy of it was not."""
    try:
        noted = files.read_numbers(directory, files.CLOSED)
        return noted == (last_seq, directory.stat().st_ino)
    except OSError:
        return False


def read_name(directory: Path) -> Name | None:
    """Read what the numbers are known by; None: the journal has no name yet.

    Raises:
        OSError: There may be one, and the disk does not give it.
    """
    noted = files.read_numbers(directory, files.ID)
    if len(noted) != len(Name.__struct_fields__) or not 0 < noted[0] <= files.LARGEST_ID:
        return None
    return Name(*noted)


def new_name(last_seq: int) -> Name:
    """Draw a name for a journal whose last record has this number."""
    return Name(1 + secrets.randbelow(files.LARGEST_ID), last_seq)


def keep_name(directory: Path, name: Name) -> None:
    """Keep the name beside the segments, unless there is one.

    Raises:
        OSError: The disk refuses.
    """
    if read_name(directory) is None:
        files.keep_numbers(directory, files.ID, (name.journal_id, name.unnumbered_seq))


def note_closing(directory: Path, last_seq: int) -> None:
    """Note that every number given is in the journal; a disk that refuses costs spare numbers."""
    with contextlib.suppress(OSError):
        files.keep_numbers(directory, files.CLOSED, (last_seq, directory.stat().st_ino))


def forget_closing(directory: Path) -> None:
    """Take the note back, before anything is written."""
    with contextlib.suppress(OSError):
        (directory / files.CLOSED).unlink(missing_ok=True)
