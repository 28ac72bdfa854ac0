"""The connection against a real WebSocket server, on a manual clock: what takes minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.connection import (
    ConnectionActor,
    ConnectionState,
    FeedReport,
    RouteMint,
    StartReading,
    StopReading,
    WatchMint,
)
from actors.domain import FeedState, Mint
from actors.protocol.discovery import RouteClosed
from actors.protocol.postgres_writer import GapRecorded
from actors.protocol.supervisor import CONNECTION, DISCOVERY, SUPERVISOR, tracker_name, writer_name
from actors.runtime.simulation import SeededSystem
from settings import Settings
from tests.connection.feed_server import FeedServer
from tests.connection.test_decoder import BUY, CREATE
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B = Mint("MintA"), Mint("MintB")
NO_MONEY = {"errors": "Minimum balance not met for PumpSwap websocket data."}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[FeedServer]:
    with FeedServer() as server:
        yield server


class Live:
    """A connection that is polled by the test and lives on the test's clock."""

    def __init__(self, uri: str, last_frame_us: int | None = None) -> None:
        settings = Settings(ws_uri=uri, ws_ping_interval=0, ws_connection_timeout=86_400)
        self.system = SeededSystem(settings=settings)
        self.state = ConnectionState(settings, last_frame_us=last_frame_us)
        self.writer = self.system.probe(writer_name(0))
        self.tracker = self.system.probe(tracker_name(A))
        for name in (SUPERVISOR, DISCOVERY):
            self.system.probe(name)
        self.system.start(
            CONNECTION, lambda context: ConnectionActor(context, self.state, chance=lambda: 0.0)
        )

    def tell(self, *messages: Any) -> None:
        for message in messages:
            assert self.system.tell(CONNECTION, message)
        self.system.run()

    def poll_until(self, condition: Callable[[], Any]) -> None:
        def step() -> Any:
            self.system.poll(CONNECTION)
            return condition()

        wait_until(step, limit_s=10)

    def report(self) -> FeedReport:
        self.system.advance(0.1)
        self.system.poll(CONNECTION)
        report = self.system.status_of(CONNECTION)
        assert isinstance(report, FeedReport)
        return report

    def close(self) -> None:
        self.system.stop(CONNECTION)


@pytest.fixture
def live(server: FeedServer) -> Iterator[Live]:
    live = Live(server.uri)
    yield live
    live.close()


def refuse(live: Live, server: FeedServer) -> Any:
    """Bring a connection with two subscribed mints into `discovery_only`."""
    live.tell(RouteMint(A), WatchMint(B), StartReading())
    live.poll_until(lambda: not server._clients.empty())
    client = server.client()
    live.poll_until(lambda: live.state.status.is_live)
    live.poll_until(lambda: live.state.subscriptions.counts()["acknowledged"] == 2)
    while not client.calls.empty():
        client.calls.get()
    client.send(NO_MONEY)
    live.poll_until(lambda: live.state.status.state is FeedState.DISCOVERY_ONLY)
    return client


def test_probe_is_sent_after_a_minute_and_its_acknowledgement_restores_everything(
    live: Live, server: FeedServer
) -> None:
    client = refuse(live, server)

    # Given that nothing is asked for a minute
    live.system.advance(59)
    live.report()
    assert client.calls.empty()

    # When the minute is over, one key is asked for, and accepted
    live.system.advance(1)
    live.poll_until(lambda: not client.calls.empty())
    assert client.next_keys() == ["MintA"]

    # Then the feed is live and every wanted key is subscribed again
    live.poll_until(lambda: live.state.status.is_live)
    live.poll_until(lambda: not client.calls.empty())
    assert client.next_keys() == ["MintA", "MintB"]
    live.poll_until(lambda: live.state.subscriptions.counts()["acknowledged"] == 2)
    assert len(live.writer.of(GapRecorded)) == 1


def test_refused_probe_is_repeated_after_two_minutes(live: Live, server: FeedServer) -> None:
    client = refuse(live, server)
    server.acknowledges = False
    live.system.advance(60)
    live.poll_until(lambda: not client.calls.empty())
    client.next_keys()
    client.send(NO_MONEY)

    live.system.advance(119)
    live.report()
    assert client.calls.empty()
    live.system.advance(1)
    live.poll_until(lambda: not client.calls.empty())

    assert live.state.status.state is FeedState.DISCOVERY_ONLY


def test_acknowledgement_of_an_earlier_call_is_no_answer_to_a_probe(
    live: Live, server: FeedServer
) -> None:
    client = refuse(live, server)

    client.send({"message": "Successfully subscribed to keys."})

    live.poll_until(lambda: live.state.kinds["control"] >= 5)
    assert live.state.status.state is FeedState.DISCOVERY_ONLY


def test_banned_client_comes_back_after_five_minutes_then_ten(
    live: Live, server: FeedServer
) -> None:
    server.refusals = [(403, "no"), (403, "never")]
    live.tell(StartReading())
    live.poll_until(lambda: live.state.status.state is FeedState.BANNED)
    assert len(server.refusals) == 1

    live.system.advance(299)
    live.report()
    assert len(server.refusals) == 1

    live.system.advance(1)
    # The state is still the first ban's while the second attempt is on its way.
    live.poll_until(lambda: "never" in (live.state.last_error or ""))
    assert live.state.status.state is FeedState.BANNED
    live.system.advance(598)
    live.report()
    assert server._clients.empty()
    live.system.advance(2)
    live.poll_until(lambda: live.state.status.is_live)


def test_attempt_that_hangs_is_given_up_and_another_one_made(
    live: Live, server: FeedServer
) -> None:
    server.is_mute = True
    live.tell(StartReading())
    live.poll_until(lambda: server._open)

    live.system.advance(25)
    live.report()
    assert live.state.last_error == "the connection could not be opened in time"
    server.is_mute = False
    live.system.advance(3)

    live.poll_until(lambda: live.state.status.is_live)


def test_time_since_the_process_before_is_a_gap(server: FeedServer) -> None:
    live = Live(server.uri, last_frame_us=1_600_000_000_000_000)
    live.tell(StartReading())
    live.poll_until(lambda: live.state.status.is_live)

    server.client().send(CREATE)
    live.poll_until(lambda: live.writer.of(GapRecorded))

    gap = live.writer.of(GapRecorded)[0].gap
    assert (gap.started_us, gap.reason) == (1_600_000_000_000_000, "restart")
    assert gap.ended_us >= 1_700_000_000_000_000
    live.close()


def test_stamps_rise_while_the_clock_stands_still(live: Live, server: FeedServer) -> None:
    live.tell(RouteMint(A), StartReading())
    live.poll_until(lambda: live.state.subscriptions.counts()["acknowledged"] == 1)
    server.client().send(*(BUY | {"mint": A, "signature": f"s{n}"} for n in range(5)))

    live.poll_until(lambda: live.state.kinds["buy"] == 5)

    stamps = [m.arrived_us for m in live.tracker.messages if hasattr(m, "arrived_us")]
    assert stamps == list(range(stamps[0], stamps[0] + 5))
    assert live.system.wheel.feed_us > stamps[-1]


def test_route_that_comes_behind_the_stop_is_closed_at_once(live: Live) -> None:
    live.tell(StartReading(), StopReading())

    live.tell(RouteMint(A))

    assert [type(message) for message in live.tracker.messages] == [RouteClosed]


def test_failed_actor_does_not_dial_after_the_stop(live: Live, server: FeedServer) -> None:
    live.tell(StartReading(), StopReading(), "nonsense")
    live.system.advance(120)

    for _ in range(5):
        live.report()

    assert server._clients.empty()
    assert live.state.status.state is FeedState.OFFLINE


def test_changed_pause_ends_a_longer_one_that_has_begun(live: Live, server: FeedServer) -> None:
    # Given a connection that is tried again after a minute
    live.system.change_settings(
        live.system.settings.model_copy(
            update={"ws_retry_delay": 60.0, "ws_max_retry_delay": 60.0, "ws_uri": server.uri}
        )
    )
    live.tell(StartReading())
    live.poll_until(lambda: not server._clients.empty())
    server.client().drop()
    live.poll_until(lambda: live.state.status.state is FeedState.OFFLINE)
    live.system.advance(2)
    live.report()
    assert server._clients.empty()

    # When a second is enough
    live.system.change_settings(
        live.system.settings.model_copy(
            update={"ws_retry_delay": 1.0, "ws_max_retry_delay": 1.0, "ws_connection_timeout": 30.0}
        )
    )
    live.system.run()

    # Then it is tried at once, and the next silence is noticed by the new bound as well
    live.poll_until(lambda: not server._clients.empty())
    live.poll_until(lambda: live.state.status.is_live)
    live.system.advance(31)
    live.poll_until(lambda: live.state.status.state is FeedState.SILENT)


def test_changed_pause_does_not_shorten_a_ban(live: Live, server: FeedServer) -> None:
    server.refusals = [(403, "no")]
    live.tell(StartReading())
    live.poll_until(lambda: live.state.status.state is FeedState.BANNED)
    live.system.change_settings(
        live.system.settings.model_copy(update={"ws_retry_delay": 0.1, "ws_max_retry_delay": 0.1})
    )
    live.system.advance(60)
    live.report()
    assert server._clients.empty()
    assert live.state.status.state is FeedState.BANNED
