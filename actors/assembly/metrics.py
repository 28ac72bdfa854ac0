"""Bring the runtime's own figures into the metrics: at scrape time, and where letters die."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from actors.domain import Drop, Place
from actors.protocol.n8n_writer import N8nStatus
from actors.protocol.postgres_writer import WriterStatus
from actors.protocol.supervisor import N8N_WRITER
from actors.protocol.trade_count import trades_in
from telemetry import ACTOR_KINDS, ACTOR_STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.assembly.children import Tree
    from actors.journal.writer import JournalWriter
    from actors.runtime import ActorReport, DeadLetter, System
    from actors.supervisor.letter_file import DeadLetterFile


def follow(system: System, tree: Tree, journal: JournalWriter | None) -> None:
    """Have each scrape read system, tree and journal."""
    telemetry = system.telemetry
    telemetry.on_scrape(lambda: show_runtime(system, tree.state.started_us))
    telemetry.on_scrape(lambda: telemetry.ath_cache_size.set(tree.tracker_factory.aths))
    telemetry.follow_share(
        telemetry.dispatcher_busy_share,
        lambda: system.dispatcher.busy_s,
        lambda: system.dispatcher.size,
    )
    telemetry.follow(telemetry.dossiers_skipped, lambda: system.dossiers.skipped)
    if journal is None:
        telemetry.show_journal_state("off")
    else:
        telemetry.on_scrape(lambda: show_journal(system, journal.stats()))
        lost = telemetry.dropped.labels(reason=Drop.JOURNAL_LOST.value)
        for counter in (telemetry.journal_lost, lost):
            telemetry.follow(counter, lambda: journal.stats().lost_records)


def dead_letter_accountant(system: System, letters: DeadLetterFile) -> Callable[[DeadLetter], None]:
    """Make what writes a dead letter down: in its file, the metrics and the ledger."""

    def enter(letter: DeadLetter) -> None:
        letters.write(letter)
        kind = letter.actor.partition(":")[0]
        system.telemetry.dead_letters.labels(kind=kind).inc()
        system.telemetry.dropped.labels(reason=Drop.DEAD_LETTER.value).inc()
        if letter.reason != "refused":
            # An actor that gives a message up by itself has entered it by itself.
            system.ledger.move(Place.QUEUED, Place.DEAD, trades_in(letter.message))

    return enter


def show_runtime(system: System, started_us: int) -> None:
    """Set the gauges of actors, mailboxes and books. Takes about a microsecond per actor."""
    reports = system.reports()
    _show_actors(system, reports)
    _show_books(system)
    _show_spool(system)
    system.telemetry.uptime_seconds.set((system.clock.now_us() - started_us) / 1e6)
    system.telemetry.dispatcher_threads.set(system.dispatcher.size)
    system.telemetry.workers_lost.set(system.dispatcher.lost)
    system.telemetry.taps.set(system.listeners.taps)
    system.telemetry.spool_limit_bytes.set(system.settings.spool_max_mb << 20)
    _show_backlog(system)


class JournalFigures(Protocol):
    """What the metrics say of the journal."""

    @property
    def state(self) -> str:
        """How it is: "ok", "full", "failed" or "closed"."""

    @property
    def bytes(self) -> int:
        """Size on disk."""

    @property
    def oldest_us(self) -> int | None:
        """Arrival of the oldest record."""


def show_journal(system: System, figures: JournalFigures) -> None:
    """Set the gauges of the journal."""
    telemetry = system.telemetry
    telemetry.show_journal_state(figures.state)
    telemetry.journal_limit_bytes.set(system.settings.journal_max_mb << 20)
    telemetry.journal_bytes.set(figures.bytes)
    oldest_us = figures.oldest_us
    age_us = 0 if oldest_us is None else system.clock.now_us() - oldest_us
    telemetry.journal_oldest_age_seconds.set(age_us / 1e6)


def _show_backlog(system: System) -> None:
    status = system.status_of(N8N_WRITER)
    oldest_us = status.oldest_us if isinstance(status, N8nStatus) else None
    age_us = 0 if oldest_us is None else system.clock.now_us() - oldest_us
    system.telemetry.n8n_oldest_age_seconds.set(age_us / 1e6)


def _show_actors(system: System, reports: tuple[ActorReport, ...]) -> None:
    telemetry = system.telemetry
    states = Counter((report.kind, report.state) for report in reports)
    for kind in ACTOR_KINDS:
        for state in ACTOR_STATES:
            telemetry.actors.labels(kind=kind, state=state).set(states[kind, state])
        own = [report for report in reports if report.kind == kind]
        telemetry.mailbox_depth.labels(kind=kind).set(sum(report.mailbox_depth for report in own))
        oldest = max((report.oldest_age_seconds or 0.0 for report in own), default=0.0)
        telemetry.mailbox_oldest_age_seconds.labels(kind=kind).set(oldest)


def _show_spool(system: System) -> None:
    telemetry = system.telemetry
    statuses = [system.status_of(name) for name in system.names()]
    writers = [status for status in statuses if isinstance(status, WriterStatus)]
    telemetry.spool_rows.set(sum(writer.rows_spooled for writer in writers))
    telemetry.spool_bytes.set(max((writer.spool_bytes for writer in writers), default=0))
    oldest_us = min((w.spool_oldest_us for w in writers if w.spool_oldest_us), default=None)
    age_us = 0 if oldest_us is None else system.clock.now_us() - oldest_us
    telemetry.spool_oldest_age_seconds.set(age_us / 1e6)


def _show_books(system: System) -> None:
    received, places = system.ledger.read()
    for place, trades in places.items():
        system.telemetry.ledger.labels(place=place).set(trades)
    system.telemetry.buffer_size.set(places[Place.OPEN.value])
    system.telemetry.ledger_received.set(received)
    system.telemetry.ledger_balanced.set(system.ledger.balanced)
