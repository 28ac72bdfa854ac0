"""What writers have left on disk: what it says about mints, and who is to deliver it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.control import writer_name, writer_of
from actors.domain import Mint
from actors.postgres_writer.codec import UnreadableEntryError, decode
from actors.postgres_writer.messages import (
    CandleClosed,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)

if TYPE_CHECKING:
    from actors.postgres_writer.batch import Item
    from actors.spool import Spool

_KINDS: Final = tuple(
    kind.__name__ for kind in (CandleClosed, StreamStarted, StreamPhaseChanged, StreamEnded)
)


class Leftovers(msgspec.Struct, frozen=True):
    """Rows and stream changes that are on disk and not in the database yet."""

    rows_end_us: dict[Mint, int] = {}
    """Where the spooled rows of each mint end."""
    ended: tuple[Mint, ...] = ()
    """Mints whose stream has ended, although the database has it as active; one a change."""
    rows_seq: dict[Mint, int] = {}
    """The greatest sequence number of a trade in the spooled rows of each mint."""
    last_seq: int = 0
    """The greatest of all of them; 0: no row is spooled."""


class _Numbered(msgspec.Struct):
    """What a spooled candle is read for; the rest is skipped."""

    last_seq: int


class _Closed(msgspec.Struct):
    candle: _Numbered


def read_leftovers(spool: Spool, owned: str) -> Leftovers:
    """Read what writers whose names begin with `owned` have left on disk.

    Reads every spooled candle once, a page at a time: 1 s for 200,000 (2 shared cores).

    Raises:
        actors.spool.SpoolError: It cannot be read right now.
    """
    rows_end_us: dict[Mint, int] = {}
    changes: dict[Mint, list[Item]] = {}
    for entry in spool.of_kinds(owned, _KINDS):
        try:
            item = decode(entry)
        except UnreadableEntryError:
            # The writer reports it when it comes to it.
            continue
        if isinstance(item, CandleClosed):
            rows_end_us[item.candle.mint] = item.candle.timestamp_us
        else:
            changes.setdefault(Mint(entry.key), []).append(item)
    ended = tuple(
        mint for mint, items in changes.items() if isinstance(items[-1], StreamEnded) for _ in items
    )
    rows_seq = _greatest(spool, owned)
    return Leftovers(rows_end_us, ended, rows_seq, max(rows_seq.values(), default=0))


def _greatest(spool: Spool, owned: str) -> dict[Mint, int]:
    """Find the greatest number a mint: a dead letter sent again makes it another than the last."""
    greatest: dict[Mint, int] = {}
    for entry in spool.each_of_kind(owned, CandleClosed.__name__):
        try:
            seq = msgspec.msgpack.decode(entry.payload, type=_Closed).candle.last_seq
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        mint = Mint(entry.key)
        greatest[mint] = max(seq, greatest.get(mint, 0))
    return greatest


def reassign_spool(spool: Spool, writers: int) -> int:
    """Give what postgres-writers have left on disk to the writers that its mints belong to now.

    Entries of a mint stay in order; what belongs to no mint goes to the first writer. For the start
    of a process, after another number of writers in an earlier one, and for a change of the number
    between `MovePrepared` of the last writer and `FinishMove`. Blocks for half a second for
    100,000 entries of which all move (2 shared cores), and up to 5 s more on other owners of the
    spool.

    Args:
        spool: Opened by the calling thread, which closes it.
        writers: How many there are now.

    Returns:
        How many entries have moved.

    Raises:
        actors.spool.SpoolError: Nothing has moved.
    """

    def owner_of(key: str) -> str:
        return writer_of(Mint(key), writers) if key else writer_name(0)

    return spool.reassign("postgres-writer:", owner_of)
