from __future__ import annotations

from typing import Any

import pytest

from actors.domain import Candle, Drop, Migration, Place, Trade, Wallet
from actors.protocol.connection import Resubscribe
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import (
    AthReached,
    CandleClosed,
    StreamEnded,
    StreamPhaseChanged,
)
from actors.protocol.stream_watch import StreamChangePending
from actors.protocol.supervisor import (
    CONNECTION,
    STREAM_WATCH,
    SUPERVISOR,
    GetLiveCoin,
    TrackerReport,
    TrackingEnded,
    TrackMint,
    tracker_name,
    writer_name,
    writer_of,
)
from actors.runtime import Actor
from actors.runtime.simulation import ProbeHandle, SeededSystem
from actors.tracker import (
    CoverageChanged,
    CreatorBuy,
    HandOver,
    HandOverDone,
    PhaseChosen,
    PhasesChanged,
    RouteClosed,
    SetPhase,
    TrackerActor,
    TradesArrived,
    rules_of,
    tracker_state,
)
from settings import Settings
from tests.support.drops import dropped
from tests.tracker.builders import (
    BABY,
    CREATOR,
    FINISHED,
    MATURE,
    MINT,
    PHASES,
    at,
    coin,
    migration,
    sol,
    trade,
)

NAME = tracker_name(MINT)
DONE = HandOver((HandOverDone(MINT, None),))


class Scene:
    """A tracker among probes. Trades enter as the connection and discovery enter them."""

    def __init__(
        self, *, seed: int = 0, settings: Settings | None = None, phase_id: int = 1
    ) -> None:
        self.system = SeededSystem(seed=seed, settings=settings or Settings())
        self.system.advance_feed(at(0))
        self.writer = self.system.probe(writer_name(0))
        self.connection = self.system.probe(CONNECTION)
        self.stream_watch = self.system.probe(STREAM_WATCH)
        self.supervisor = self.system.probe(SUPERVISOR)
        track = TrackMint(MINT, phase_id, at(0), "stream")
        self.state = tracker_state(track, PHASES, rules_of(self.system.settings))
        self.system.start(NAME, lambda context: TrackerActor(context, self.state, WriterRoutes(1)))

    def route(self, *events: Trade | Migration, run: bool = True) -> None:
        self._receive(events)
        self.system.tell(NAME, TradesArrived(events))
        if run:
            self.system.run()

    def hand_over(self, *events: Any, run: bool = True) -> None:
        self._receive(events)
        self.system.tell(NAME, HandOver(events))
        if run:
            self.system.run()

    def tell(self, message: Any) -> None:
        self.system.tell(NAME, message)
        self.system.run()

    def feed(self, seconds: float) -> None:
        self.system.advance_feed(at(seconds))

    def candles(self) -> list[Candle]:
        return [message.candle for message in self.writer.of(CandleClosed)]

    def places(self) -> dict[str, int]:
        assert self.system.ledger.balanced
        return {place: n for place, n in self.system.ledger.read()[1].items() if n}

    def figure(self, metric: str) -> float:
        samples = getattr(self.system.telemetry, metric).collect()[0].samples
        return float(next(s.value for s in samples if s.name.endswith("_total")))

    def _receive(self, events: tuple[Any, ...]) -> None:
        trades = sum(isinstance(event, Trade) for event in events)
        self.system.ledger.receive(Place.QUEUED, trades)


class Relay(Actor):
    """Passes `(name, message)` on, or `(None, instant)` to the feed clock."""

    def on_receive(self, message: Any) -> None:
        name, content = message
        if name is None:
            self.context.advance_feed(content)
        else:
            self.context.tell(name, content)


@pytest.fixture
def scene() -> Scene:
    """A tracker that has been handed an empty cache."""
    made = Scene()
    made.tell(DONE)
    return made


def told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Note down who is told what from now on, in order."""
    notes: list[tuple[str, Any]] = []
    tell = scene.system.tell

    def note(name: str, message: Any) -> bool:
        notes.append((name, message))
        return tell(name, message)

    monkeypatch.setattr(scene.system, "tell", note)
    return notes


# Candles.


def test_a_window_is_written_once_the_feed_clock_has_passed_its_end(scene: Scene) -> None:
    scene.route(trade(1), trade(2))
    scene.feed(4.999999)
    assert scene.candles() == []
    scene.feed(5)
    [candle] = scene.candles()
    assert (candle.window_start_us, candle.timestamp_us, candle.num_trades) == (at(0), at(5), 2)


def test_trades_that_wait_in_the_mailbox_come_before_the_windows_end(scene: Scene) -> None:
    scene.route(trade(1))
    scene.route(trade(4.9), run=False)
    scene.feed(60)
    [candle] = scene.candles()
    assert candle.num_trades == 2


def test_rows_go_to_the_one_writer_of_the_mint() -> None:
    scene = Scene()
    scene.system.stop(NAME)
    others = [scene.system.probe(writer_name(index)) for index in range(1, 4)]
    writers: dict[str, ProbeHandle] = {probe.name: probe for probe in (scene.writer, *others)}
    scene.system.start(NAME, lambda context: TrackerActor(context, scene.state, WriterRoutes(4)))
    scene.tell(DONE)
    scene.route(trade(1))
    scene.feed(5)
    assert [name for name, probe in writers.items() if probe.messages] == [writer_of(MINT, 4)]


def test_coverage_counts_from_when_it_was_told(scene: Scene) -> None:
    scene.tell(CoverageChanged(covered=True, at_us=at(2)))
    scene.route(trade(3))
    scene.feed(5)
    assert scene.candles()[0].covered_us == 3_000_000


def test_the_books_follow_each_trade(scene: Scene) -> None:
    scene.route(trade(1), trade(2), trade(1))
    assert scene.places() == {"open": 2, "duplicate": 1}
    scene.feed(5)
    assert scene.places() == {"queued": 2, "duplicate": 1}
    assert scene.figure("trades_processed") == 2
    assert scene.figure("duplicates") == 1
    assert dropped(scene.system.telemetry, Drop.DUPLICATE_TRACKED) == 1
    assert scene.figure("late_trades") == 0


def test_a_trade_behind_the_end_of_its_window_is_counted_as_late(scene: Scene) -> None:
    scene.route(trade(1))
    scene.feed(5)
    scene.route(trade(4))
    assert scene.figure("late_trades") == 1
    assert dropped(scene.system.telemetry, Drop.LATE) == 1


def test_a_stale_window_is_counted_and_not_written(scene: Scene) -> None:
    scene.route(trade(1, signature="s"))
    scene.feed(5)
    scene.route(trade(6, signature="s"))
    scene.feed(10)
    assert len(scene.candles()) == 1
    assert scene.figure("stale_data_skipped") == 1
    assert dropped(scene.system.telemetry, Drop.STALE_WINDOW) == 1


def test_trades_come_along_with_store_trades() -> None:
    scene = Scene(settings=Settings(store_trades=True))
    scene.tell(DONE)
    one, two = trade(1), trade(2)
    scene.route(one, two)
    scene.feed(5)
    assert scene.writer.of(CandleClosed)[0].trades == (one, two)


# The hand-over.


def test_cached_trades_come_before_routed_ones_whatever_comes_first() -> None:
    scene = Scene()
    scene.route(trade(7))
    assert scene.places() == {"queued": 1}
    scene.hand_over(trade(1), trade(6), HandOverDone(MINT, coin(0.5)))
    scene.feed(10)
    assert [(c.timestamp_us, c.num_trades) for c in scene.candles()] == [(at(5), 1), (at(10), 2)]
    assert scene.figure("late_trades") == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_interleaving_gives_the_same_candles(seed: int) -> None:
    scene = Scene(seed=seed)
    scene.system.ledger.receive(Place.QUEUED, 5)
    scene.system.start("reader", Relay)
    scene.system.start("cache", Relay)
    cached = HandOver((trade(1), trade(6), HandOverDone(MINT, coin(0.5))))
    for step in (
        (NAME, CoverageChanged(covered=True, at_us=at(1))),
        ("cache", (NAME, cached)),
        (NAME, TradesArrived((trade(7), trade(8)))),
        (None, at(10)),
        (NAME, TradesArrived((trade(11),))),
        (None, at(15)),
    ):
        scene.system.tell("reader", step)
    scene.system.run()
    assert [(c.timestamp_us, c.num_trades, c.covered_us) for c in scene.candles()] == [
        (at(5), 1, 4_000_000),
        (at(10), 3, 5_000_000),
        (at(15), 1, 5_000_000),
    ]
    assert scene.places() == {"queued": 5}


def test_what_was_cached_is_told_with_what_became_known_of_it() -> None:
    scene = Scene()
    scene.tell(CoverageChanged(covered=True, at_us=at(3)))
    dev_sell = trade(1, trader=CREATOR, is_buy=False, amount=2)
    scene.hand_over(dev_sell, trade(6), HandOverDone(MINT, coin(0.5)))
    [candle] = scene.candles()
    assert candle.dev_sold_lamports == 2_000_000_000
    assert candle.covered_us == 2_000_000


def test_routed_trades_go_on_when_the_cached_ones_do_not_come() -> None:
    scene = Scene()
    scene.route(trade(1))
    scene.system.advance(9.9)
    assert scene.places() == {"queued": 1}
    scene.system.advance(0.2)
    assert scene.places() == {"open": 1}


def test_cached_trades_that_come_after_all_are_not_lost() -> None:
    scene = Scene()
    scene.route(trade(7))
    scene.system.advance(10.1)
    scene.hand_over(trade(1), HandOverDone(MINT, coin(0.5)))
    scene.feed(10)
    [candle] = scene.candles()
    assert (candle.num_trades, candle.timestamp_us) == (2, at(10))


def test_a_create_behind_the_start_brings_its_facts_and_its_buy(scene: Scene) -> None:
    scene.system.ledger.receive(Place.QUEUED)
    scene.tell(CreatorBuy(coin(1, buy=trade(1, trader=CREATOR))))
    scene.feed(5)
    [candle] = scene.candles()
    assert (candle.num_buys, candle.dev_sold_lamports) == (1, 0)


# Phases and ends.


def test_a_phase_change_is_pending_before_the_writer_has_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = told(scene, monkeypatch)
    scene.feed(600)
    assert notes == [
        (STREAM_WATCH, StreamChangePending(MINT, active=True)),
        (writer_name(0), StreamPhaseChanged(MINT, 2)),
        (CONNECTION, Resubscribe(MINT, in_doubt=False)),
    ]
    assert scene.figure("phase_switches") == 1


def test_an_end_is_pending_before_the_writer_has_it_and_behind_the_last_candle(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.route(trade(1), migration(2))
    notes = told(scene, monkeypatch)
    scene.feed(5)
    kinds = [type(message) for _, message in notes]
    assert kinds == [CandleClosed, StreamChangePending, StreamEnded, TrackingEnded]
    assert notes[1:] == [
        (STREAM_WATCH, StreamChangePending(MINT, active=False)),
        (writer_name(0), StreamEnded(MINT, 100, graduated=True, at_us=at(5))),
        (SUPERVISOR, TrackingEnded(MINT, 100, "graduated")),
    ]
    assert scene.figure("coins_graduated") == 1


def test_a_full_curve_graduates(scene: Scene) -> None:
    scene.route(trade(1, reserves=(sol(115), None)))
    scene.feed(5)
    assert scene.supervisor.of(TrackingEnded) == [TrackingEnded(MINT, 100, "graduated")]


def test_the_last_phase_finishes_a_coin() -> None:
    scene = Scene(phase_id=3)
    scene.tell(DONE)
    scene.feed(86_400)
    assert scene.supervisor.of(TrackingEnded) == [TrackingEnded(MINT, 99, "finished")]
    assert scene.figure("coins_finished") == 1


def test_trades_behind_the_end_are_orphans(scene: Scene) -> None:
    scene.route(migration(1))
    scene.route(trade(2))
    assert scene.places() == {"orphan": 1}
    assert dropped(scene.system.telemetry, Drop.ORPHAN_ENDED) == 1


def test_changed_phases_overtake_what_waits_and_act_at_the_windows_end(scene: Scene) -> None:
    scene.route(trade(1))
    scene.tell(PhasesChanged((MATURE,)))
    scene.feed(5)
    assert scene.candles()[0].timestamp_us == at(5)
    assert scene.writer.of(StreamPhaseChanged) == [StreamPhaseChanged(MINT, 3)]
    scene.route(trade(6))
    scene.feed(60)
    assert (scene.candles()[1].window_start_us, scene.candles()[1].timestamp_us) == (at(5), at(60))


def test_a_table_without_phases_ends_no_coin(scene: Scene) -> None:
    scene.tell(PhasesChanged((FINISHED,)))
    scene.tell(PhasesChanged(()))
    scene.feed(60)
    assert scene.supervisor.of(TrackingEnded) == []
    assert scene.system.letters() == []


def test_an_operator_chooses_a_phase(scene: Scene) -> None:
    accepted = scene.system.ask(NAME, SetPhase(3))
    assert accepted == PhaseChosen(accepted=True, refusal=None)
    assert scene.writer.of(StreamPhaseChanged) == [StreamPhaseChanged(MINT, 3)]
    refused = scene.system.ask(NAME, SetPhase(55))
    assert refused == PhaseChosen(
        accepted=False, refusal="There is no regular phase 55; there are 1, 2, 3."
    )


def test_a_closed_route_cuts_the_candle_and_ends_the_actor(scene: Scene) -> None:
    scene.route(trade(1))
    scene.tell(RouteClosed(MINT, at(2.5)))
    [candle] = scene.candles()
    assert (candle.window_start_us, candle.timestamp_us) == (at(0), at(2.5))
    assert not scene.system.running(NAME)
    assert scene.places() == {"queued": 1}


def test_a_route_closed_right_behind_the_hand_over_loses_nothing() -> None:
    scene = Scene()
    scene.tell(RouteClosed(MINT, at(8)))
    scene.hand_over(trade(1), trade(6), HandOverDone(MINT, None))
    assert [candle.timestamp_us for candle in scene.candles()] == [at(5), at(8)]
    assert not scene.system.running(NAME)


# All-time high and watchdog.


def test_a_high_goes_with_its_candle(scene: Scene) -> None:
    scene.route(trade(1, price=3e-7))
    scene.feed(5)
    [closed] = scene.writer.of(CandleClosed)
    assert closed.ath.price_sol == 3e-7
    scene.feed(20)
    assert scene.writer.of(AthReached) == []


def test_a_high_in_a_long_window_is_told_after_the_flush_interval() -> None:
    scene = Scene(phase_id=3)
    scene.tell(DONE)
    scene.route(trade(1, price=3e-7), trade(2, price=4e-7))
    scene.feed(5.9)
    assert scene.writer.of(AthReached) == []
    scene.feed(6)
    assert [message.ath.price_sol for message in scene.writer.of(AthReached)] == [4e-7]
    scene.feed(60)
    assert scene.writer.of(CandleClosed)[0].ath is None


def test_silence_doubts_the_subscription_ever_more_rarely() -> None:
    scene = Scene(phase_id=3)
    scene.tell(DONE)
    scene.route(trade(0))
    for seconds in range(0, 4_300, 100):
        scene.feed(seconds)
    doubts = scene.connection.of(Resubscribe)
    assert doubts == [Resubscribe(MINT, in_doubt=True)] * 3
    assert scene.figure("force_resubscribes") == 3
    assert scene.figure("zombie_coins_detected") == 1


def test_a_tracker_without_any_trade_is_doubted_after_its_patience() -> None:
    scene = Scene(phase_id=3)
    scene.tell(DONE)
    scene.feed(599)
    assert scene.connection.of(Resubscribe) == []
    scene.feed(600)
    assert scene.connection.of(Resubscribe) == [Resubscribe(MINT, in_doubt=True)]


# Failures.


def test_only_the_poisonous_event_of_a_batch_is_lost(scene: Scene) -> None:
    poison = trade(2, price=-1.0)
    scene.route(trade(1), poison, trade(3))
    scene.system.advance(60)
    scene.feed(5)
    [letter] = scene.system.letters()
    assert letter.message == poison
    assert scene.candles()[0].num_trades == 2


def test_a_restarted_tracker_goes_on_with_its_open_window(scene: Scene) -> None:
    scene.route(trade(1, price=2e-7))
    scene.route(trade(2, price=-1.0))
    scene.system.advance(60)
    scene.feed(5)
    [candle] = scene.candles()
    assert (candle.price_open, candle.num_trades) == (2e-7, 1)


def test_a_window_that_ended_while_the_actor_was_down_is_written(scene: Scene) -> None:
    scene.route(trade(1))
    scene.route(trade(2, price=-1.0))
    scene.feed(5)
    assert scene.candles() == []
    scene.system.advance(60)
    assert scene.candles()[0].num_trades == 1


def test_poison_in_the_hand_over_leaves_the_rest_of_it_in_front() -> None:
    scene = Scene()
    scene.route(trade(7))
    scene.hand_over(trade(1), trade(2, price=-1.0), trade(6), HandOverDone(MINT, None))
    scene.system.advance(5)
    scene.feed(10)
    assert [(c.timestamp_us, c.num_trades) for c in scene.candles()] == [(at(5), 1), (at(10), 2)]
    assert scene.figure("late_trades") == 0


def test_an_unknown_message_is_a_dead_letter(scene: Scene) -> None:
    scene.tell(TrackingEnded(MINT, 1, "not for a tracker"))
    assert [letter.reason for letter in scene.system.letters()] == ["failed"]


# Looking.


def test_a_report_shows_the_running_window(scene: Scene) -> None:
    scene.tell(CoverageChanged(covered=True, at_us=at(0)))
    scene.route(trade(1, price=2e-7, amount=1), trade(2, price=4e-7, amount=2, is_buy=False))
    scene.feed(3)
    report = scene.system.ask(NAME, GetLiveCoin(MINT))
    assert isinstance(report, TrackerReport)
    assert (report.price_open, report.price_close) == (2e-7, 4e-7)
    assert report.market_cap_sol == pytest.approx(400.0)
    assert (report.buy_volume_lamports, report.sell_volume_lamports) == (sol(1), sol(2))
    assert (report.num_buys, report.num_sells, report.unique_wallets) == (1, 1, 1)
    assert report.next_flush_seconds == 2.0
    assert (report.trades_total, report.candles_total) == (2, 0)
    assert report.covered
    assert (report.phase_id, report.interval_seconds) == (BABY.id, 5)


def test_a_report_without_a_window_has_no_figures(scene: Scene) -> None:
    report = scene.system.ask(NAME, GetLiveCoin(MINT))
    assert (report.price_open, report.window_end_us, report.next_flush_seconds) == (
        None,
        None,
        None,
    )
    assert report.volume_lamports == 0
    assert report.creator is None or report.creator == Wallet("creator")
