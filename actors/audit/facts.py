"""What the journal's facts say of it as a whole, found before the pass over its frames.

Only lines of facts are decoded; the others are read and passed over. What cannot be read is left
out, as the pass itself leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.journal.reader import DAMAGE
from actors.journal.records import FactRecord, decode
from actors.journal.segments import list_segments, open_to_read
from actors.journal.set_back import SET_BACK

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from actors.journal.segments import Segment

_START: Final = b'{"fact": '
_STEP_LINES: Final = 1_024
"""Read in one step, a few milliseconds."""


class Extent(msgspec.Struct, frozen=True):
    """Between which instants journal and rows speak of the same. Microseconds UTC."""

    released_us: int
    """What arrived earlier is in rows, on disk or given up; 0: nobody has said so."""
    set_back_us: int
    """Up to here rows may have other times than their frames; 0: nowhere."""


def released_us(folder: Path, begin_us: int) -> Generator[None, None, int]:
    """Find how far everything is in rows, on disk or given up; 0: nobody has said so.

    Looks in the newest segment first, and in none that ended before `begin_us`.

    Yields:
        Now and then.
    """
    found_us = 0
    for segment in reversed(list_segments(folder)):
        for fact in _facts(folder, segment):
            if fact is None:
                yield
            else:
                found_us = max(found_us, _released_by(fact))
        if found_us or segment.first_us < begin_us:
            break
    return found_us


def set_back_us(folder: Path) -> Generator[None, None, int]:
    """Find where the journal was set back for the last time; 0: it never was.

    Rows that stayed in the table kept their times when the frames before this instant got others.
    A journal that is set back is written anew as one segment, so the fact is in the first one there
    is; when that was removed, so were the frames before it.

    Yields:
        Now and then.
    """
    found_us = 0
    for segment in list_segments(folder)[:1]:
        for fact in _facts(folder, segment):
            if fact is None:
                yield
            elif fact.name == SET_BACK:
                found_us = max(found_us, fact.at_us)
    return found_us


def number(fact: FactRecord, name: str) -> int:
    """Give a detail that is a number; 0: there is none."""
    value = fact.details.get(name)
    return value if isinstance(value, int) else 0


def _released_by(fact: FactRecord) -> int:
    match fact.name:
        case "released":
            return number(fact, "before_us")
        case "drained":
            # Everything that has arrived before this fact is in rows or on disk.
            return fact.at_us + 1
        case _:
            return 0


def _facts(folder: Path, segment: Segment) -> Iterator[FactRecord | None]:
    """Walk the facts of a segment, and give None after every 1,024 lines."""
    try:
        file = open_to_read(folder, segment)
        if file is None:
            return
        with file:
            for count, line in enumerate(file, 1):
                record = decode(line) if line.startswith(_START) else None
                if isinstance(record, FactRecord):
                    yield record
                if count % _STEP_LINES == 0:
                    yield None
    except DAMAGE:
        return
