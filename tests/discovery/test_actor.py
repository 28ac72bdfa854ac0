from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import Drop, FeedEvent, Mint, Phase, Place, Trade
from actors.protocol.connection import UnwatchMint, WatchMint
from actors.protocol.discovery import (
    CacheStatus,
    CoinsDelivered,
    FeedSlice,
    RouteClosed,
    RouteSwitched,
)
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import StreamStarted
from actors.protocol.stream_watch import StreamChangePending
from actors.protocol.supervisor import CachedCoinReport, Drained, GetLiveCoin, TrackMint
from actors.protocol.tracker import CreatorBuy, HandOverDone, PhasesChanged
from actors.protocol.trade_count import trades_in
from actors.runtime import Flush
from actors.runtime.simulation import ProbeHandle, SeededSystem
from actors.tracker import TrackerActor, rules_of, tracker_state
from settings import Settings
from tests.discovery.builders import START_US, coin, migration, trade

SECOND = 1_000_000
A = Mint("MintA")


@dataclass
class House:
    """Discovery with probes all around it, and the order in which they were told."""

    settings: Settings
    seed: int = 0
    system: SeededSystem = field(init=False)
    state: DiscoveryState = field(init=False)
    connection: ProbeHandle = field(init=False)
    n8n: ProbeHandle = field(init=False)
    writer: ProbeHandle = field(init=False)
    supervisor: ProbeHandle = field(init=False)
    stream_watch: ProbeHandle = field(init=False)

    def __post_init__(self) -> None:
        self.system = SeededSystem(seed=self.seed, settings=self.settings)
        self.system.on_dead_letter = lambda letter: self.system.ledger.move(
            Place.QUEUED, Place.DEAD, trades_in(letter.message)
        )
        self.state = DiscoveryState(self.settings)
        self.supervisor = self.system.probe("supervisor")
        self.connection = self.system.probe("connection")
        self.n8n = self.system.probe("n8n-writer")
        self.writer = self.system.probe("postgres-writer:0")
        self.stream_watch = self.system.probe("stream-watch")
        self.system.start(
            "discovery", lambda context: DiscoveryActor(context, self.state, WriterRoutes(1))
        )

    def receive(self, *events: FeedEvent) -> None:
        """Hand events on as the connection does, trades entered into the books."""
        for event in events:
            held = event if isinstance(event, Trade) else getattr(event, "buy", None)
            self.system.ledger.receive(Place.QUEUED, int(held is not None))
        self.tell(FeedSlice(events))

    def tell(self, message: Any) -> None:
        self.system.tell("discovery", message)
        self.system.run()

    def advance(self, seconds: float) -> None:
        self.system.advance_feed(START_US + round(seconds * SECOND))

    def places(self) -> dict[str, int]:
        received, places = self.system.ledger.read()
        assert sum(places.values()) == received
        return {place: count for place, count in places.items() if count}

    def status(self) -> CacheStatus:
        status = self.system.status_of("discovery")
        assert isinstance(status, CacheStatus)
        return status

    def dropped(self) -> dict[str, float]:
        reasons = {
            drop.value: self.value("mintwatch_dropped_total", reason=drop.value) for drop in Drop
        }
        return {reason: count for reason, count in reasons.items() if count}

    def value(self, name: str, **labels: str) -> float:
        return self.system.telemetry.value(name, **labels)


@pytest.fixture
def house() -> House:
    return House(Settings())


@pytest.fixture
def self_activating() -> House:
    return House(Settings(activation="trades", activation_min_trades=3))


def test_new_coin_is_cached_watched_and_told_to_n8n(house: House) -> None:
    house.receive(coin())

    assert house.connection.messages == [WatchMint(A)]
    assert house.n8n.messages == [CoinDiscovered(coin())]
    assert house.value("unified_coins_received_total") == 1
    assert house.value("unified_cache_size") == 1
    assert house.places() == {"cached": 1}
    assert house.status() == CacheStatus(
        total=1,
        activated=0,
        expired=0,
        cached_trades=1,
        oldest_us=START_US,
        newest_us=START_US,
        discovered=1,
    )


def test_create_seen_twice_changes_nothing_and_its_buy_is_a_duplicate(house: House) -> None:
    house.receive(coin(), coin(seq=2, at_s=1))

    assert len(house.n8n.messages) == 1
    assert len(house.connection.messages) == 1
    assert house.places() == {"cached": 1, "duplicate": 1}
    assert house.value("mintwatch_duplicates_total") == 1
    assert house.dropped() == {"duplicate_create": 1}


def test_second_create_under_another_signature_brings_only_its_buy(house: House) -> None:
    house.receive(coin(), coin(seq=2, at_s=1, signature="create2", name="Beta"))

    assert house.n8n.messages == [CoinDiscovered(coin())]
    assert house.connection.messages == [WatchMint(A)]
    assert house.places() == {"cached": 2}
    assert house.dropped() == {}


def test_second_create_of_a_tracked_coin_brings_its_buy_to_the_tracker(house: House) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.receive(coin())
    house.tell(RouteSwitched(A))
    second = coin(seq=9, at_s=5, signature="create2")
    house.receive(second)

    assert tracker.messages[-1] == second.buy
    assert tracker.of(CreatorBuy) == []
    assert len(house.n8n.messages) == 1


def test_second_create_of_a_filtered_coin_brings_a_trade_that_nobody_wants(house: House) -> None:
    house.receive(coin(name="Rug me"), coin(seq=2, at_s=1, signature="create2"))

    assert house.n8n.messages == []
    assert house.places() == {"filtered": 1, "orphan": 1}
    assert house.dropped() == {"filtered": 1, "orphan_uncached": 1}


def test_buy_of_a_repeated_second_create_counts_once(house: House) -> None:
    second = coin(seq=2, at_s=1, signature="create2")
    house.receive(coin(), second, second)

    assert house.places() == {"cached": 2, "duplicate": 1}
    assert house.dropped() == {"duplicate_cached": 1}


def test_trade_at_the_instant_a_coin_expires_is_too_late_whether_or_not_the_timer_came(
    house: House,
) -> None:
    house.receive(coin())
    house.receive(trade(seq=2, at_s=120))

    assert house.places() == {"expired": 1, "orphan": 1}


def test_create_of_a_coin_that_has_expired_does_not_come_back(house: House) -> None:
    house.receive(coin())
    house.advance(121)
    house.receive(coin(seq=2, at_s=122))

    assert house.status().total == 0
    assert house.places() == {"expired": 1, "duplicate": 1}


@pytest.mark.parametrize(
    ("name", "mint", "reason"),
    [
        ("Rug me", "MintA", "bad_name"),
        ("", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "quote_mint"),
    ],
)
def test_filtered_coin_is_counted_and_told_to_nobody(
    house: House, name: str, mint: str, reason: str
) -> None:
    house.receive(coin(mint, name=name))

    assert house.n8n.messages == house.connection.messages == []
    assert house.value("unified_coins_filtered_total", reason=reason) == 1
    assert house.value("unified_coins_received_total") == 0
    assert house.places() == {"filtered": 1}


def test_every_create_under_a_quote_mint_is_filtered_not_taken_for_a_repetition(
    house: House,
) -> None:
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    house.receive(coin(usdc), coin(usdc, seq=2, at_s=1))
    assert house.places() == {"filtered": 2}


def test_fourth_coin_of_a_name_is_a_burst(house: House) -> None:
    for number in range(4):
        house.receive(coin(f"Mint{number}", number, at_s=number))

    assert house.value("unified_coins_filtered_total", reason="spam_burst") == 1
    assert house.status().total == 3
    assert house.places() == {"cached": 3, "filtered": 1}


def test_trade_of_a_cached_coin_is_kept_once(house: House) -> None:
    house.receive(coin(), trade(seq=2, signature="s"), trade(seq=3, signature="s"))

    assert house.places() == {"cached": 2, "duplicate": 1}
    assert house.dropped() == {"duplicate_cached": 1}
    assert house.status().cached_trades == 2


def test_trade_of_an_unknown_mint_is_an_orphan(house: House) -> None:
    house.receive(trade("Nobody"))
    assert house.places() == {"orphan": 1}
    assert house.dropped() == {"orphan_uncached": 1}


def test_coin_expires_on_the_feed_clock_only(house: House) -> None:
    house.receive(coin(), trade(seq=2))
    house.system.advance(1_000)
    assert house.status().total == 1

    house.advance(119.9)
    assert house.status().total == 1
    house.advance(120)

    assert house.status().total == 0
    assert house.status().expired == 1
    assert house.dropped() == {"expired": 2}
    assert house.connection.messages[-1] == UnwatchMint(A)
    assert house.value("unified_cache_expirations_total") == 1
    assert house.value("unified_cache_size") == 0
    assert house.places() == {"expired": 2}


def test_each_coin_expires_at_its_own_time(house: House) -> None:
    house.receive(coin("MintA"), coin("MintB", 2, at_s=10, name="Beta", symbol="BET"))

    house.advance(125)
    assert house.connection.of(UnwatchMint) == [UnwatchMint(A)]
    house.advance(131)
    assert house.connection.of(UnwatchMint) == [UnwatchMint(A), UnwatchMint(Mint("MintB"))]


def test_full_cache_evicts_the_oldest_coin_and_counts_it() -> None:
    house = House(Settings(coin_cache_max=1))
    house.receive(coin("MintA"), coin("MintB", 2, at_s=1, name="Beta", symbol="BET"))

    assert house.connection.messages == [
        WatchMint(A),
        WatchMint(Mint("MintB")),
        UnwatchMint(A),
    ]
    assert house.value("mintwatch_cache_evictions_total") == 1
    assert house.places() == {"cached": 1, "evicted": 1}
    assert house.value("mintwatch_dropped_total", reason="evicted") == 1


def test_activation_outside_waits_for_the_route_however_many_trades_there_are(
    house: House,
) -> None:
    house.receive(coin(), *(trade(seq=seq) for seq in range(2, 20)))
    assert house.supervisor.messages == house.stream_watch.messages == house.writer.messages == []


def test_route_switched_hands_the_tracker_every_cached_trade_and_the_create(house: House) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.receive(coin(), trade(seq=2), trade(seq=3))

    house.tell(RouteSwitched(A))

    assert tracker.messages == [
        trade(seq=1, at_s=0, signature="create1", in_create=True),
        trade(seq=2),
        trade(seq=3),
        HandOverDone(A, coin()),
    ]
    assert house.places() == {"queued": 3}
    assert house.connection.messages[-1] == UnwatchMint(A, from_seq=1)
    assert house.value("unified_cache_activations_total") == 1
    assert house.status() == CacheStatus(
        total=0,
        activated=1,
        expired=0,
        cached_trades=0,
        oldest_us=None,
        newest_us=None,
        discovered=1,
    )


def test_route_switched_of_an_uncached_mint_hands_over_nothing(house: House) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))

    assert tracker.messages == [HandOverDone(A, None)]
    assert house.value("unified_cache_activations_total") == 0


def test_create_of_a_tracked_mint_goes_to_its_tracker_once(house: House) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))
    house.receive(coin(), coin(seq=2, at_s=1))

    assert tracker.of(CreatorBuy) == [CreatorBuy(coin())]
    assert house.n8n.messages == [CoinDiscovered(coin())]
    assert house.places() == {"queued": 1, "duplicate": 1}


@pytest.mark.parametrize(("has_buy", "letters"), [(True, 1), (False, 0)])
def test_create_for_a_coin_that_ends_is_a_dead_letter_only_with_a_trade_of_its_own(
    house: House, letters: int, *, has_buy: bool
) -> None:
    # Given a tracker that has not got round to the create when it ends
    house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))
    house.system._cells["tracker:MintA"].mailbox.hold()
    house.receive(coin(with_buy=has_buy))

    house.system.stop("tracker:MintA")

    assert len(house.system.letters()) == letters
    assert house.places() == ({"dead": 1} if has_buy else {})


def test_create_repeated_after_the_hand_over_is_not_a_new_buy(house: House) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.receive(coin())
    house.tell(RouteSwitched(A))
    house.receive(coin(seq=9, at_s=5))

    assert tracker.of(CreatorBuy) == []
    assert house.places() == {"queued": 1, "duplicate": 1}


def test_trade_and_migration_that_come_here_after_the_hand_over_are_forwarded(
    house: House,
) -> None:
    tracker = house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))
    house.receive(trade(seq=7), migration())

    assert tracker.messages == [HandOverDone(A, None), trade(seq=7), migration()]
    assert house.places() == {"queued": 1}


def paused_tracker(house: House) -> tuple[ProbeHandle, Any]:
    tracker = house.system.probe("tracker:MintA")
    mailbox = house.system._cells["tracker:MintA"].mailbox
    mailbox.pause()
    return tracker, mailbox


def test_first_trade_of_a_coin_reaches_a_tracker_that_takes_no_data(house: House) -> None:
    tracker, _ = paused_tracker(house)
    house.tell(RouteSwitched(A))
    house.receive(coin())

    assert tracker.messages == [HandOverDone(A, None), coin().buy, HandOverDone(A, coin())]
    assert house.places() == {"queued": 1}


def test_facts_of_a_coin_without_a_first_trade_reach_a_tracker_that_takes_no_data(
    house: House,
) -> None:
    tracker, _ = paused_tracker(house)
    house.tell(RouteSwitched(A))
    house.receive(coin(with_buy=False))

    assert tracker.messages == [HandOverDone(A, None), HandOverDone(A, coin(with_buy=False))]


def test_trades_from_before_the_route_reach_a_tracker_that_takes_no_data(house: House) -> None:
    tracker, _ = paused_tracker(house)
    house.receive(coin(), trade(seq=2))
    house.tell(RouteSwitched(A))
    house.receive(trade(seq=7))

    assert tracker.of(Trade) == [coin().buy, trade(seq=2), trade(seq=7)]
    assert house.places() == {"queued": 3}
    assert house.system.letters() == []


def test_first_trade_that_a_full_tracker_gets_late_counts_in_its_candle(house: House) -> None:
    # Given a real tracker whose data lane is closed
    phases = (Phase(1, "Baby Zone", 5, 0, 10),)
    track = TrackMint(A, 1, START_US, "stream")
    state = tracker_state(track, phases, rules_of(house.settings))
    house.system.start(
        "tracker:MintA", lambda context: TrackerActor(context, state, WriterRoutes(1))
    )
    house.tell(RouteSwitched(A))
    mailbox = house.system._cells["tracker:MintA"].mailbox
    mailbox.pause()

    # When the create comes behind the start of its stream
    house.receive(coin())
    mailbox.resume()
    house.system.run()

    # Then its trade is counted, and the creator known
    assert house.places() == {"open": 1}
    assert state.candle is not None
    assert state.candle.num_buys == 1
    assert state.creator == "Creator"


def test_trades_of_a_tracker_that_is_gone_are_a_dead_letter_that_can_be_sent_again(
    house: House,
) -> None:
    house.receive(coin(), trade(seq=2))
    house.tell(RouteSwitched(A))
    assert house.places() == {"dead": 2}

    (letter,) = house.system.letters()
    assert (letter.actor, letter.reason) == ("tracker:MintA", "gone")
    tracker = house.system.probe("tracker:MintA")
    house.system.tell(letter.actor, letter.message)
    house.system.run()
    assert tracker.messages == [coin().buy, trade(seq=2), HandOverDone(A, coin())]


def test_closed_route_makes_later_trades_orphans(house: House) -> None:
    house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))
    house.tell(RouteClosed(A, START_US))
    house.receive(trade(seq=7))

    assert house.places() == {"orphan": 1}


def test_coin_activates_itself_at_the_wanted_number_of_trades(self_activating: House) -> None:
    house = self_activating
    house.receive(coin(), trade(seq=2))
    assert house.supervisor.messages == []

    house.receive(trade(seq=3, at_s=2.5))

    at_us = START_US + 2_500_000
    assert house.stream_watch.messages == [StreamChangePending(A, active=True)]
    assert house.writer.messages == [StreamStarted(coin(), 1, at_us)]
    assert house.supervisor.messages == [
        TrackMint(
            mint=A,
            phase_id=1,
            started_us=at_us,
            by="trades",
            created_us=START_US,
            creator=coin().creator,
        )
    ]
    assert house.places() == {"cached": 3}


def test_coin_activates_itself_once(self_activating: House) -> None:
    self_activating.receive(coin(), *(trade(seq=seq) for seq in range(2, 9)))
    assert len(self_activating.supervisor.messages) == 1


def test_repeated_trades_do_not_activate(self_activating: House) -> None:
    self_activating.receive(coin(), *(trade(seq=seq, signature="s") for seq in range(2, 9)))
    assert self_activating.supervisor.messages == []


def test_zero_wanted_trades_activate_at_the_create() -> None:
    house = House(Settings(activation="trades", activation_min_trades=0))
    house.receive(coin(with_buy=False))
    assert len(house.supervisor.of(TrackMint)) == 1


def test_stream_watch_is_told_before_the_writer_and_the_supervisor() -> None:
    order: list[str] = []
    house = House(Settings(activation="trades", activation_min_trades=0))
    tell = house.system.tell

    def noted(name: str, message: Any) -> bool:
        order.append(type(message).__name__)
        return tell(name, message)

    house.system.tell = noted  # type: ignore[method-assign]  # a spy for the order over actors
    house.receive(coin())

    assert order == [
        "FeedSlice",
        "WatchMint",
        "CoinDiscovered",
        "StreamChangePending",
        "StreamStarted",
        "TrackMint",
    ]


def test_stream_begins_in_the_lowest_regular_phase(self_activating: House) -> None:
    house = self_activating
    phases = tuple(Phase(number, "P", 5, 0, 10) for number in (99, 7, 4, 100))
    house.tell(PhasesChanged(phases))
    house.receive(coin(), trade(seq=2), trade(seq=3))

    assert house.supervisor.messages[0].phase_id == 4


def test_activated_coin_does_not_expire_and_goes_on_gathering(self_activating: House) -> None:
    house = self_activating
    tracker = house.system.probe("tracker:MintA")
    house.receive(coin(), trade(seq=2), trade(seq=3))
    house.advance(500)
    house.receive(trade(seq=4, at_s=500))
    house.tell(RouteSwitched(A))

    assert len(tracker.of(Trade)) == 4
    assert house.places() == {"queued": 4}


def test_cached_coin_that_migrates_leaves_the_cache(house: House) -> None:
    house.receive(coin(), trade(seq=2), migration())

    assert house.n8n.messages == [CoinDiscovered(coin())]
    assert house.connection.messages[-1] == UnwatchMint(A)
    assert house.status().total == 0
    assert house.places() == {"expired": 2}


def test_cached_coin_at_99_5_percent_leaves_the_cache(house: House) -> None:
    house.receive(coin(), trade(seq=2, virtual_sol=114.6))

    assert house.status().total == 0
    assert house.places() == {"expired": 2}


def test_coin_whose_creator_bought_the_whole_curve_goes_to_n8n_only(house: House) -> None:
    house.receive(coin(virtual_sol=115.005))

    assert house.n8n.messages == [CoinDiscovered(coin(virtual_sol=115.005))]
    assert house.connection.messages == [WatchMint(A), UnwatchMint(A)]
    assert house.places() == {"expired": 1}


def test_migration_of_a_coin_on_its_way_to_a_tracker_is_handed_over_too(
    self_activating: House,
) -> None:
    house = self_activating
    tracker = house.system.probe("tracker:MintA")
    house.receive(coin(), trade(seq=2), trade(seq=3), migration())
    house.tell(RouteSwitched(A))

    assert tracker.messages[-2:] == [migration(), HandOverDone(A, coin())]
    assert house.places() == {"queued": 3}


def test_migration_of_an_unknown_mint_is_counted_and_ignored(house: House) -> None:
    house.receive(migration("Nobody"))

    assert house.dropped() == {"unknown_migration": 1}
    assert house.connection.messages == house.n8n.messages == []


def test_delivered_coins_are_marked(house: House) -> None:
    house.receive(coin())
    house.tell(CoinsDelivered((Mint("Gone"), A)))

    assert house.system.ask("discovery", GetLiveCoin(A)) == CachedCoinReport(
        mint=A,
        discovered_us=START_US,
        n8n_sent=True,
        activated=False,
        subscription_active=True,
        cached_trades=1,
    )


def test_live_coin_that_is_not_cached_is_none(house: House) -> None:
    assert house.system.ask("discovery", GetLiveCoin(A)) is None


def test_event_that_fails_is_dead_alone_and_the_cache_survives_the_restart(house: House) -> None:
    broken = coin("MintB", 2, name="\ud800")
    house.receive(coin(), broken, trade(seq=3))
    house.system.advance(60)

    assert [letter.message for letter in house.system.letters()] == [broken]
    assert house.status().total == 1
    assert house.status().cached_trades == 2
    house.advance(121)
    assert house.status().total == 0


@pytest.mark.parametrize("seed", range(10))
def test_books_balance_whatever_the_interleaving(seed: int) -> None:
    house = House(Settings(activation="trades", activation_min_trades=2, coin_cache_max=3), seed)
    house.system.probe("tracker:Mint1")
    for number in range(6):
        mint = f"Mint{number % 5}"
        house.receive(
            coin(mint, 10 * number, at_s=number, name=f"N{number}", symbol=f"S{number}"),
            trade(mint, 10 * number + 1, at_s=number),
            trade("Mint1", 10 * number + 2, at_s=number),
        )
        house.tell(RouteSwitched(Mint("Mint1")))
    house.advance(1_000)

    assert house.system.ledger.balanced
    assert sum(house.places().values()) == 18


def test_a_flush_is_answered_behind_what_follows_from_everything_before_it() -> None:
    house = House(Settings(activation="trades", activation_min_trades=0))
    house.system.ledger.receive(Place.QUEUED)
    house.system.tell("discovery", FeedSlice((coin(),)))
    house.tell(Flush())

    [track, answer] = house.supervisor.messages
    assert isinstance(track, TrackMint)
    assert answer == Drained("discovery", 0)


def test_a_coin_that_was_too_old_gets_no_trade_although_its_timer_comes_later() -> None:
    house = House(Settings(activation="trades", activation_min_trades=2))
    house.receive(coin())
    house.receive(trade(seq=2, at_s=121.0))

    assert house.supervisor.messages == []
    assert house.places() == {"expired": 1, "orphan": 1}


# Settings.


def change(house: House, **settings: Any) -> None:
    house.system.change_settings(house.system.settings.model_copy(update=settings))
    house.system.run()


def test_smaller_cache_lets_the_oldest_coins_go_at_once() -> None:
    house = House(Settings(spam_burst_threshold=100))
    house.receive(*(coin(f"Mint{number}", number, at_s=number) for number in range(1, 5)))
    change(house, coin_cache_max=2)

    assert house.connection.of(UnwatchMint) == [
        UnwatchMint(Mint("Mint1")),
        UnwatchMint(Mint("Mint2")),
    ]
    assert house.places() == {"cached": 2, "evicted": 2}
    assert house.value("unified_cache_size") == 2
    assert house.status().oldest_us == START_US + 3 * SECOND


def test_shorter_time_in_the_cache_acts_at_once_and_a_longer_one_too(house: House) -> None:
    house.receive(coin("MintA", 1), coin("MintB", 2, at_s=50, name="Beta", symbol="BET"))
    house.advance(60)

    change(house, coin_cache_seconds=30)
    assert house.places() == {"cached": 1, "expired": 1}

    change(house, coin_cache_seconds=300)
    house.advance(349)
    assert house.places() == {"cached": 1, "expired": 1}
    house.advance(351)
    assert house.places() == {"expired": 2}


def test_changed_filter_decides_on_the_next_create_and_remembers_the_last_ones(
    house: House,
) -> None:
    house.receive(coin("MintA", 1))
    change(house, bad_names_pattern="beta", spam_burst_threshold=1)
    house.receive(
        coin("MintB", 2, name="Beta", symbol="B"),
        coin("MintC", 3, at_s=1, symbol="C"),
        coin("MintD", 4, name="rug", symbol="D"),
    )

    assert [told.coin.mint for told in house.n8n.of(CoinDiscovered)] == ["MintA", "MintD"]
    assert house.value("unified_coins_filtered_total", reason="bad_name") == 1
    assert house.value("unified_coins_filtered_total", reason="spam_burst") == 1


def test_changed_activation_acts_with_the_next_trade(house: House) -> None:
    house.receive(coin(), trade(seq=2), trade(seq=3))
    change(house, activation="trades", activation_min_trades=4)
    assert house.supervisor.of(TrackMint) == []

    house.receive(trade(seq=4))
    assert [track.mint for track in house.supervisor.of(TrackMint)] == ["MintA"]


# The timeline.


def told_of(house: House, mint: str = "MintA") -> list[tuple[str, dict[str, Any]]]:
    notes = house.system.timelines.of(Mint(mint)) or ()
    assert {note.actor for note in notes} <= {"discovery"}
    return [(note.what, note.details) for note in notes]


def test_timeline_of_a_coin_that_is_tracked() -> None:
    house = House(Settings(activation="trades", activation_min_trades=2))
    house.system.probe("tracker:MintA")
    house.receive(coin(), trade(seq=2), trade(seq=3))
    house.tell(RouteSwitched(A))

    assert told_of(house) == [
        ("discovered", {"name": "Alpha", "symbol": "ALP", "price_sol": 2.8e-8}),
        ("cached", {}),
        ("activated", {"by": "trades", "trades": 2}),
        ("handed_over", {"trades": 3}),
    ]


@pytest.mark.parametrize(
    ("how", "last"),
    [("time", "expired"), ("migration", "graduated_in_cache"), ("bound", "evicted")],
)
def test_timeline_says_how_a_coin_left_the_cache(house: House, how: str, last: str) -> None:
    house.receive(coin(), trade(seq=2))
    match how:
        case "time":
            house.advance(121)
        case "migration":
            house.receive(migration())
        case _:
            change(house, coin_cache_max=0)

    assert [what for what, _ in told_of(house)] == ["discovered", "cached", last]
    assert told_of(house)[-1] == (last, {"trades": 2})


def test_timeline_of_a_filtered_coin_has_the_reason(house: House) -> None:
    house.receive(coin(name="Rug me"))

    assert told_of(house) == [("filtered", {"reason": "bad_name", "name": "Rug me"})]
