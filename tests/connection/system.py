"""The real connection on real threads, with probes for everybody it talks to."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from actors.connection import (
    ConnectionActor,
    ConnectionState,
    FeedReport,
    GetFeed,
    StartReading,
)
from actors.connection.pipeline import NoJournal
from actors.domain import FeedState, Mint
from actors.protocol.supervisor import CONNECTION, DISCOVERY, SUPERVISOR, tracker_name, writer_name
from actors.runtime import ArrivalClock, ChildSpec, Context, System
from actors.runtime.simulation import Probe
from settings import Settings
from telemetry import Telemetry
from tests.connection.feed_server import LIMIT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


class KeptJournal(NoJournal):
    """Keeps records in memory."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, records: Any) -> None:
        self.records.extend(records)


class KeptHistory:
    """Reads what a `KeptJournal` has kept so far."""

    def __init__(self, journal: KeptJournal) -> None:
        self._journal = journal

    def records(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Any]:
        for record in tuple(self._journal.records):
            if record.at_us >= since_us and (before_seq is None or record.seq < before_seq):
                yield record

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Any]:
        for record in self.records(since_us=since_us, before_seq=before_seq, mint=mint):
            yield None
            yield record


class Running:
    """A started system and what its probes were told."""

    def __init__(self, system: System, state: ConnectionState, logs: list[Any]) -> None:
        self.system = system
        self.state = state
        self.logs = logs
        self.journal = KeptJournal()
        self.told: dict[str, list[Any]] = {}

    def probe(self, name: str, capacity: int = 65_536) -> list[Any]:
        """Stand in for an actor; gives the list of what it is told, events singly."""
        messages = self.told[name] = []
        self.system.start_child(
            ChildSpec(
                name,
                name.partition(":")[0],
                Probe,
                lambda context: Probe(context, messages, None),
                capacity=capacity,
            )
        )
        return messages

    def tracker(self, mint: str) -> list[Any]:
        """Stand in for the tracker of a mint."""
        return self.probe(tracker_name(Mint(mint)))

    def tell(self, *messages: Any) -> None:
        """Tell the connection."""
        for message in messages:
            assert self.system.tell(CONNECTION, message)

    def wait_for(self, name: str, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait until a probe was told this many messages of a kind."""

        def found() -> list[Any]:
            messages = [message for message in self.told[name] if isinstance(message, kind)]
            return messages if len(messages) >= count else []

        messages: list[Any] = wait_until(found, LIMIT_S, f"{count} {kind.__name__} for {name}")
        return messages

    def report(self) -> FeedReport:
        """What the connection published last."""
        report = self.system.status_of(CONNECTION)
        assert report is None or isinstance(report, FeedReport)
        return report or wait_until(lambda: self.system.status_of(CONNECTION))

    def wait_for_state(self, state: FeedState) -> FeedReport:
        """Wait until the feed's state is this."""

        def found() -> FeedReport | None:
            report = self.report()
            return report if report.state is state else None

        report: FeedReport = wait_until(found, LIMIT_S, f"feed state {state}")
        return report

    def ask_feed(self) -> FeedReport:
        """Ask the connection for its report."""
        report = self.system.ask(CONNECTION, GetFeed(), LIMIT_S)
        assert isinstance(report, FeedReport)
        return report

    def wait_for_log(self, event: str) -> dict[str, Any]:
        """Wait until something was logged."""
        found: dict[str, Any] = wait_until(
            lambda: next((log for log in self.logs if log["event"] == event), None), LIMIT_S, event
        )
        return found


@contextmanager
def running(
    uri: str, *, starts: bool = True, tls: ssl.SSLContext | None = None, **settings: Any
) -> Iterator[Running]:
    """Start a connection that reads `uri`; delays are short unless told otherwise."""
    values: dict[str, Any] = {
        "ws_uri": uri,
        "ws_retry_delay": 0.05,
        "ws_max_retry_delay": 0.05,
        "ws_ping_interval": 0.0,
        "subscribe_batch_interval": 0.02,
    }
    chosen = Settings(**values | settings)
    clock = ArrivalClock()
    with structlog.testing.capture_logs() as logs:
        system = System(settings=chosen, telemetry=Telemetry(), clock=clock, threads=1)
        run = Running(system, ConnectionState(chosen), logs)
        make_tls = (lambda: tls) if tls is not None else ssl.create_default_context

        def make(context: Context) -> ConnectionActor:
            return ConnectionActor(
                context,
                run.state,
                run.journal,
                KeptHistory(run.journal),
                make_tls_context=make_tls,
            )

        system.open()
        for name in (SUPERVISOR, DISCOVERY, writer_name(0)):
            run.probe(name)
        system.start_child(ChildSpec(CONNECTION, "connection", ConnectionActor, make))
        if starts:
            run.tell(StartReading())
        try:
            yield run
        finally:
            assert system.close(LIMIT_S) == []
