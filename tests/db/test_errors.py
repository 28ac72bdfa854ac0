"""What a failed statement says about its rows."""

import psycopg
import pytest
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from db.errors import Verdict, classify

RETRIED = [
    *("08000", "08003", "08006", "08001", "08P01"),  # connection
    *("57P01", "57P02", "57P03", "57P05", "57014"),  # shutdown, starting up, idle, cancelled
    *("55P03", "40P01", "40001"),  # lock not available, deadlock, serialization
    *("53100", "53200", "53300", "53400"),  # disk full, out of memory, too many connections
    *("25006", "25P02", "25P03"),  # read-only, failed transaction, idle in transaction
    *("28P01", "28000", "3D000", "42501"),  # password, role, database, privilege
    *("42P01", "42703", "42P10"),  # table, column, conflict target missing
    *("58030", "XX000", "XX001", "0A000"),  # I/O, internal, corrupted, not supported
]
REFUSED = [
    *("22001", "22003", "22021", "22P02", "22P05", "22007"),  # too long, range, encoding, text
    *("23502", "23503", "23505", "23514", "23P01"),  # constraints
    *("21000", "44000", "54000", "P0001"),  # cardinality, check option, index row size, RAISE
]


@pytest.mark.parametrize("sqlstate", RETRIED)
def test_errors_that_say_nothing_about_the_rows_are_retried(sqlstate: str) -> None:
    error = psycopg.errors.lookup(sqlstate)("from the server")

    assert classify(error) is Verdict.RETRY
    assert classify(error, single=True) is Verdict.RETRY


@pytest.mark.parametrize("sqlstate", REFUSED)
def test_errors_that_blame_a_row_split_the_batch_and_end_with_the_row_alone(sqlstate: str) -> None:
    error = psycopg.errors.lookup(sqlstate)("from the server")

    assert classify(error) is Verdict.SPLIT
    assert classify(error, single=True) is Verdict.DEAD


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.InterfaceError("the connection is closed"),
        PoolTimeout("couldn't get a connection after 5.00 sec"),
        PoolClosed("the pool is closed"),
        TooManyRequests("too many"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        MemoryError(),
    ],
)
def test_a_connection_that_is_gone_is_retried(error: BaseException) -> None:
    assert classify(error) is Verdict.RETRY


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        ValueError("expected a finite number, found nan"),
        OverflowError("int too big to convert"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        TypeError("unsupported"),
    ],
)
def test_a_value_that_this_side_cannot_encode_splits_the_batch(error: BaseException) -> None:
    assert classify(error) is Verdict.SPLIT
