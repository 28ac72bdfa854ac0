"""Recovery: a journal of an earlier process, told by a list, goes through the real actors again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from actors.connection import ConnectionActor, ConnectionState
from actors.connection.decoder import decode
from actors.connection.partition import RawFrame, sort_slice
from actors.connection.pipeline import NoJournal
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import US_PER_SECOND, Candle, Coin, Drop, Migration, Mint, Trade
from actors.journal.checkpoint import MEMORY_US, needed_from
from actors.journal.records import FactRecord, FrameRecord
from actors.n8n_writer.actor import N8nWriterActor
from actors.n8n_writer.retry_policy import Failure
from actors.n8n_writer.state import N8nState
from actors.n8n_writer.store import SpooledBatches
from actors.operator.operations import OperatorCommands
from actors.protocol.connection import (
    ReleaseJournal,
    RouteMint,
    StartReading,
    StopReading,
)
from actors.protocol.discovery import CoinsRemembered, RouteClosed
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import CandleClosed, StreamStarted
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    Drain,
    PhasesLoaded,
    StreamsLoaded,
    TrackMint,
    writer_name,
)
from actors.protocol.tracker import CoverageChanged, TradesRemembered
from actors.runtime.simulation import SeededSystem
from actors.spool.store import Spool
from actors.supervisor import SupervisorActor, SupervisorState
from actors.supervisor.admission import Admission
from actors.supervisor.shutdown_plan import DrainPlan
from settings import Secret, Settings
from tests.supervisor.dependencies import dependencies
from tests.supervisor.scripted import (
    PHASES,
    T0_US,
    RealTrackers,
    StandInWriter,
    create,
    trade,
)
from tests.support.drops import dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from actors.journal.records import Record
    from actors.runtime import Actor, Context

A, B = Mint("A"), Mint("B")
TRACKER_A = "tracker:A"
SEEDS = range(20)
SOL = 1_000_000_000


def s(seconds: float) -> int:
    """Give an instant: seconds after the start of a window."""
    return T0_US + round(seconds * US_PER_SECOND)


class ListedJournal(NoJournal):
    """Journal and history in one list; remembers from when on it was read."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.all: list[Record] = list(records)
        self.read_since: list[int] = []
        self.released_before: list[int] = []
        self.state_now = "ok"

    @property
    def state(self) -> str:
        return self.state_now

    def release_before(self, us: int) -> None:
        self.released_before.append(us)

    def append(self, records: Any) -> None:
        self.all.extend(records)

    def records(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record]:
        assert mint is None, "the recovery reads of all mints"
        self.read_since.append(since_us)
        for record in self.all:
            if before_seq is not None and record.seq >= before_seq:
                return
            if record.at_us >= since_us:
                yield record

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record | None]:
        raise AssertionError("nothing is parked here")

    @property
    def last_seq(self) -> int:
        return max((record.seq for record in self.all), default=0)

    @property
    def last_us(self) -> int:
        return max((record.at_us for record in self.all), default=0)


def journal(*entries: RawFrame | FactRecord) -> ListedJournal:
    """Number frames from 1 on; a fact bears the number of the frame before it."""
    records: list[Record] = []
    seq = 0
    for entry in entries:
        if isinstance(entry, FactRecord):
            records.append(FactRecord(seq, entry.at_us, entry.name, entry.mint, entry.details))
        else:
            seq += 1
            records.append(FrameRecord(seq, entry.at_us, entry.frame))
    return ListedJournal(records)


def released(at_us: int, before_us: int) -> FactRecord:
    return FactRecord(0, at_us, "released", None, {"before_us": before_us})


def started(at_us: int, mint: Mint, rows_end_us: int | None = None) -> FactRecord:
    details = {} if rows_end_us is None else {"rows_end_us": rows_end_us}
    return FactRecord(0, at_us, "tracker_started", mint, {**details})


def stopped(at_us: int, mint: Mint, *, ended: bool = False) -> FactRecord:
    return FactRecord(0, at_us, "tracker_stopped", mint, {"ended": ended})


class Silence:
    """A reader of a feed that says nothing by itself."""

    def start(self) -> None:
        pass

    resume = turn = stop = release = start

    def cover(self, mint: Mint) -> None:
        pass


class SteppedConnection(ConnectionActor):
    """The connection without a socket: `poll` makes one step of the recovery, `hear` a live slice.

    `fails` are the numbers of polls that fail, over all instances.
    """

    polls_so_far: list[int]
    fails: tuple[int, ...] = ()

    def _make_reader(self) -> Any:
        return Silence()

    def _recover(self) -> None:
        self.polls_so_far.append(1)
        if len(self.polls_so_far) in self.fails:
            raise RuntimeError("as told")
        if self._state.is_recovering and not self._state.has_stopped:
            self._recovery.step()

    def hear(self, frames: Iterable[RawFrame]) -> None:
        stamped = [RawFrame(self._pipeline.stamp_as(each.at_us), each.frame) for each in frames]
        batch = self._pipeline.partition(stamped)
        self._pipeline.journal(batch)
        self._pipeline.route(batch)
        self._pipeline.advance(stamped[-1].at_us + 1)


class Line:
    """A connection that recovers; everybody it talks to is whoever the test starts."""

    def __init__(
        self, records: ListedJournal, *, seed: int = 0, fails: tuple[int, ...] = (), **settings: Any
    ) -> None:
        self.journal = records
        self.system = SeededSystem(seed=seed, settings=Settings(**settings), now_us=s(3600))
        self.state = ConnectionState(
            self.system.settings,
            next_seq=records.last_seq + 1,
            last_frame_us=records.last_us or None,
            recovers=True,
        )
        self._fails = fails
        self._polls: list[int] = []
        self._actor: SteppedConnection | None = None

    def connect(self) -> None:
        self.system.start(CONNECTION, self._make)

    def _make(self, context: Context) -> Actor:
        self._actor = SteppedConnection(context, self.state, self.journal, self.journal)
        self._actor.polls_so_far, self._actor.fails = self._polls, self._fails
        return self._actor

    def step(self, steps: int = 1) -> None:
        """Recover by so many steps; an instance that fails is followed by another."""
        for _ in range(steps):
            self.system.poll(CONNECTION)
            self.system.advance(5.0)

    def recover(self) -> None:
        """Recover until the end."""
        for _ in range(500):
            if not self.state.is_recovering:
                return
            self.step()
        raise AssertionError("the recovery does not end")

    def hear(self, *frames: RawFrame) -> None:
        assert self._actor is not None
        self._actor.hear(frames)
        self.system.run()

    def places(self) -> dict[str, int]:
        assert self.system.ledger.balanced
        return {place: trades for place, trades in self.system.ledger.read()[1].items() if trades}

    @property
    def feed_us(self) -> int:
        return self.system.wheel.feed_us


class Probed(Line):
    """Probes for everybody, and for the trackers of A and B."""

    def __init__(self, records: ListedJournal, **options: Any) -> None:
        super().__init__(records, **options)
        names = (SUPERVISOR, DISCOVERY, writer_name(0), TRACKER_A, "tracker:B")
        self.told = {name: self.system.probe(name) for name in names}
        self.connect()

    def begin(self, *routes: RouteMint) -> None:
        for route in routes:
            self.system.tell(CONNECTION, route)
        self.system.tell(CONNECTION, StartReading())
        self.system.run()

    def release(self, before_us: int) -> None:
        self.system.tell(CONNECTION, ReleaseJournal(before_us))
        self.system.run()

    def released(self) -> list[Any]:
        """Give what was noted as released."""
        facts = [each for each in self.journal.all if isinstance(each, FactRecord)]
        return [fact.details["before_us"] for fact in facts if fact.name == "released"]

    def trades(self, name: str = TRACKER_A) -> list[int]:
        """Give the seconds at which the trades arrived that a probe was told."""
        return [(each.arrived_us - T0_US) // US_PER_SECOND for each in self.told[name].of(Trade)]


class House(Line):
    """The real supervisor, discovery and trackers about it; writers keep what they are told."""

    def __init__(
        self,
        records: ListedJournal,
        *streams: TrackMint,
        n8n: Callable[[Context], Actor] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(records, activation="trades", activation_min_trades=2, **options)
        self.written: list[Any] = []
        self.discovered: list[Any] = []
        self.exit_codes: list[int] = []
        system = self.system
        state = SupervisorState(Admission(100), DrainPlan(timeout_s=20.0), T0_US)
        tracker_factory = RealTrackers(system.settings)
        system.start(
            SUPERVISOR,
            lambda context: SupervisorActor(
                context,
                state=state,
                dependencies=dependencies(system, tracker_factory, self.exit_codes.append),
                operations=OperatorCommands,
            ),
        )
        system.start(writer_name(0), lambda context: StandInWriter(context, self.written))
        system.start(N8N_WRITER, n8n or (lambda context: StandInWriter(context, self.discovered)))
        system.probe(STREAM_WATCH)
        cache = DiscoveryState(system.settings)
        system.start(DISCOVERY, lambda context: DiscoveryActor(context, cache, WriterRoutes(1)))
        self.connect()
        system.tell(SUPERVISOR, PhasesLoaded(PHASES))
        for stream in streams:
            system.tell(SUPERVISOR, stream)
        system.tell(SUPERVISOR, StreamsLoaded(len(streams)))
        system.run()

    def drain(self) -> None:
        self.system.tell(SUPERVISOR, Drain("test"))
        for _ in range(30):
            self.system.advance(1.0)
        assert self.exit_codes == [0]

    def candles(self) -> list[Candle]:
        return [each.candle for each in self.written if isinstance(each, CandleClosed)]

    def told_n8n(self) -> list[Mint]:
        return [each.coin.mint for each in self.discovered if isinstance(each, CoinDiscovered)]


def stream(mint: Mint, rows_end_us: int | None = None, rows_seq: int = 0) -> TrackMint:
    return TrackMint(mint, 1, T0_US, "stream", last_row_us=rows_end_us, rows_seq=rows_seq)


def trades_of_a(*seconds: float) -> list[RawFrame]:
    return [trade("A", s(at), round(at * 1000), SOL) for at in seconds]


# From where the journal is needed.


def found(history: ListedJournal, tail_us: int) -> tuple[int, dict[Mint, int]]:
    search = needed_from(history, tail_us)
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value.needed_us, end.value.stopped


def test_journal_without_a_note_is_needed_from_its_beginning() -> None:
    history = journal(*trades_of_a(1, 2), stopped(s(2), A))
    assert found(history, s(2)) == (0, {A: 2})


def test_last_note_says_from_where_the_journal_is_needed() -> None:
    history = journal(*trades_of_a(1), released(s(1), s(-9)), released(s(2), s(-8)))
    assert found(history, s(2)) == (s(-8), {})


def test_recent_note_is_found_without_reading_the_whole_journal() -> None:
    history = journal(
        *trades_of_a(-3600), stopped(s(-3600), B), *trades_of_a(1), released(s(1), s(-70))
    )
    assert found(history, s(1)) == (s(-70), {})
    assert history.read_since == [s(1) - MEMORY_US]


def test_note_of_something_old_makes_the_whole_journal_be_read() -> None:
    history = journal(*trades_of_a(-3000), stopped(s(-3000), B), released(s(1), s(-3600)))
    assert found(history, s(1)) == (s(-3600), {B: 1})
    assert history.read_since == [s(1) - MEMORY_US, 0]


def test_last_end_of_a_mint_counts() -> None:
    history = journal(*trades_of_a(1), stopped(s(1), A), *trades_of_a(2), stopped(s(2), A))
    assert found(history, s(2)) == (0, {A: 2})


# What is told to whom.


def test_trades_in_rows_are_remembered_and_the_others_told() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 6, 7)))
    line.begin(RouteMint(A, s(5), rows_seq=2))
    line.recover()

    remembered = line.told[TRACKER_A].of(TradesRemembered)
    assert [each.arrived_us for message in remembered for each in message.trades] == [s(1), s(2)]
    assert line.trades() == [6, 7]
    assert line.system.ledger.read()[0] == 2
    assert dropped(line.system.telemetry, Drop.REMEMBERED) == 2


def test_row_that_ends_later_says_nothing_about_trades_with_higher_numbers() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 6, 7)))
    line.begin(RouteMint(A, s(3_600), rows_seq=2))
    line.recover()

    assert line.trades() == [6, 7]


def test_a_creators_buy_that_lies_in_rows_is_remembered_and_its_create_told() -> None:
    line = Probed(journal(create("A", s(1), SOL), *trades_of_a(2)))
    line.begin(RouteMint(A, s(5), rows_seq=1))
    line.recover()

    (remembered,) = line.told[TRACKER_A].of(TradesRemembered)
    assert [(each.arrived_us, each.in_create) for each in remembered.trades] == [(s(1), True)]
    assert line.trades() == [2]
    (coin,) = line.told[DISCOVERY].of(Coin)
    assert (coin.mint, coin.buy) == (A, None)
    assert line.system.ledger.read()[0] == 1


def test_trades_from_before_the_journal_had_an_id_are_told_by_their_time() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3, 6)))
    line.state.unnumbered_seq = 2
    line.begin(RouteMint(A, s(5)))
    line.recover()

    assert line.trades() == [3, 6]


def test_trades_before_what_is_released_are_remembered_only_where_they_are_tracked() -> None:
    other = trade("B", s(1), 9, SOL)
    line = Probed(journal(*trades_of_a(1), other, *trades_of_a(200), released(s(200), s(100))))
    line.begin(RouteMint(A))
    line.recover()

    assert len(line.told[TRACKER_A].of(TradesRemembered)) == 1
    assert line.trades() == [200]
    assert line.told["tracker:B"].messages == []
    assert line.system.ledger.read()[0] == 1


def test_frames_from_before_the_memory_are_not_looked_at() -> None:
    line = Probed(journal(*trades_of_a(1), *trades_of_a(900), released(s(900), s(800))))
    line.begin(RouteMint(A))
    line.recover()

    assert line.told[TRACKER_A].of(TradesRemembered) == []
    assert line.trades() == [900]


def test_mint_whose_tracking_ended_stays_ended_and_its_create_known() -> None:
    line = Probed(journal(create("A", s(0)), *trades_of_a(1, 2), stopped(s(2), A)))
    line.begin()
    line.recover()

    (known,) = line.told[DISCOVERY].of(CoinsRemembered)
    assert [coin.mint for coin in known.coins] == ["A"]
    assert line.told[DISCOVERY].of(Trade) == line.told[DISCOVERY].of(Coin) == []
    assert line.system.ledger.read()[0] == 0


def test_mint_that_is_tracked_again_is_replayed_although_it_ended_before() -> None:
    line = Probed(journal(*trades_of_a(1), stopped(s(1), A), *trades_of_a(7)))
    line.begin(RouteMint(A, s(5), rows_seq=1))
    line.recover()

    assert line.trades() == [7]


def test_live_frames_queue_behind_the_replay_in_order() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3)))
    line.hear(*trades_of_a(10))
    line.begin(RouteMint(A))
    line.step(3)
    line.hear(*trades_of_a(11, 12))
    assert line.trades() == [1, 2]
    line.recover()
    line.hear(*trades_of_a(13))

    assert line.trades() == [1, 2, 3, 10, 11, 12, 13]
    assert [each.seq for each in line.told[TRACKER_A].of(Trade)] == [1, 2, 3, 4, 5, 6, 7]


def test_nothing_is_replayed_before_every_stream_is_known() -> None:
    line = Probed(journal(*trades_of_a(1)))
    line.hear(*trades_of_a(10))
    line.step(3)

    assert line.trades() == []
    assert line.feed_us == 0
    assert [each.seq for each in line.journal.all] == [1, 2]


def test_feed_clock_follows_the_replay_and_never_runs_ahead() -> None:
    line = Probed(journal(*trades_of_a(1, 20, 40)))
    line.hear(*trades_of_a(60))
    line.begin(RouteMint(A))
    seen = []
    while line.state.is_recovering:
        line.step()
        seen.append((len(line.trades()), (line.feed_us - T0_US) / 1e6))

    clock = dict(seen)  # the last time at which so many trades were told
    assert clock[1] == 1.000001
    assert clock[2] == 20.000001
    assert clock[3] == 40.000001
    assert clock[4] >= 60.000001


def test_slices_of_a_replay_are_as_short_as_live_ones() -> None:
    line = Probed(journal(*trades_of_a(1, 1.04, 1.06, 1.5)))
    line.begin(RouteMint(A))
    line.step()  # the search
    told = []
    while line.state.is_recovering:
        line.step()
        told.append(len(line.trades()))

    assert told[:3] == [2, 3, 4]


def test_replayed_mint_is_covered_from_its_rows_to_the_end_of_the_tail() -> None:
    line = Probed(journal(*trades_of_a(1, 6, 7)))
    line.begin(RouteMint(A, s(5)), RouteMint(B, s(5)))
    line.recover()

    told = [(each.covered, each.at_us) for each in line.told[TRACKER_A].of(CoverageChanged)]
    assert told == [(True, s(5)), (False, s(7) + 1)]
    assert line.told["tracker:B"].of(CoverageChanged) == []


def test_journal_is_not_released_until_a_replay_has_settled() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3)))
    line.begin(RouteMint(A))
    line.step(2)
    line.release(s(3))
    line.recover()
    line.release(s(3))
    assert line.released() == []

    line.system.advance(10.0)
    line.release(s(3))
    assert line.released() == [s(3)]


@pytest.mark.parametrize(("state", "kept_us"), [("ok", MEMORY_US), ("full", 0)])
def test_journal_that_is_full_keeps_nothing_for_the_memory_alone(state: str, kept_us: int) -> None:
    line = Probed(journal(*trades_of_a(1)))
    line.begin()
    line.recover()
    line.system.advance(10.0)
    line.journal.state_now = state
    line.release(s(900))

    assert line.journal.released_before == [s(900) - kept_us]


@pytest.mark.parametrize("fails", [(1,), (2,), (3,), (4,), (2, 4), (6,)])
def test_connection_that_fails_in_a_replay_goes_on_where_it_was(fails: tuple[int, ...]) -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3, 4)), fails=fails)
    line.hear(*trades_of_a(10, 11))
    line.begin(RouteMint(A))
    line.recover()

    assert line.trades() == [1, 2, 3, 4, 10, 11]


def test_slice_that_fails_half_way_is_told_again_rather_than_not_at_all() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3)))
    line.begin(RouteMint(A))
    line.step()
    send, failed = line._actor._pipeline.send, []  # type: ignore[union-attr]  # it is started

    def fail_once(result: Any) -> None:
        failed.append(result)
        raise RuntimeError("as told")

    line._actor._pipeline.send = fail_once  # type: ignore[union-attr, method-assign]  # as above
    line.step()
    line.recover()

    assert send is not fail_once
    assert len(failed) == 1
    assert line.trades() == [1, 2, 3]


def test_stop_in_the_middle_of_a_replay_closes_routes_at_its_position() -> None:
    line = Probed(journal(*trades_of_a(1, 2, 3)))
    line.hear(*trades_of_a(10))
    line.begin(RouteMint(A))
    line.step(3)
    line.system.tell(CONNECTION, StopReading())
    line.system.run()
    line.step(3)

    assert line.trades() == [1, 2]
    assert [each.at_us for each in line.told[TRACKER_A].of(RouteClosed)] == [s(2) + 1]


class Poisoned(Probed):
    """Decoding the frames of some seconds fails, each time it is tried."""

    def __init__(self, records: ListedJournal, patch: pytest.MonkeyPatch, *seconds: float) -> None:
        super().__init__(records)
        self.tried: list[int] = []

        def decode_or_fail(frame: bytes, seq: int, at_us: int) -> Any:
            if at_us in map(s, seconds):
                self.tried.append(at_us)
                raise RuntimeError("as told")
            return decode(frame, seq, at_us)

        for module in ("recovery", "partition"):
            patch.setattr(f"actors.connection.{module}.decode", decode_or_fail)

    @property
    def failures(self) -> int:
        return self.system.report(CONNECTION).restarts  # type: ignore[union-attr]  # it is there


def test_frame_that_always_fails_is_left_out_alone_and_the_replay_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = trades_of_a(1, 1.01, 1.02, 1.03, 2)
    with structlog.testing.capture_logs() as logs:
        line = Poisoned(journal(*frames), monkeypatch, 1.01)
        line.hear(*trades_of_a(10))
        line.begin(RouteMint(A))
        line.recover()

    told = [each.arrived_us for each in line.told[TRACKER_A].of(Trade)]
    assert told == [s(1), s(1.02), s(1.03), s(2), s(10)]
    (skipped,) = [log for log in logs if log["event"] == "frame_left_out"]
    assert (skipped["log_level"], skipped["seq"], skipped["at_us"]) == ("error", 2, s(1.01))
    assert line.system.ledger.balanced
    assert dropped(line.system.telemetry, Drop.FRAME_LEFT_OUT) == 1


def test_frames_that_fail_in_one_slice_cost_less_than_the_budget_of_restarts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Poisoned(journal(*trades_of_a(1, 1.01, 1.02, 1.03)), monkeypatch, 1, 1.02)
    line.begin(RouteMint(A))
    line.recover()

    assert [each.arrived_us for each in line.told[TRACKER_A].of(Trade)] == [s(1.01), s(1.03)]
    assert line.failures <= 5


def test_live_frame_that_fails_behind_the_tail_is_left_out_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Probed(journal(*trades_of_a(1)))
    line.hear(*trades_of_a(10, 10.01, 10.02))
    line.begin(RouteMint(A))

    def sort_or_fail(arrived: Any, *rest: Any) -> Any:
        if any(each.at_us == s(10.01) for each in arrived):
            raise RuntimeError("as told")
        return sort_slice(arrived, *rest)

    monkeypatch.setattr("actors.connection.recovery.sort_slice", sort_or_fail)
    line.recover()

    told = [each.arrived_us for each in line.told[TRACKER_A].of(Trade)]
    assert told == [s(1), s(10), s(10.02)]
    assert line.places() == {"queued": 3, "dead": 1}


def test_frame_left_out_once_is_left_out_by_the_next_process_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Poisoned(journal(*trades_of_a(1, 1.01, 1.02)), monkeypatch, 1.01)
    first.begin(RouteMint(A))
    first.recover()

    second = Poisoned(first.journal, monkeypatch, 1.01)
    second.begin(RouteMint(A))
    second.recover()

    assert [each.arrived_us for each in second.told[TRACKER_A].of(Trade)] == [s(1), s(1.02)]
    assert (second.tried, second.failures) == ([], 0)


def test_books_hold_each_trade_once_when_a_slice_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Probed(journal(*trades_of_a(1), trade("B", s(1.01), 9, SOL), *trades_of_a(1.02)))
    line.begin(RouteMint(A), RouteMint(B))
    line.step()
    deliver = line._actor._pipeline.shard.deliver  # type: ignore[union-attr]  # it is started
    failed: list[Mint] = []

    def fail_once_at_b(mint: Mint, events: list[Trade | Migration]) -> bool:
        if mint == B and not failed:
            failed.append(mint)
            raise RuntimeError("as told")
        return deliver(mint, events)

    monkeypatch.setattr(line._actor._pipeline.shard, "deliver", fail_once_at_b)  # type: ignore[union-attr]  # as above
    line.recover()

    # The tracker of A is told its trades twice and enters the second time as duplicates.
    assert [len(line.told[name].of(Trade)) for name in (TRACKER_A, "tracker:B")] == [4, 1]
    assert line.places() == {"queued": 5}


# The whole path.


@pytest.mark.parametrize("seed", SEEDS)
def test_open_window_of_a_tracked_mint_comes_back(seed: int) -> None:
    house = House(journal(*trades_of_a(1, 2, 6, 7)), stream(A, s(5), 2), seed=seed)
    house.hear(*trades_of_a(8, 2))
    house.recover()
    house.drain()

    (candle,) = house.candles()
    assert (candle.window_start_us, candle.num_buys, candle.volume_lamports) == (s(5), 3, 3 * SOL)
    assert house.places() == {"queued": 3, "duplicate": 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_cached_coin_comes_back_and_is_activated_once(seed: int) -> None:
    house = House(journal(create("A", s(0)), *trades_of_a(1)), seed=seed)
    house.recover()
    assert house.places() == {"cached": 1}
    house.hear(*trades_of_a(2, 3))
    house.drain()

    assert len([each for each in house.written if isinstance(each, StreamStarted)]) == 1
    assert sum(candle.num_buys for candle in house.candles()) == 3
    assert house.told_n8n() == [A]


@pytest.mark.parametrize("seed", SEEDS)
def test_coin_that_was_activated_in_the_tail_has_all_its_trades_once(seed: int) -> None:
    tail = journal(create("A", s(0), SOL), *trades_of_a(1, 2, 3, 6))
    unknown = House(tail, seed=seed)
    known = House(journal(create("A", s(0), SOL), *trades_of_a(1, 2, 3, 6)), stream(A), seed=seed)
    for house in (unknown, known):
        house.recover()
        house.drain()
        assert sorted(candle.num_buys for candle in house.candles()) == [1, 4]
        assert house.places() == {"queued": 5}


@pytest.mark.parametrize("seed", SEEDS)
def test_drain_in_a_replay_cuts_there_and_the_next_run_goes_on(seed: int) -> None:
    entries = trades_of_a(1, 2, 3, 4, 6, 7)
    first = House(journal(*entries), stream(A), seed=seed)
    first.hear(*trades_of_a(8))
    first.step(3)
    first.drain()
    (cut,) = first.candles()
    second = House(first.journal, stream(A, cut.timestamp_us, cut.last_seq), seed=seed)
    second.recover()
    second.drain()

    assert (cut.num_buys, cut.timestamp_us) == (2, s(2) + 1)
    rest = second.candles()
    assert [candle.num_buys for candle in rest] == [2, 3]
    assert [candle.window_start_us for candle in rest] == [s(2) + 1, s(5)]


def test_names_seen_before_a_crash_count_for_bursts_after_it() -> None:
    coins = [_named(str(number), s(number), "Moon") for number in range(3)]
    later = trade("A", s(25), 1, SOL)
    house = House(
        journal(*coins, later, released(s(25), s(24))),
        spam_burst_threshold=3, spam_burst_window=30, bad_names_pattern="nothing",
    )  # fmt: skip
    house.recover()
    house.hear(_named("4", s(26), "Moon"), _named("5", s(27), "Sun"))

    told = house.told_n8n()
    assert "4" not in told
    assert "5" in told


def test_names_of_coins_that_are_tracked_again_count_for_bursts() -> None:
    coins = [_named(mint, s(number), "Moon") for number, mint in enumerate("ABC")]
    streams = [stream(Mint(mint)) for mint in "ABC"]
    house = House(
        journal(*coins), *streams,
        spam_burst_threshold=3, spam_burst_window=30, bad_names_pattern="nothing",
    )  # fmt: skip
    house.recover()
    house.hear(_named("D", s(20), "Moon"))

    assert "D" not in house.told_n8n()


def test_coin_that_was_tracked_before_its_batch_was_full_is_told_to_n8n_again() -> None:
    house = House(journal(create("A", s(0)), *trades_of_a(1, 2)), stream(A))
    house.recover()

    assert house.told_n8n() == [A]


def test_coin_that_ended_before_its_batch_was_full_is_told_to_n8n_again() -> None:
    house = House(journal(create("A", s(0)), *trades_of_a(1), stopped(s(1), A)))
    house.recover()

    assert house.told_n8n() == [A]


def test_coin_that_began_and_ended_without_a_row_is_replayed() -> None:
    house = House(journal(create("A", s(0)), *trades_of_a(1, 2), stopped(s(2), A, ended=True)))
    house.recover()
    house.drain()

    assert sum(candle.num_buys for candle in house.candles()) == 2


def test_coin_cut_by_a_drain_that_ended_after_the_restart_is_not_written_over_its_rows() -> None:
    house = House(
        journal(
            create("A", s(0)),
            *trades_of_a(1, 2),
            started(s(1), A),
            stopped(s(2) + 1, A),
            started(s(6), A, s(2) + 1),
            *trades_of_a(7, 8),
            stopped(s(11), A, ended=True),
        )
    )
    house.recover()
    house.drain()

    assert house.candles() == []


def test_coin_in_a_batch_on_disk_is_not_told_to_n8n_under_a_second_id(tmp_path: Path) -> None:
    entries = [create(str(number), s(number)) for number in range(6)]
    settings = {"n8n_webhook_url": Secret("http://127.0.0.1:9/"), "batch_size": 5}
    first = House(ListedJournal(), n8n=_n8n(tmp_path), **settings)
    first.recover()
    first.hear(*entries)
    assert _batches(tmp_path) == [["0", "1", "2", "3", "4"]]

    second = House(first.journal, n8n=_n8n(tmp_path), **settings)
    second.recover()
    second.hear(*[create(str(number), s(10 + number)) for number in range(6, 10)])
    assert _batches(tmp_path) == [["0", "1", "2", "3", "4"], ["5", "6", "7", "8", "9"]]


class Deaf:
    """A way to n8n that never answers."""

    def start(self, request: Any, timeout_s: float, reply: Any) -> None:
        pass

    def abort(self) -> Any:
        return Failure.TIMEOUT

    def close(self) -> None:
        pass


def _n8n(folder: Path) -> Callable[[Context], Actor]:
    state = N8nState()

    def make(context: Context) -> N8nWriterActor:
        store = SpooledBatches(Spool(folder / "spool", 1 << 20), N8N_WRITER, context.now_us)
        return N8nWriterActor(context, state, store, Deaf())

    return make


def _batches(folder: Path) -> list[list[str]]:
    """List the coins of each batch on disk."""
    store = Spool(folder / "spool", 1 << 20)
    store.open()
    try:
        entries = store.oldest(N8N_WRITER, 100)
    finally:
        store.close()
    return [_mints(entry.payload) for entry in entries]


def _mints(payload: bytes) -> list[str]:
    return [coin["mint"] for coin in msgspec.msgpack.decode(payload)["coins"]]


def _named(mint: str, at_us: int, name: str) -> RawFrame:
    frame = json.loads(create(mint, at_us).frame)
    return RawFrame(at_us, json.dumps({**frame, "name": name}).encode())
