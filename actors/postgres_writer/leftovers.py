"""What the spool of an earlier process says about mints, before any of it is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

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


def read_leftovers(spool: Spool, owned: str) -> Leftovers:
    """Read what writers whose names begin with `owned` have left on disk.

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
    return Leftovers(rows_end_us, ended)
