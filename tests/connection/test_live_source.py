"""The connection against a real WebSocket server, on real threads."""

from __future__ import annotations

import ssl
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from actors.connection import (
    ConnectionActor,
    GetFeed,
    GetRoute,
    Resubscribe,
    RouteMint,
    RouteReport,
    StartReading,
    StopReading,
    UnrouteMint,
    UnwatchMint,
    WatchMint,
)
from actors.domain import Coin, Drop, FeedState, Migration, Mint, Place, Trade
from actors.protocol.discovery import RouteClosed, RouteSwitched
from actors.protocol.postgres_writer import GapRecorded
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    SUPERVISOR,
    FeedStateChanged,
    ReadingStopped,
    tracker_name,
    writer_name,
)
from actors.protocol.tracker import CoverageChanged, TradesUnparked
from actors.runtime import ChildSpec
from tests.connection.feed_server import LIMIT_S, Client, FeedServer
from tests.connection.system import Running, running
from tests.connection.test_decoder import BUY, CREATE
from tests.support.drops import dropped
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B = Mint("MintA"), Mint("MintB")
REFUSAL = (
    "'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available when "
    "connecting with an API key funded with at least 0.02 SOL."
)
SECRET = "k3y+/with=signs&more"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


def buy(mint: str, number: int = 0) -> dict[str, Any]:
    return BUY | {"mint": mint, "signature": f"sig{number}"}


def coverage_of(run: Running, mint: str) -> list[bool]:
    told = run.told[tracker_name(Mint(mint))]
    return [message.covered for message in told if isinstance(message, CoverageChanged)]


def test_creates_and_migrations_are_asked_for_first(server: FeedServer) -> None:
    with running(server.uri) as run:
        client = server.client()

        calls = [client.next_call(), client.next_call()]

        assert calls == [{"method": "subscribeNewToken"}, {"method": "subscribeMigration"}]
        assert run.wait_for_state(FeedState.LIVE).reason == "calls are acknowledged"


def test_nothing_is_dialled_before_reading_is_asked_for(server: FeedServer) -> None:
    with running(server.uri, starts=False) as run:
        run.tell(RouteMint(A))
        assert run.system.ask(CONNECTION, GetFeed(), LIMIT_S).state is FeedState.OFFLINE

        run.tell(StartReading())

        assert server.client().next_keys() == ["MintA"]


def test_every_kind_of_frame_reaches_whoever_wants_it(server: FeedServer) -> None:
    with running(server.uri) as run:
        # Given a tracked mint and a watched one
        tracker = run.tracker(A)
        run.tell(RouteMint(A), WatchMint(B))
        client = server.client()
        client.next_keys()

        # When the server sends a bit of everything
        client.send(
            CREATE | {"mint": "MintNew"},
            buy(A),
            buy(B),
            buy("MintOrphan"),
            {"txType": "migrate", "mint": A, "signature": "s", "pool": "pump-amm"},
            {"txType": "migrate", "mint": B, "signature": "s", "pool": "pump-amm"},
            {"txType": "burn", "mint": A},
            "not json",
            b'{"txType":"buy","x":"\xff"}',
            "[1]",
        )

        # Then it is where it belongs
        run.wait_for(DISCOVERY, Migration)
        discovery = [event for event in run.told[DISCOVERY] if not isinstance(event, RouteSwitched)]
        assert [(type(event), event.mint) for event in discovery] == [
            (Coin, "MintNew"),
            (Trade, "MintB"),
            (Migration, "MintB"),
        ]
        run.wait_for(tracker_name(A), Migration)
        events = [event for event in tracker if isinstance(event, Trade | Migration)]
        assert [type(event) for event in events] == [Trade, Migration]
        # And every trade is in the books, the creator's buy included
        assert run.system.ledger.count(Place.ORPHAN) == 1
        assert run.system.ledger.count(Place.QUEUED) == 3
        # And every frame is counted by kind
        wait_until(lambda: run.report().frames.get("malformed") == 3)
        assert {kind: n for kind, n in run.report().frames.items() if kind != "control"} == {
            "create": 1,
            "buy": 3,
            "migrate": 2,
            "unknown": 1,
            "malformed": 3,
        }
        assert run.report().billed_frames == 3
        assert run.system.telemetry.value("unified_trades_received_total") == 4
        # And what goes nowhere is counted by its reason
        telemetry = run.system.telemetry
        assert dropped(telemetry, Drop.ORPHAN_UNWANTED) == 1
        assert dropped(telemetry, Drop.MALFORMED) == 3
        assert dropped(telemetry, Drop.UNKNOWN_FRAME) == 1


def test_every_data_frame_is_in_the_journal_byte_for_byte(server: FeedServer) -> None:
    frames = [b'{"txType": "burn"}', b"rubbish", b'{ "txType":"migrate","mint":"M" }']
    with running(server.uri) as run:
        server.client().send(*frames)

        wait_until(lambda: len(run.journal.records) == 3)

        assert [record.data for record in run.journal.records] == frames
        assert [record.seq for record in run.journal.records] == [0, 0, 1]


def test_stamps_rise_strictly_and_numbers_without_holes(server: FeedServer) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()

        client.send(*(buy(A, number) for number in range(3_000)))

        trades = run.wait_for(tracker_name(A), Trade, 3_000)
        assert [trade.seq for trade in trades] == list(range(1, 3_001))
        assert all(one.arrived_us < two.arrived_us for one, two in pairwise(trades))


def test_feed_clock_goes_on_when_nothing_arrives(server: FeedServer) -> None:
    with running(server.uri) as run:
        server.client()
        run.wait_for_state(FeedState.LIVE)
        before_us = run.system.wheel.feed_us

        wait_until(lambda: run.system.wheel.feed_us > before_us)

        assert run.system.wheel.feed_us <= run.system.clock.now_us()


def test_trades_right_behind_their_create_go_to_discovery(server: FeedServer) -> None:
    with running(server.uri) as run:
        server.client().send(CREATE | {"mint": "MintNew"}, buy("MintNew"))

        run.wait_for(DISCOVERY, Trade)

        assert run.system.ledger.count(Place.ORPHAN) == 0


def test_route_is_switched_behind_the_last_event_for_discovery(server: FeedServer) -> None:
    with running(server.uri) as run:
        # Given a cached coin whose trades go to discovery
        tracker = run.tracker(A)
        run.tell(WatchMint(A))
        client = server.client()
        client.next_keys()
        client.send(buy(A, 1))
        run.wait_for(DISCOVERY, Trade)

        # When it gets a tracker
        run.tell(RouteMint(A), UnwatchMint(A))
        run.wait_for(DISCOVERY, RouteSwitched)
        client.send(buy(A, 2))

        # Then discovery hears of it behind its last trade, and the next one is the tracker's
        run.wait_for(tracker_name(A), Trade)
        assert [type(event) for event in run.told[DISCOVERY]] == [Trade, RouteSwitched]
        assert [event.signature for event in tracker if isinstance(event, Trade)] == ["sig2"]


def test_closed_route_is_told_behind_the_last_trade_and_unsubscribed(server: FeedServer) -> None:
    with running(server.uri) as run:
        tracker = run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        client.send(buy(A))
        (trade,) = run.wait_for(tracker_name(A), Trade)

        run.tell(UnrouteMint(A))

        (closed,) = run.wait_for(DISCOVERY, RouteClosed)
        assert isinstance(tracker[-1], RouteClosed)
        assert closed.at_us > trade.arrived_us
        assert client.next_keys("unsubscribeTokenTrade") == ["MintA"]


@pytest.mark.parametrize("way_out", ["unwatch", "unroute"])
def test_mint_nobody_wants_is_unsubscribed(server: FeedServer, way_out: str) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(WatchMint(A) if way_out == "unwatch" else RouteMint(A))
        client = server.client()
        client.next_keys()

        run.tell(UnwatchMint(A) if way_out == "unwatch" else UnrouteMint(A))

        assert client.next_keys("unsubscribeTokenTrade") == ["MintA"]


def test_billed_trade_of_a_mint_nobody_wants_is_unsubscribed(server: FeedServer) -> None:
    with running(server.uri):
        client = server.client()
        client.send(buy("MintOrphan"))

        assert client.next_keys("unsubscribeTokenTrade") == ["MintOrphan"]


def test_coverage_begins_with_the_acknowledgement(server: FeedServer) -> None:
    server.acknowledges = False
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        client.send({"message": "Successfully subscribed to token creation events."})
        run.wait_for_state(FeedState.LIVE)
        assert coverage_of(run, A) == []

        client.send({"message": "Successfully subscribed to keys."})

        (change,) = run.wait_for(tracker_name(A), CoverageChanged)
        assert change.covered is True
        assert 0 < change.at_us <= run.system.clock.now_us()


def test_mint_routed_after_its_acknowledgement_is_covered_since_then(server: FeedServer) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(WatchMint(A))
        server.client().next_keys()
        wait_until(lambda: run.report().subscriptions["acknowledged"] == 1)
        before_us = run.system.clock.now_us()

        run.tell(RouteMint(A))

        (change,) = run.wait_for(tracker_name(A), CoverageChanged)
        assert (change.covered, change.at_us < before_us) == (True, True)


def test_doubt_ends_coverage_until_the_repeated_call_is_acknowledged(server: FeedServer) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        run.wait_for(tracker_name(A), CoverageChanged)

        run.tell(Resubscribe(A, in_doubt=True))

        assert client.next_keys() == ["MintA"]
        run.wait_for(tracker_name(A), CoverageChanged, 3)
        assert coverage_of(run, A) == [True, False, True]


@pytest.mark.parametrize("field", ["message", "errors"])
def test_refusal_of_trades_is_believed_wherever_it_stands(server: FeedServer, field: str) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        run.wait_for(tracker_name(A), CoverageChanged)

        client.send({field: REFUSAL})

        report = run.wait_for_state(FeedState.DISCOVERY_ONLY)
        assert report.reason == REFUSAL
        run.wait_for(tracker_name(A), CoverageChanged, 2)
        assert coverage_of(run, A) == [True, False]
        # And creates still go on
        client.send(CREATE)
        run.wait_for(DISCOVERY, Coin)
        assert run.report().state is FeedState.DISCOVERY_ONLY


def test_trade_ends_a_refusal_and_what_was_missed_is_written_down(server: FeedServer) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.send({"errors": "Minimum balance not met for PumpSwap websocket data."})
        run.wait_for_state(FeedState.DISCOVERY_ONLY)

        client.send(buy(A))

        run.wait_for_state(FeedState.LIVE)
        (recorded,) = run.wait_for(writer_name(0), GapRecorded)
        assert recorded.gap.mint is None
        assert recorded.gap.reason.startswith("discovery_only: Minimum balance not met")
        assert recorded.gap.started_us < recorded.gap.ended_us


def test_other_errors_are_logged_once_counted_and_change_nothing(server: FeedServer) -> None:
    with running(server.uri) as run:
        client = server.client()
        run.wait_for_state(FeedState.LIVE)

        client.send(*[{"errors": "Unknown method."}] * 3)

        wait_until(lambda: run.system.telemetry.value("mintwatch_feed_errors_total") == 3)
        assert [log["text"] for log in run.logs if log["event"] == "server_said"] == [
            "Unknown method."
        ]
        assert run.report().state is FeedState.LIVE


@pytest.mark.parametrize("way", ["reset", "close frame", "mid-frame", "end of stream"])
def test_lost_connection_is_opened_again_with_everything_restored(
    server: FeedServer, way: str
) -> None:
    with running(server.uri) as run:
        # Given a covered mint and a last trade
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        run.wait_for(tracker_name(A), CoverageChanged)
        client.send(buy(A, 1))
        (last,) = run.wait_for(tracker_name(A), Trade)

        # When the connection ends, one way or the other
        match way:
            case "reset":
                client.drop()
            case "close frame":
                client.send_close(1012, "restarting")
            case "mid-frame":
                wait_until(lambda: run.report().frames.get("control") == 3)
                client.send_raw(b"\x81\x7e\x02\x00" + b'{"txType":"buy"')
                client.drop()
            case _:
                client._sock.shutdown(2)

        # Then there is a new one with the same subscriptions
        again = server.client()
        assert [again.next_call()["method"] for _ in range(3)] == [
            "subscribeNewToken",
            "subscribeMigration",
            "subscribeTokenTrade",
        ]
        again.send(buy(A, 2))
        (_, first) = run.wait_for(tracker_name(A), Trade, 2)
        # And the time between is a gap from the last data frame to the first one, not covered
        (recorded,) = run.wait_for(writer_name(0), GapRecorded)
        assert (recorded.gap.started_us, recorded.gap.ended_us) == (
            last.arrived_us,
            first.arrived_us,
        )
        run.wait_for(tracker_name(A), CoverageChanged, 3)
        changes = [m for m in run.told[tracker_name(A)] if isinstance(m, CoverageChanged)]
        assert [change.covered for change in changes] == [True, False, True]
        assert changes[1].at_us == last.arrived_us
        wait_until(lambda: run.report().reconnects == 1)


def test_server_that_closes_is_quoted(server: FeedServer) -> None:
    with running(server.uri) as run:
        server.client().send_close(1012, "service restart")

        wait_until(lambda: run.report().last_error)

        assert run.report().last_error == "the server closed the connection: 1012 service restart"


def test_403_is_a_ban_that_waits_for_minutes(server: FeedServer) -> None:
    server.refusals = [(403, "You are banned")]
    with running(server.uri) as run:
        report = run.wait_for_state(FeedState.BANNED)

        assert report.reason == "the server answered the upgrade with HTTP 403: You are banned"
        assert run.wait_for_log("feed_away")["retry_in_s"] == 300.0


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "the server did not complete the WebSocket handshake"),
        (401, "the server answered the upgrade with HTTP 401: no"),
        (404, "the server answered the upgrade with HTTP 404: no"),
        (429, "the server answered the upgrade with HTTP 429: no"),
        (503, "the server answered the upgrade with HTTP 503: no"),
    ],
)
def test_other_answers_to_the_upgrade_are_tried_again(
    server: FeedServer, status: int, reason: str
) -> None:
    server.refusals = [(status, "no")]
    with running(server.uri) as run:
        server.client()

        run.wait_for_state(FeedState.LIVE)

        assert run.wait_for_log("feed_away")["reason"] == reason


def test_refused_connection_is_tried_again_and_said(server: FeedServer) -> None:
    with FeedServer() as other:
        uri = other.uri
    with running(uri) as run:
        reason = run.wait_for_log("feed_away")["reason"]

    assert reason == "the connection failed: Connection refused (ECONNREFUSED)"


def test_host_that_does_not_exist_is_said_without_its_address() -> None:
    with running("ws://no-such-host.invalid/api/data") as run:
        reason = run.wait_for_log("feed_away")["reason"]

    assert reason == "the host name of the feed cannot be looked up"


def test_hanging_handshake_does_not_block_the_actor(server: FeedServer) -> None:
    server.is_mute = True
    with running(server.uri) as run:
        run.wait_for_state(FeedState.CONNECTING)

        report = run.system.ask(CONNECTION, GetFeed(), LIMIT_S)

        assert report.state is FeedState.CONNECTING


def test_silence_on_an_open_socket_is_noticed_and_reconnected(server: FeedServer) -> None:
    with running(server.uri, ws_connection_timeout=1) as run:
        # Given a feed that sends once and never again
        server.client().send(CREATE)
        run.wait_for(DISCOVERY, Coin)

        # When the time is over
        again = server.client()

        # Then the feed is silent, and acknowledgements alone do not change that
        again.next_call()
        states = [message.state for message in run.wait_for(SUPERVISOR, FeedStateChanged, 4)]
        assert states[:4] == [
            FeedState.CONNECTING,
            FeedState.CONNECTING,
            FeedState.LIVE,
            FeedState.SILENT,
        ]
        assert run.report().state is FeedState.SILENT
        again.send(CREATE | {"mint": "MintTwo"})
        run.wait_for_state(FeedState.LIVE)


def test_acknowledgements_and_pongs_are_no_signs_of_life(server: FeedServer) -> None:
    with running(server.uri, ws_connection_timeout=1, ws_ping_interval=0.05) as run:
        server.client()

        run.wait_for_state(FeedState.SILENT)

        assert server.pings > 0


def test_missing_pong_warns_and_does_not_close(server: FeedServer) -> None:
    server.answers_pings = False
    with running(server.uri, ws_ping_interval=0.05, ws_ping_timeout=0.05) as run:
        client = server.client()
        wait_until(lambda: run.system.telemetry.value("mintwatch_pongs_missing_total") >= 2)

        client.send(CREATE)

        run.wait_for(DISCOVERY, Coin)
        assert run.report().reconnects == 0


def test_answered_pings_warn_of_nothing(server: FeedServer) -> None:
    with running(server.uri, ws_ping_interval=0.05, ws_ping_timeout=5) as run:
        server.client()
        wait_until(lambda: server.pings >= 5)

        assert run.system.telemetry.value("mintwatch_pongs_missing_total") == 0


def test_ping_of_the_server_is_answered_even_between_parts(server: FeedServer) -> None:
    with running(server.uri) as run:
        client = server.client()

        client.send_in_parts([b'{"txType":"mi', b'grate","mint":', b'"MintA"}'], b"hello")

        (migration,) = run.wait_for(DISCOVERY, Migration)
        assert migration.mint == "MintA"
        assert server.pongs.get(timeout=LIMIT_S) == b"hello"


def wait_for_a_turn(run: Running) -> None:
    before_us = run.system.wheel.feed_us
    wait_until(lambda: run.system.wheel.feed_us > before_us)


def test_frame_that_comes_in_drops_is_put_together(server: FeedServer) -> None:
    with running(server.uri) as run:
        client = server.client()
        wait_until(lambda: run.report().frames.get("control") == 2)
        frame = b'{"txType":"migrate","mint":"MintA","signature":"s"}'
        data = b"\x81" + bytes([len(frame)]) + frame

        for index in range(len(data)):
            client.send_raw(data[index : index + 1])
            if index % 10 == 0:
                # Whole turns pass while the frame is incomplete.
                wait_for_a_turn(run)

        assert run.wait_for(DISCOVERY, Migration)[0].mint == "MintA"


def test_ten_megabyte_frame_is_taken(server: FeedServer) -> None:
    with running(server.uri) as run:
        server.client().send(CREATE | {"name": "x" * 10_000_000})

        (coin,) = run.wait_for(DISCOVERY, Coin)

        assert coin.name == "x" * 255


def flood(client: Client) -> None:
    with pytest.raises(OSError, match=r"."):
        client.send_in_parts([b"x" * (8 * 1024 * 1024)] * 100)


@pytest.mark.parametrize("in_parts", [False, True])
def test_message_beyond_the_bound_ends_the_connection(server: FeedServer, in_parts: bool) -> None:
    with running(server.uri) as run:
        client = server.client()
        wait_until(lambda: run.report().frames.get("control") == 2)
        if in_parts:
            sender = threading.Thread(target=flood, args=(client,))
            sender.start()
        else:
            client.send_raw(b"\x81\x7f" + (2**62).to_bytes(8, "big"))

        server.client()

        assert "16777216 are allowed" in run.wait_for_log("feed_away")["reason"]
        if in_parts:
            sender.join(LIMIT_S)


def test_stop_closes_routes_and_socket_in_order(server: FeedServer) -> None:
    with running(server.uri) as run:
        tracker = run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        client.send(buy(A))
        (trade,) = run.wait_for(tracker_name(A), Trade)

        run.tell(StopReading())

        (stopped,) = run.wait_for(SUPERVISOR, ReadingStopped)
        assert stopped.last_arrived_us == trade.arrived_us
        run.wait_for(tracker_name(A), RouteClosed)
        assert isinstance(tracker[-1], RouteClosed)
        assert client.closed.wait(LIMIT_S)
        assert client.close_code == 1000
        assert run.report().state is FeedState.OFFLINE


def test_stop_does_not_wait_for_a_server_that_does_not_answer(server: FeedServer) -> None:
    server.answers_close = False
    with running(server.uri, ws_close_timeout=0.2) as run:
        client = server.client()
        run.wait_for_state(FeedState.LIVE)
        run.tell(StopReading())

        run.wait_for(SUPERVISOR, ReadingStopped)

        assert client.closed.wait(LIMIT_S)


def test_feed_clock_stands_still_after_the_stop(server: FeedServer) -> None:
    with running(server.uri) as run:
        server.client()
        run.wait_for_state(FeedState.LIVE)
        run.tell(StopReading())
        run.wait_for(SUPERVISOR, ReadingStopped)
        covered_us = run.system.wheel.feed_us

        run.system.ask(CONNECTION, GetFeed(), LIMIT_S)

        assert run.system.wheel.feed_us == covered_us


def test_failed_actor_goes_on_with_the_same_subscriptions(server: FeedServer) -> None:
    with running(server.uri) as run:
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        client.send(buy(A, 1))
        run.wait_for(tracker_name(A), Trade)

        # When a message it does not know fails the actor
        run.tell("nonsense")

        # Then another instance opens a connection and subscribes what was wanted
        again = server.client()
        assert again.next_keys() == ["MintA"]
        again.send(buy(A, 2))
        assert [trade.seq for trade in run.wait_for(tracker_name(A), Trade, 2)] == [1, 2]
        assert client.closed.wait(LIMIT_S)


def test_trades_of_a_tracker_that_takes_none_are_parked_and_come_in_order_later(
    server: FeedServer,
) -> None:
    with running(server.uri) as run:
        # Given a mint that has a route but no tracker that could take anything
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        for number in range(1, 4):
            client.send(buy(A, number))
        wait_until(lambda: run.system.ledger.count(Place.PARKED) == 3)
        assert run.system.ledger.count(Place.QUEUED) == 0
        assert run.wait_for_log("parked")["mint"] == A
        assert run.ask_feed().parked_from_us is not None

        # When the tracker is there
        run.tracker(A)
        client.send(buy(A, 4))

        # Then it gets what was parked, once and in order, and later trades behind it
        trades = run.wait_for(tracker_name(A), Trade, 4)
        assert [trade.signature for trade in trades] == ["sig1", "sig2", "sig3", "sig4"]
        run.wait_for_log("unparked")
        client.send(buy(A, 5))
        assert run.wait_for(tracker_name(A), Trade, 5)[-1].signature == "sig5"
        assert run.system.ledger.count(Place.PARKED) == 0
        assert run.ask_feed().parked_from_us is None


def test_a_route_that_is_closed_keeps_what_is_parked_until_its_tracker_takes_it(
    server: FeedServer,
) -> None:
    with running(server.uri) as run:
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()
        client.send(buy(A, 1))
        wait_until(lambda: run.system.ledger.count(Place.PARKED) == 1)
        parked_from_us = run.ask_feed().parked_from_us

        run.tell(UnrouteMint(A))
        run.wait_for(DISCOVERY, RouteClosed, 1)
        assert run.ask_feed().parked_from_us == parked_from_us

        run.tracker(A)
        run.wait_for(tracker_name(A), RouteClosed, 1)
        assert [type(each) for each in run.told[tracker_name(A)]] == [
            Trade,
            TradesUnparked,
            RouteClosed,
        ]
        assert run.ask_feed().parked_from_us is None


def test_what_is_known_of_a_route_is_told(server: FeedServer) -> None:
    server.acknowledges = False
    with running(server.uri) as run:

        def route(mint: Mint = A) -> RouteReport:
            report = run.system.ask(CONNECTION, GetRoute(mint), LIMIT_S)
            assert isinstance(report, RouteReport)
            return report

        assert run.system.timelines.of(A) is None
        assert route(B) == RouteReport(
            mint=B,
            routed=False,
            subscription=None,
            covered=False,
            parked_trades=0,
            parked_from_us=None,
            last_subscribed_us=None,
        )
        client = server.client()
        asked_us = run.system.clock.now_us()
        run.tell(RouteMint(A))
        client.next_keys()
        told_us = run.system.clock.now_us()
        first = route()
        assert (first.routed, first.subscription, first.covered) == (True, "sent", False)
        assert first.last_subscribed_us is not None
        assert asked_us - 1_000 <= first.last_subscribed_us <= told_us + 1_000

        client.send(buy(A, 1), buy(A, 2))
        wait_until(lambda: route().parked_trades == 2)
        second = route()
        assert (second.subscription, second.covered) == ("acknowledged", True)
        assert second.parked_from_us == run.ask_feed().parked_from_us
        wait_until(lambda: (run.system.timelines.of(A) or ())[4:])
        told = [(note.what, note.details) for note in run.system.timelines.of(A) or ()]
        assert sorted(what for what, _ in told) == [
            "covered",
            "parked",
            "routed",
            "subscription",
            "subscription",
        ]
        assert [details for what, details in told if what == "subscription"] == [
            {"state": "sent", "attempt": 1},
            {"state": "acknowledged", "attempt": 1},
        ]


def test_changed_settings_act_on_an_open_connection(server: FeedServer) -> None:
    with running(server.uri, subscribe_batch_size=50, subscribe_batch_interval=60.0) as run:
        client = server.client()
        run.wait_for_state(FeedState.LIVE)
        run.tell(WatchMint(A))
        assert client.next_keys() == ["MintA"]
        run.tell(WatchMint(B), WatchMint(Mint("MintC")))
        run.ask_feed()

        # When batches are smaller and more frequent, and pings are asked for
        run.system.change_settings(
            run.system.settings.model_copy(
                update={
                    "subscribe_batch_size": 1,
                    "subscribe_batch_interval": 0.01,
                    "ws_ping_interval": 0.05,
                }
            )
        )

        # Then keys that wait for their batch leave, one in each call, and pings are sent
        assert client.next_keys() == ["MintB"]
        assert client.next_keys() == ["MintC"]
        wait_until(lambda: server.pings >= 2)


def test_full_mailboxes_stop_reading_and_the_clock(server: FeedServer) -> None:
    with running(server.uri) as run:
        client = server.client()
        run.wait_for_state(FeedState.LIVE)

        # When more than 100,000 events wait
        run.system.load.add(100_001)
        run.wait_for_log("reading_paused")
        covered_us = run.system.wheel.feed_us
        client.send(CREATE)
        wait_until(lambda: run.report().reason == "waiting for the mailboxes to empty")
        assert run.system.wheel.feed_us == covered_us
        assert run.told[DISCOVERY] == []

        # Then reading goes on once they are half empty
        run.system.load.add(-50_002)
        run.wait_for(DISCOVERY, Coin)
        run.system.load.add(-49_999)


@pytest.mark.parametrize("way", ["403", "close", "errors", "refused", "redirect"])
def test_secret_never_leaves_the_address(server: FeedServer, way: str) -> None:
    # Given a server that repeats the key in whatever it says
    spelled = "k3y%2B%2Fwith%3Dsigns%26more"
    if way in ("403", "redirect"):
        server.refusals = [(403 if way == "403" else 302, f"no {SECRET} {spelled}")]
    with running(server.uri, pumpportal_api_key=SECRET) as run:
        if way not in ("403", "redirect"):
            client = server.client()
            assert client.path == f"/api/data?api-key={spelled}"
            match way:
                case "close":
                    client.send_close(1008, f"bad key {SECRET}")
                case "errors":
                    client.send({"errors": f"what is {spelled}?"})
                case _:
                    client.send({"errors": f"Invalid API key {SECRET}"})
        wait_until(
            lambda: any(
                log["event"] in ("feed_away", "server_said", "trades_refused") for log in run.logs
            )
        )

        # Then neither logs nor messages nor the report show it
        shown = f"{run.logs} {run.told} {run.report()} {run.system.dead_letters.all()}"
        assert "***" in shown or way == "redirect"
        assert SECRET not in shown
        assert spelled not in shown
        assert run.report().source == server.uri


@pytest.mark.parametrize("begins_at", range(200, 310, 7))
def test_secret_across_the_end_of_what_is_shown_leaves_no_piece(
    server: FeedServer, begins_at: int
) -> None:
    # Given a server whose page repeats the key where the text is cut, and is itself cut within it
    key = "a-key-that-is-long-" + "0123456789" * 10
    server.refusals = [(401, "." * begins_at + key + "." * 200 + key[:40])]
    with running(server.uri, pumpportal_api_key=key) as run:
        wait_until(lambda: any(log["event"] == "feed_away" for log in run.logs))

        shown = f"{run.logs} {run.told} {run.report()}"

    assert "HTTP 401: ..." in shown
    assert "a-key" not in shown


def test_address_that_is_none_is_reported_and_not_tried() -> None:
    with running("ws://127.0.0.1:1/", starts=False) as run:
        # Given a setting that slipped through validation
        run.system.stop_child(CONNECTION, time.monotonic() + LIMIT_S)
        object.__setattr__(run.system.settings, "ws_uri", "https://user:pw@host/")
        run.system.start_child(
            ChildSpec(
                CONNECTION,
                "connection",
                ConnectionActor,
                lambda context: ConnectionActor(context, run.state),
            )
        )
        run.tell(StartReading())

        report = wait_until(lambda: run.report().last_error and run.report())

        assert "expected wss://host/path" in report.last_error
        assert "pw" not in str(run.logs)
        state = run.system.state_of(CONNECTION)
        assert state is not None
        assert state.value == "running"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "cert.pem"))
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    return pem


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_burst_over_tls_arrives_whole(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate.parent / "cert.pem"))
    with (
        FeedServer(server_context(certificate)) as server,
        running(server.uri, tls=trusting) as run,
    ):
        run.tracker(A)
        run.tell(RouteMint(A))
        client = server.client()
        client.next_keys()

        client.send(*(buy(A, number) for number in range(2_000)))

        assert len(run.wait_for(tracker_name(A), Trade, 2_000)) == 2_000


def test_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    with FeedServer(server_context(certificate)) as server, running(server.uri) as run:
        reason = run.wait_for_log("feed_away")["reason"]

    assert reason.startswith("TLS failed: unable to get local issuer certificate")
