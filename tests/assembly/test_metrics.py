"""What a scrape shows of the runtime, the books and what lies on disk."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from actors.assembly.metrics import show_journal, show_runtime
from actors.domain import Place
from actors.protocol.postgres_writer import WriterStatus
from actors.protocol.supervisor import writer_name
from actors.runtime import Actor, Message
from actors.runtime.simulation import SeededSystem


class Held(Actor):
    """Leaves what it is told in its mailbox."""

    def on_start(self) -> None:
        self.context.hold()


class Note(Message, frozen=True):
    """Something to wait."""


class Figures(NamedTuple):
    bytes: int
    oldest_us: int | None
    state: str = "full"


@pytest.fixture
def system() -> SeededSystem:
    return SeededSystem()


def shown(system: SeededSystem, name: str, **labels: str) -> float:
    return system.telemetry.value(name, **labels)


def spooling(rows: int, spool_bytes: int, oldest_us: int | None) -> WriterStatus:
    return WriterStatus(
        database="away",
        last_error=None,
        rows_waiting=0,
        rows_spooled=rows,
        rows_committed=0,
        oldest_waiting_us=None,
        spool_bytes=spool_bytes,
        spool_oldest_us=oldest_us,
    )


def test_actors_are_counted_by_kind_and_state(system: SeededSystem) -> None:
    for name in ("tracker:A", "tracker:B", "discovery"):
        system.probe(name)
    show_runtime(system, 0)
    assert shown(system, "mintwatch_actors", kind="tracker", state="running") == 2
    assert shown(system, "mintwatch_actors", kind="discovery", state="running") == 1
    assert shown(system, "mintwatch_actors", kind="tracker", state="quarantined") == 0


def test_a_kind_that_has_ended_is_shown_as_none(system: SeededSystem) -> None:
    system.probe("tracker:A")
    show_runtime(system, 0)
    system.stop("tracker:A")
    show_runtime(system, 0)
    assert shown(system, "mintwatch_actors", kind="tracker", state="running") == 0


def test_mailboxes_of_a_kind_add_up_and_the_oldest_message_counts(system: SeededSystem) -> None:
    for name in ("tracker:A", "tracker:B"):
        system.start(name, Held)
    system.tell("tracker:A", Note())
    system.advance(2.5)
    system.tell("tracker:B", Note())
    system.tell("tracker:B", Note())
    system.advance(1.0)
    show_runtime(system, 0)
    assert shown(system, "mintwatch_mailbox_depth", kind="tracker") == 3
    assert shown(system, "mintwatch_mailbox_oldest_age_seconds", kind="tracker") == 3.5
    assert shown(system, "mintwatch_mailbox_depth", kind="discovery") == 0


@pytest.mark.parametrize(("moved", "balanced"), [(3, 1), (6, 0)])
def test_the_books_are_shown_by_place(system: SeededSystem, moved: int, balanced: int) -> None:
    system.ledger.receive(Place.QUEUED, 5)
    system.ledger.move(Place.QUEUED, Place.OPEN, moved)
    show_runtime(system, 0)
    assert shown(system, "mintwatch_ledger", place="open") == moved
    assert shown(system, "mintwatch_ledger_received") == 5
    assert shown(system, "mintwatch_ledger_balanced") == balanced
    assert shown(system, "unified_buffer_size") == moved


def test_the_uptime_counts_from_the_start(system: SeededSystem) -> None:
    started_us = system.manual_clock.now_us()
    system.advance(90)
    show_runtime(system, started_us)
    assert shown(system, "unified_uptime_seconds") == 90


def test_rows_of_all_writers_lie_in_one_spool_file(system: SeededSystem) -> None:
    now_us = system.manual_clock.now_us()
    statuses = (
        spooling(2, 4_096, now_us - 1_000_000),
        spooling(5, 8_192, now_us - 4_000_000),
        spooling(0, 8_192, None),
    )
    for index, status in enumerate(statuses):
        system.probe(writer_name(index))
        system._cells[writer_name(index)].status = status
    show_runtime(system, 0)
    assert shown(system, "mintwatch_spool_rows") == 7
    assert shown(system, "mintwatch_spool_bytes") == 8_192
    assert shown(system, "mintwatch_spool_oldest_age_seconds") == 4


@pytest.mark.parametrize(("age_us", "seconds"), [(None, 0), (7_000_000, 7)])
def test_the_journal_is_shown_by_size_and_age(
    system: SeededSystem, age_us: int | None, seconds: float
) -> None:
    oldest_us = None if age_us is None else system.manual_clock.now_us() - age_us
    show_journal(system, Figures(12_345, oldest_us))
    assert shown(system, "mintwatch_journal_bytes") == 12_345
    assert shown(system, "mintwatch_journal_oldest_age_seconds") == seconds
    assert shown(system, "mintwatch_journal_limit_bytes") == 5120 << 20
    assert shown(system, "mintwatch_journal_state", state="full") == 1
    assert shown(system, "mintwatch_journal_state", state="ok") == 0
