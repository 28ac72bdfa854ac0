"""A journal whose newest record lies behind the arrival clock's present: set back at the start.

Purpose: after a run whose clock was ahead the times in the journal lie in the future. Every reader
of it, and the feed clock, rely on times that never fall, so a run with the right clock could not
write behind them. What a replay still needs is written anew: the same records with the same numbers
and distances, all earlier by as much as the newest one was ahead.
Guarantees: the numbers stay, so rows still say which trades lie in them. Nothing is deleted: the
journal as it was stays beside the new one, the newest `KEPT` of them. A crash at any point leaves
either the old journal or the new one in place.
Not guaranteed: the true times. They were never known; only their order and distances were.
Relies on being the only user of the folder.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from actors.domain import US_PER_SECOND
from actors.journal import segments as files
from actors.journal.checkpoint import LEFT_OUT, MEMORY_US, RELEASED, needed_from
from actors.journal.numbering import keep_name, read_name
from actors.journal.reader import JournalReader
from actors.journal.records import FactRecord, encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.journal.records import Record, Scalar

SET_BACK: Final = "clock_set_back"
"""The fact that stands behind the records that were set back; detail `by_us`."""
TOLERANCE_US: Final = 2_000_000
"""A clock that is behind by less is waited for: stamps go on right behind the newest one."""
KEPT: Final = 2
"""Journals that are kept as they were."""

_TIMES: Final = {RELEASED: "before_us", LEFT_OUT: "frame_us", "tracker_started": "rows_end_us"}
"""Which detail of a fact is a time."""


class ClockAheadError(Exception):
    """A journal's clock was ahead, and it cannot be set back; the text says what to do."""


def is_ahead(newest_us: int, now_us: int) -> bool:
    """Say whether a journal with this newest record was written under a clock that was ahead."""
    return newest_us - now_us > TOLERANCE_US


def finish_interrupted(journal: Path) -> None:
    """Go on where a process was ended in the middle of setting back.

    Raises:
        OSError: The disk refuses.
    """
    fresh = _fresh(journal)
    if not fresh.exists():
        return
    if journal.exists():
        # It may not be whole; the journal itself still is.
        shutil.rmtree(fresh)
    else:
        fresh.rename(journal)
        files.sync_directory(journal.parent)


def set_back(journal: Path, newest_us: int, now_us: int) -> Path:
    """Replace a journal by one whose newest record is one microsecond older than now.

    Blocks: reads what a replay needs and writes it once, about 5 us a record.

    Returns:
        The folder in which the journal lies as it was.

    Raises:
        ClockAheadError: The disk refuses; the journal is as it was.
    """
    try:
        return _set_back(journal, newest_us, now_us)
    except OSError as error:
        raise ClockAheadError(
            f"The journal {journal} was written under a clock that was "
            f"{(newest_us - now_us) / US_PER_SECOND:.0f} s ahead of now, and cannot be set back "
            f"({error}): see to the machine's clock, to space on the disk, or move the folder "
            "away; its frames are kept there."
        ) from error


def _set_back(journal: Path, newest_us: int, now_us: int) -> Path:
    by_us = newest_us - now_us + 1
    fresh = _fresh(journal)
    shutil.rmtree(fresh, ignore_errors=True)
    files.prepare_directory(fresh)
    name = read_name(journal)
    if name is not None:
        keep_name(fresh, name)
    _write(fresh, _earlier(_needed(journal, newest_us), by_us), by_us)
    kept = journal.with_name(f"{journal.name}-ahead-{now_us}")
    journal.rename(kept)
    fresh.rename(journal)
    files.sync_directory(journal.parent)
    # The times in their names are of clocks that were wrong: the one just made is kept in any case.
    others = sorted((path for path in _kept(journal) if path != kept), key=_made_us)
    for old in others[: 1 - KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return kept


def _kept(journal: Path) -> list[Path]:
    return [path for path in journal.parent.glob(f"{journal.name}-ahead-*") if _made_us(path) >= 0]


def _made_us(kept: Path) -> int:
    text = kept.name.rpartition("-")[2]
    return int(text) if text.isdecimal() else -1


def _fresh(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.set-back")


def _needed(journal: Path, newest_us: int) -> Iterator[Record]:
    """Walk what a replay reads: what may not be in rows, and what has to be remembered."""
    reader = JournalReader(journal)
    search = needed_from(reader, newest_us)
    while True:
        try:
            next(search)
        except StopIteration as found:
            needed_us: int = found.value.needed_us
            break
    return reader.records(since_us=max(0, needed_us - MEMORY_US))


def _earlier(records: Iterator[Record], by_us: int) -> Iterator[Record]:
    for record in records:
        at_us = max(0, record.at_us - by_us)
        if isinstance(record, FactRecord):
            details = _details_earlier(record, by_us)
            yield msgspec.structs.replace(record, at_us=at_us, details=details)
        else:
            yield msgspec.structs.replace(record, at_us=at_us)


def _details_earlier(fact: FactRecord, by_us: int) -> dict[str, Scalar]:
    name = _TIMES.get(fact.name, "")
    value = fact.details.get(name)
    if not isinstance(value, int):
        return fact.details
    return {**fact.details, name: max(0, value - by_us)}


def _write(folder: Path, records: Iterator[Record], by_us: int) -> None:
    """Write one segment and have it on the disk."""
    first = next(records, None)
    if first is None:
        return
    segment = files.Segment(first.seq, first.at_us)
    last = first
    with open(files.create(folder, segment), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(encode(first))
        for record in records:
            file.write(encode(record))
            last = record
        file.write(encode(FactRecord(last.seq, last.at_us, SET_BACK, details={"by_us": by_us})))
        file.flush()
        files.sync_data(file.fileno())
    files.sync_directory(folder)
