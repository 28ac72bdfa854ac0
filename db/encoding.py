"""Texts and the encoding of a database: what does not fit becomes `?`, nothing is refused for it.

Every connection of ours speaks UTF-8 with the server, which converts. Only a database in SQL_ASCII
converts nothing: bytes of others may be no UTF-8 there, so they are read with a placeholder for
what cannot be decoded, and we write ASCII.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from psycopg.adapt import Buffer, Loader
from psycopg.pq import Format

from db.values import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

_CODECS: Final = {
    **{f"LATIN{part}": f"iso8859-{part}" for part in (1, 2, 3, 4)},
    **{f"ISO_8859_{part}": f"iso8859-{part}" for part in (5, 6, 7, 8)},
    **{f"WIN{page}": f"cp{page}" for page in (866, 874, *range(1250, 1259))},
    "LATIN5": "iso8859-9",
    "LATIN6": "iso8859-10",
    "LATIN7": "iso8859-13",
    "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15",
    "LATIN10": "iso8859-16",
    "KOI8R": "koi8-r",
    "KOI8U": "koi8-u",
    "EUC_CN": "gb2312",
    "EUC_JP": "euc_jp",
    "EUC_KR": "euc_kr",
}
"""Python's codecs for encodings of a server, each compared with the server's own table.

In any other encoding we write ASCII.
"""
_DISPUTED: Final = frozenset("\xa2\xa3\xa5\xac\u2016\u203e\u2212\u301c")
"""Python has these in EUC_JP, PostgreSQL has not."""
_LONGEST: Final = 3
"""In bytes: Python writes rare Korean syllables in eight, which PostgreSQL does not read."""


def fitting(conn: psycopg.Connection[Any]) -> Callable[[str, int], str]:
    """Give a `db.values.clean` that also replaces what the database's encoding does not have."""
    encoding = conn.info.parameter_status("server_encoding")
    if encoding in {None, "UTF8"}:
        return clean

    def fit(text: str, limit: int) -> str:
        cut = clean(text, limit)
        # Nearly every text is ASCII, which every encoding of a server has.
        if cut.isascii():
            return cut
        codec = _CODECS.get(encoding or "", "ascii")
        return "".join(c if c.isascii() or _has(codec, c) else "?" for c in cut)

    return fit


def prepare_session(conn: psycopg.Connection[Any], *, for_transaction: bool = False) -> None:
    """Let a session on a SQL_ASCII database read every text; others need nothing. Blocks briefly.

    LATIN1 is for the protocol alone: every byte is a character of it, so the server and the driver
    accept all of them, in notifications as well.

    Args:
        conn: The session.
        for_transaction: It has a transaction, and keeps the encoding until the end of that alone.
    """
    if conn.info.parameter_status("server_encoding") != "SQL_ASCII":
        return
    if for_transaction:
        conn.execute("SET LOCAL client_encoding TO 'LATIN1'")
    else:
        conn.execute("SET client_encoding TO 'LATIN1'")
        if not conn.autocommit:
            conn.commit()
    for name in ("text", "varchar", "bpchar", "name"):
        conn.adapters.register_loader(name, _AnyText)
        conn.adapters.register_loader(name, _AnyBinaryText)


class _AnyText(Loader):
    """Read bytes as UTF-8 as far as they are that."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


class _AnyBinaryText(_AnyText):
    format = Format.BINARY


def _has(codec: str, character: str) -> bool:
    try:
        encoded = character.encode(codec)
    except UnicodeEncodeError:
        return False
    return len(encoded) <= _LONGEST and (codec != "euc_jp" or character not in _DISPUTED)
