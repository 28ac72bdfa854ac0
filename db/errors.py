"""What can go wrong with the database, and what to do about a statement that failed.

DatabaseError
    DatabaseUnavailableError      no server can be reached or started
    DsnError                 the connection string cannot be used
    MigrationError           the tables cannot be brought to what mintwatch needs
        RightsMissingError   the role may not do what the service does
    PhaseRefusedError             a change to a phase that its rules do not allow
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import psycopg

from settings.masking import cut

_TEXT_LIMIT: Final = 300


def one_line(error: BaseException) -> str:
    """Give an error's text as one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return cut(text, _TEXT_LIMIT)


class DatabaseError(Exception):
    """Base of every error this package raises itself; its text is one sentence for the operator."""


class DatabaseUnavailableError(DatabaseError):
    """No PostgreSQL server can be reached or started."""


class DsnError(DatabaseError, ValueError):
    """The connection string cannot be used; the text never holds any part of it."""


class DatabaseInUseError(DatabaseError):
    """Another instance of mintwatch writes to this database."""


class MigrationError(DatabaseError):
    """The tables cannot be brought to what mintwatch needs; the database is as it was before."""


class RightsMissingError(MigrationError):
    """The role may not do what the service does; the text has the statements that grant it."""


class PhaseRefusedError(DatabaseError):
    """A phase cannot be changed that way."""


class Verdict(StrEnum):
    """What a writer does with a batch after an error."""

    RETRY = "retry"
    """Nothing is wrong with the rows: keep them and try again later."""
    SPLIT = "split"
    """One of the rows is refused: halve the batch until it stands alone."""
    DEAD = "dead"
    """This single row is refused, now and later."""


REFUSED_CLASSES: Final = frozenset({"21", "22", "23", "44", "54", "P0"})
"""SQLSTATE classes that blame a row: cardinality, data, constraint, check option, size limits, a
trigger's RAISE."""

LOCAL_REFUSALS: Final = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What encoding one row can raise on this side of the connection (UnicodeError is a ValueError)."""


def classify(error: BaseException, *, single: bool = False) -> Verdict:
    """Decide what to do with the rows whose writing raised `error`.

    Only data and constraint errors blame a row. Everything else (connection, shutdown, locks,
    deadlock, serialization, timeout, disk or memory full, too many connections, read-only, missing
    rights, table or column, an internal error) says nothing about the rows, so they are kept: a
    wrong guess in that direction costs time, a wrong guess in the other loses rows.

    Args:
        error: What the driver, the pool or the encoding of a row raised.
        single: The batch held one row only, so that SPLIT means DEAD.
    """
    if not _blames_a_row(error):
        return Verdict.RETRY
    return Verdict.DEAD if single else Verdict.SPLIT


def _blames_a_row(error: BaseException) -> bool:
    if not isinstance(error, psycopg.Error):
        return isinstance(error, LOCAL_REFUSALS)
    if error.sqlstate is None:
        # The driver itself refused a value, for instance a NUL in a text.
        return isinstance(error, psycopg.DataError | psycopg.NotSupportedError)
    return error.sqlstate[:2] in REFUSED_CLASSES
