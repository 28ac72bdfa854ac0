"""What a crash, a broken file or a refused migration must not take along."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from actors.domain import Mint, Trade
from actors.protocol.connection import ReleaseJournal, RouteMint, StartReading
from actors.protocol.discovery import CacheStatus, RouteSwitched
from actors.protocol.n8n_writer import CoinDiscovered
from actors.protocol.supervisor import CONNECTION, DISCOVERY
from actors.protocol.tracker import CreatorBuy
from actors.stream_watch import ThreadConnector
from db.errors import DatabaseUnavailableError, MigrationError
from settings import Settings
from tests.connection.test_replay_source import Replay, buy, record
from tests.discovery.builders import coin
from tests.discovery.test_actor import House
from tests.supervisor.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path

    from actors.stream_watch.reader import StreamReader

A = Mint("MintA")
LIMIT_S = 5.0
SECOND = 1_000_000


def test_a_coin_that_was_activated_before_the_crash_is_told_to_n8n_all_the_same() -> None:
    house = House(Settings())
    tracker = house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))  # its stream is active, so it is routed before the replay
    house.receive(coin(), coin(seq=2, at_s=1))
    assert house.n8n.messages == [CoinDiscovered(coin())]
    assert tracker.of(CreatorBuy) == [CreatorBuy(coin())]


def test_a_tracked_coin_that_the_filter_refuses_keeps_its_first_trade_and_is_told_nobody() -> None:
    house = House(Settings())
    tracker = house.system.probe("tracker:MintA")
    house.tell(RouteSwitched(A))
    house.receive(coin(name="rugpull"))
    assert house.n8n.messages == []
    assert tracker.of(CreatorBuy) == [CreatorBuy(coin(name="rugpull"))]
    assert house.places() == {"queued": 1}


@pytest.mark.parametrize(
    "error", [MigrationError("a table is locked"), DatabaseUnavailableError("away")]
)
def test_a_database_that_cannot_be_migrated_yet_ends_the_attempt_to_connect(
    error: Exception,
) -> None:
    def refuse() -> StreamReader:
        raise error

    connector = ThreadConnector(refuse)
    ended = threading.Event()
    connector.start(ended.set)
    assert ended.wait(LIMIT_S)
    assert connector.take() is error


def test_frames_in_front_of_a_broken_line_are_handed_on_before_the_replay_gives_up(
    tmp_path: Path,
) -> None:
    path = record(tmp_path / "r.jsonl", (1.0, buy("MintA", 1)), (1.01, buy("MintA", 2)))
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    replay = Replay(path)
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StartReading())
    replay.turns(3)
    assert [trade.signature for trade in tracker.of(Trade)] == ["sig1", "sig2"]
    assert "line 3" in str(replay.report().last_error)


def cache(oldest_us: int | None) -> CacheStatus:
    return CacheStatus(
        total=0, activated=0, expired=0, cached_trades=0, oldest_us=oldest_us, newest_us=None,
        discovered=0,
    )  # fmt: skip


def test_the_journal_keeps_what_has_just_left_the_cache_until_it_shows_elsewhere() -> None:
    scene = Scene()
    scene.state.streams_loaded = True

    def look(feed_us: int, oldest_us: int | None) -> int:
        scene.system._cells[DISCOVERY].status = cache(oldest_us)
        scene.system.advance_feed(feed_us)
        scene.system.advance(10.0)
        released = [m for m in scene.told(CONNECTION) if isinstance(m, ReleaseJournal)]
        return released[-1].before_us if released else 0

    # Given a coin of second 1,000 in the cache
    look(1_090 * SECOND, 1_000 * SECOND)
    # When it is on its way to a tracker, and no actor says yet that it holds it
    assert look(1_100 * SECOND, None) <= 1_000 * SECOND
    # Then the journal is let go of at the next look, when it is in rows or a writer says so
    assert look(1_110 * SECOND, None) == 1_090 * SECOND
