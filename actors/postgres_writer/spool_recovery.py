"""What writers have left on disk: what it says about mints, and who is to deliver it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.domain import Mint
from actors.postgres_writer.codec import UnreadableEntryError, decode
from actors.protocol.postgres_writer import (
    CandleClosed,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)
from actors.protocol.supervisor import writer_name, writer_of

if TYPE_CHECKING:
    from actors.postgres_writer.batch import Item
    from actors.spool.store import Spool

_KINDS: Final = tuple(kind.__name__ for kind in (StreamStarted, StreamPhaseChanged, StreamEnded))


class SpoolRecovery(msgspec.Struct, frozen=True):
    """Rows and stream changes that are on disk and not in the database yet."""

    rows_end_us: dict[Mint, int] = {}
    """Where the spooled rows of each mint end, but for those that are ahead."""
    ended: tuple[Mint, ...] = ()
    """Mints whose stream has ended, although the database has it as active; one a change."""
    rows_seq: dict[Mint, int] = {}
    """The greatest sequence number of a trade in the spooled rows of each mint."""
    last_seq: int = 0
    """The greatest of all of them; 0: no row is spooled."""
    ahead: frozenset[tuple[Mint, int]] = frozenset()
    """Rows that end after the start of this process, by mint and end: a clock was ahead."""


class _Numbered(msgspec.Struct):
    """What a spooled candle is read for; the rest is skipped."""

    last_seq: int
    timestamp_us: int


class _Closed(msgspec.Struct):
    candle: _Numbered


def read_leftovers(spool: Spool, owned: str, started_us: int) -> SpoolRecovery:
    """Read what writers whose names begin with `owned` have left on disk.

    Args:
        spool: Opened by the calling thread, which closes it.
        owned: How the names of the writers begin.
        started_us: The arrival clock at the start of this process.

    Reads every spooled candle once, a page at a time: 1 s for 200,000 (2 shared cores).

    Raises:
        actors.spool.store.SpoolError: It cannot be read right now.
    """
    changes: dict[Mint, list[Item]] = {}
    for entry in spool.of_kinds(owned, _KINDS):
        try:
            item = decode(entry)
        except UnreadableEntryError:
            # The writer reports it when it comes to it.
            continue
        changes.setdefault(Mint(entry.key), []).append(item)
    ended = tuple(
        mint for mint, items in changes.items() if isinstance(items[-1], StreamEnded) for _ in items
    )
    return _with_candles(SpoolRecovery(ended=ended), spool, owned, started_us)


def _with_candles(found: SpoolRecovery, spool: Spool, owned: str, started_us: int) -> SpoolRecovery:
    """Add what spooled candles say; a dead letter sent again may stand behind later ones."""
    rows_end_us: dict[Mint, int] = {}
    rows_seq: dict[Mint, int] = {}
    ahead: set[tuple[Mint, int]] = set()
    for entry in spool.each_of_kind(owned, CandleClosed.__name__):
        try:
            candle = msgspec.msgpack.decode(entry.payload, type=_Closed).candle
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        mint = Mint(entry.key)
        rows_seq[mint] = max(candle.last_seq, rows_seq.get(mint, 0))
        if candle.timestamp_us > started_us:
            ahead.add((mint, candle.timestamp_us))
        else:
            rows_end_us[mint] = max(candle.timestamp_us, rows_end_us.get(mint, 0))
    return msgspec.structs.replace(
        found,
        rows_end_us=rows_end_us,
        rows_seq=rows_seq,
        last_seq=max(rows_seq.values(), default=0),
        ahead=frozenset(ahead),
    )


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
        actors.spool.store.SpoolError: Nothing has moved.
    """

    def owner_of(key: str) -> str:
        return writer_of(Mint(key), writers) if key else writer_name(0)

    return spool.reassign("postgres-writer:", owner_of)
