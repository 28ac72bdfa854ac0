"""One mintwatch per database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from db.instance import Holding, InstanceLock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def locks(dsn: str) -> Iterator[tuple[InstanceLock, InstanceLock]]:
    found = InstanceLock(dsn), InstanceLock(dsn)
    yield found
    for lock in found:
        lock.release()


def test_the_second_one_is_told_who_holds_it(locks: tuple[InstanceLock, InstanceLock]) -> None:
    first, second = locks
    assert first.keep() is Holding.OURS
    assert first.keep() is Holding.OURS
    assert second.keep() is Holding.THEIRS
    assert second.holder.startswith("from this machine since 20")


def test_a_released_lock_is_free_for_the_next(locks: tuple[InstanceLock, InstanceLock]) -> None:
    first, second = locks
    first.keep()
    first.release()
    assert second.keep() is Holding.OURS


def test_a_lost_session_is_replaced(dsn: str, locks: tuple[InstanceLock, InstanceLock]) -> None:
    first, second = locks
    first.keep()
    with psycopg2.connect(dsn) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'mintwatch instance' AND datname = current_database()"
        )
    other.close()
    assert first.keep() is Holding.UNKNOWN
    assert first.keep() is Holding.OURS
    assert second.keep() is Holding.THEIRS


def test_a_database_that_does_not_answer_is_neither_ours_nor_theirs() -> None:
    lock = InstanceLock("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")
    assert lock.keep() is Holding.UNKNOWN
