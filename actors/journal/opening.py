"""What has to be done with a journal's folder before anything is written to it. Blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from actors.journal import segments as files
from actors.journal.numbering import (
    Name,
    SegmentTail,
    forget_closing,
    keep_name,
    new_name,
    read_name,
    read_tail,
)
from actors.journal.set_back import finish_interrupted, is_ahead, set_back

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


def open_folder(directory: Path, now_us: int, refusals: list[OSError]) -> SegmentTail:
    """Repair the tail, see to the journal's name and its clock, and say where it ends.

    What the disk refuses is added to `refusals`; the other steps are done all the same.

    Raises:
        actors.journal.set_back.ClockAheadError: The journal's clock was ahead, and the
            disk refuses to set it back.
    """
    torn = _attempt(lambda: _prepare(directory), refusals) or 0
    tail = read_tail(directory)
    name = _named(directory, tail.last_seq, refusals)
    set_back_us = tail.last_us + 1 - now_us if is_ahead(tail.last_us, now_us) else 0
    if set_back_us:
        set_back(directory, tail.last_us, now_us)
        tail = msgspec.structs.replace(read_tail(directory), next_seq=tail.next_seq)
    forget_closing(directory)
    return msgspec.structs.replace(
        tail,
        torn_bytes=torn,
        journal_id=name.journal_id,
        unnumbered_seq=name.unnumbered_seq,
        set_back_us=set_back_us,
    )


def _prepare(directory: Path) -> int:
    """Make the folder, and every segment end in a whole record; return the bytes cut off."""
    finish_interrupted(directory)
    files.prepare_directory(directory)
    plain = sorted(files.take_inventory(directory).plain)
    return sum(files.repair_tail(directory, segment) for segment in plain)


def _named(directory: Path, last_seq: int, refusals: list[OSError]) -> Name:
    """Give the name of the journal's numbers; one that has none yet gets it now.

    Where the disk does not tell the name, all numbers so far count as from before it.
    """
    try:
        known = read_name(directory)
    except OSError as error:
        refusals.append(error)
        return Name(0, last_seq)
    if known is not None:
        return known
    name = new_name(last_seq)
    _attempt(lambda: keep_name(directory, name), refusals)
    return name


def _attempt(step: Callable[[], T], refusals: list[OSError]) -> T | None:
    try:
        return step()
    except OSError as error:
        refusals.append(error)
        return None
