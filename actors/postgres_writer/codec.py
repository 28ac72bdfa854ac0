"""A writer's items as entries of the spool: msgpack, and the message's name beside it. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.postgres_writer.batch import Item, mint_of, trades_of
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    GapRecorded,
    StoreCoin,
    StoreTrade,
    StreamEnded,
    StreamPhaseChanged,
    StreamStarted,
)
from actors.spool.entries import Entry, StoredEntry

_KINDS: Final[dict[str, type[Item]]] = {
    kind.__name__: kind
    for kind in (
        CandleClosed,
        AthReached,
        StreamStarted,
        StreamPhaseChanged,
        StreamEnded,
        GapRecorded,
        StoreTrade,
        StoreCoin,
    )
}


CHANGE_KINDS: Final = frozenset(
    kind.__name__ for kind in (StreamStarted, StreamPhaseChanged, StreamEnded)
)
"""Kinds of entries that are stream changes."""


class UnreadableEntryError(Exception):
    """An entry of the spool is not an item that this program knows."""


def encode(item: Item) -> Entry:
    """Write an item as an entry of the spool, under its mint.

    Raises:
        ValueError: It holds a text with lone surrogates, which nothing can store.
    """
    return Entry(
        kind=type(item).__name__,
        payload=msgspec.msgpack.encode(item),
        key=mint_of(item) or "",
        weight=trades_of(item),
    )


def decode(entry: StoredEntry) -> Item:
    """Read an item back.

    Raises:
        UnreadableEntryError: The kind is unknown, or the bytes are not of that kind.
    """
    kind = _KINDS.get(entry.kind)
    if kind is None:
        raise UnreadableEntryError(f"spool entry {entry.id} is of the unknown kind {entry.kind!r}")
    try:
        return msgspec.msgpack.decode(entry.payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableEntryError(f"spool entry {entry.id} cannot be read: {error}") from error
