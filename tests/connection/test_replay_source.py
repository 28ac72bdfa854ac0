from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from actors.connection import (
    ConnectionActor,
    ConnectionState,
    FeedReport,
    RouteMint,
    StartReading,
    StopReading,
    UnrouteMint,
    WatchMint,
)
from actors.connection.partition import RawFrame
from actors.connection.replay_source import RecordingError, read_recording
from actors.domain import Coin, FeedState, Mint, Place, Trade
from actors.journal.records import FactRecord, FrameRecord, encode
from actors.protocol.discovery import RouteClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    SUPERVISOR,
    FeedEnded,
    ReadingStopped,
    tracker_name,
)
from actors.protocol.tracker import CoverageChanged
from actors.runtime import Exceeded, RestartBudget
from actors.runtime.simulation import Probe, ProbeHandle, SeededSystem
from settings import Settings
from tests.connection.test_decoder import BUY, CREATE

if TYPE_CHECKING:
    from actors.runtime import Context, Message

A = Mint("MintA")
RECORDINGS = Path(__file__).parent.parent / "recordings"


def record(path: Path, *frames: tuple[float | None, Any]) -> Path:
    lines = [json.dumps({"received_at": at, "message": frame}) for at, frame in frames]
    path.write_text("\n".join(lines) + "\n")
    return path


def buy(mint: str, number: int = 0) -> dict[str, Any]:
    return BUY | {"mint": mint, "signature": f"sig{number}"}


class Replay:
    """A connection that replays a file on the manual clock, with probes around it."""

    def __init__(self, path: Path) -> None:
        settings = Settings(feed=f"replay:{path}")
        self.system = SeededSystem(settings=settings)
        self.state = ConnectionState(settings)
        self.supervisor = self.system.probe(SUPERVISOR)
        self.discovery = self.system.probe(DISCOVERY)
        self.system.start(CONNECTION, lambda context: ConnectionActor(context, self.state))

    def tracker(self) -> ProbeHandle:
        return self.system.probe(tracker_name(A))

    def tell(self, *messages: Message) -> None:
        for message in messages:
            assert self.system.tell(CONNECTION, message)
        self.system.run()

    def turns(self, count: int = 1) -> None:
        for _ in range(count):
            self.system.poll(CONNECTION)

    def report(self) -> FeedReport:
        report = self.system.status_of(CONNECTION)
        assert isinstance(report, FeedReport)
        return report


def test_times_become_integer_microseconds_that_rise(tmp_path: Path) -> None:
    path = record(
        tmp_path / "r.jsonl",
        (None, {}),
        (1783089923.1110196, {}),
        (1783089923.1110196, {}),
        (None, {}),
        (1.0, {}),
        (1783089924, {}),
    )

    assert [item.at_us for item in read_recording(path)] == [
        1,
        1783089923111020,
        1783089923111021,
        1783089923111022,
        1783089923111023,
        1783089924000000,
    ]


def test_frames_come_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"received_at": 1.5, "message": { "a" : 1.0e0 , "b":"\\u0041"}}\n')

    assert list(read_recording(path)) == [RawFrame(1_500_000, b'{ "a" : 1.0e0 , "b":"\\u0041"}')]


def test_recording_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"received_at": 1, "message": {}}\n'))

    assert list(read_recording(path)) == [RawFrame(1_000_000, b"{}")]


def test_segment_of_the_journal_is_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "segment.jsonl"
    records = (
        FrameRecord(seq=1, at_us=5_000_001, data=b'{"a":1}'),
        FactRecord(seq=1, at_us=5_000_002, name="tracker_started", mint=A),
        FrameRecord(seq=1, at_us=5_000_003, data=b"rub\xffbish"),
    )
    path.write_bytes(b"".join(encode(item) for item in records))

    assert list(read_recording(path)) == [
        RawFrame(5_000_001, b'{"a":1}'),
        RawFrame(5_000_003, b"rub\xffbish"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"rubbish", "malformed"),
        (b"[]", "Expected"),
        (b'{"received_at": 1}', "there is no message"),
        (b'{"received_at": -1, "message": {}}', "received_at is -1"),
        (b'{"received_at": 1e300, "message": {}}', "received_at is 1e+300"),
        (b'{"received_at": 1, "raw": "?"}', "raw is no base64"),
        (b'{"received_at": 1, "message": {}', "truncated"),
    ],
)
def test_bad_line_is_named_with_file_and_number(tmp_path: Path, line: bytes, found: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"received_at": 1, "message": {}}\n\n' + line + b"\n")

    with pytest.raises(RecordingError, match=r"r\.jsonl, line 3: .*expected") as caught:
        list(read_recording(path))

    assert found in str(caught.value)


def test_file_that_is_no_gzip_is_an_error_of_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(b"plain")

    with pytest.raises(RecordingError, match="cannot be read"):
        list(read_recording(path))


def test_slices_carry_the_recorded_times_and_end_after_50_ms(tmp_path: Path) -> None:
    # Given a routed mint with trades 20 ms apart
    path = record(tmp_path / "r.jsonl", *((1 + n / 50, buy(A, n)) for n in range(5)))
    replay = Replay(path)
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StartReading())

    # When one slice is handed on
    replay.turns()

    # Then it holds what came within 50 ms, and the clock stands right behind it
    assert [trade.arrived_us for trade in tracker.of(Trade)] == [1_000_000, 1_020_000, 1_040_000]
    assert replay.system.wheel.feed_us == 1_040_001
    replay.turns()
    assert [trade.seq for trade in tracker.of(Trade)] == [1, 2, 3, 4, 5]


def test_slice_holds_256_frames_at_most(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", *((1.0, buy(A, n)) for n in range(300))))
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StartReading())

    replay.turns()

    assert len(tracker.of(Trade)) == 256


def test_end_is_told_once_behind_the_last_slice(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, buy(A)), (2.0, buy(A, 2))))
    replay.tell(RouteMint(A), StartReading())

    replay.turns(2)
    assert replay.supervisor.of(FeedEnded) == []
    replay.turns(3)

    assert replay.supervisor.of(FeedEnded) == [FeedEnded(frames=2)]
    assert replay.system.wheel.feed_us == 2_000_001


def test_recorded_refusal_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, {"errors": "Invalid API key."})))
    replay.tell(StartReading())

    replay.turns()

    assert replay.report().state is FeedState.LIVE
    assert replay.state.kinds == {"control": 1}


def test_mint_is_covered_from_its_first_frame(tmp_path: Path) -> None:
    # Given a mint that is routed after its create
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE | {"mint": A}), (9.0, buy(A))))
    tracker = replay.tracker()
    replay.tell(StartReading())
    replay.turns()

    # When it is routed
    replay.tell(RouteMint(A))
    replay.turns()

    # Then it counts as covered since the create, told once
    assert tracker.of(CoverageChanged) == [CoverageChanged(covered=True, at_us=1_000_000)]


def test_coverage_is_told_before_the_first_trade(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (3.0, buy(A))))
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StartReading())

    replay.turns()

    assert [type(message) for message in tracker.messages] == [CoverageChanged, Trade]


def test_full_mailboxes_make_the_replay_wait(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE)))
    replay.tell(StartReading())
    replay.system.load.add(2_001)
    replay.turns(3)
    assert replay.discovery.of(Coin) == []

    replay.system.load.add(-1)
    replay.turns()

    assert len(replay.discovery.of(Coin)) == 1


def test_next_slice_waits_until_what_follows_from_the_last_one_is_done(tmp_path: Path) -> None:
    # Given a recording with a quiet hour in it, and a tracker that waits for something
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE), (3_600.0, buy(A))))
    tracker = tracker_name(A)
    replay.system.start(tracker, lambda context: Probe(context, [], None))
    mailbox = replay.system._cells[tracker].mailbox
    replay.tell(StartReading())
    replay.turns()
    mailbox.hold()

    # When the reader has its turns
    replay.turns(100)

    # Then the clock stands right behind the create, and goes on once nobody waits
    assert replay.system.wheel.feed_us == 1_000_001
    mailbox.release()
    replay.turns()
    assert replay.system.wheel.feed_us == 3_600_000_001


def test_actor_in_quarantine_is_not_waited_for(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE), (2.0, buy(A))))
    replay.system.start(
        tracker_name(A), failing, exceeded=Exceeded.QUARANTINE, budget=RestartBudget(0, 60.0)
    )
    replay.tell(StartReading())

    replay.turns(2)

    assert replay.system.state_of(tracker_name(A)) == "quarantined"
    assert replay.system.wheel.feed_us == 2_000_001


def test_long_wait_is_logged_with_who_is_waited_for(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE), (2.0, buy(A))))
    replay.system._cells[DISCOVERY].mailbox.hold()
    replay.tell(StartReading())

    with structlog.testing.capture_logs() as logs:
        replay.turns()
        replay.system.advance(10)
        replay.turns()

    assert [log for log in logs if log["event"] == "replay_waits"] == [
        {
            "event": "replay_waits",
            "log_level": "warning",
            "actor": "connection",
            "waits_for": "discovery",
            "seconds": 10.0,
        }
    ]
    assert replay.discovery.of(Coin) == []


def failing(_: Context) -> Probe:
    raise RuntimeError("it cannot start")


def test_broken_recording_ends_the_replay_with_its_reason(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", (1.0, CREATE))
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    replay = Replay(path)
    replay.tell(StartReading())

    replay.turns(2)

    assert replay.report().state is FeedState.OFFLINE
    assert "line 2" in str(replay.report().last_error)
    assert len(replay.supervisor.of(FeedEnded)) == 1


def test_restarted_actor_goes_on_behind_the_last_frame(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", *((float(n + 1), buy(A, n)) for n in range(4))))
    tracker = replay.tracker()
    replay.tell(RouteMint(A), StartReading())
    replay.turns(2)

    # When the actor fails and is started again
    replay.tell("nonsense")  # type: ignore[arg-type]  # what no sender would send
    replay.system.advance(60)
    replay.turns(5)

    # Then every trade came once
    assert [trade.signature for trade in tracker.of(Trade)] == ["sig0", "sig1", "sig2", "sig3"]
    assert [trade.seq for trade in tracker.of(Trade)] == [1, 2, 3, 4]


def test_stop_closes_every_route_behind_the_last_stamp(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, buy(A)), (2.0, buy(A))))
    tracker = replay.tracker()
    replay.tell(RouteMint(A), WatchMint(Mint("MintB")), StartReading())
    replay.turns()

    replay.tell(StopReading())
    replay.turns(2)

    assert tracker.messages[-1] == RouteClosed(A, at_us=1_000_001)
    assert replay.discovery.messages[-1] == RouteClosed(A, at_us=1_000_001)
    assert replay.supervisor.of(ReadingStopped) == [ReadingStopped(last_arrived_us=1_000_000)]
    assert len(tracker.of(Trade)) == 1


def test_closing_a_route_that_is_none_is_answered_all_the_same(tmp_path: Path) -> None:
    replay = Replay(record(tmp_path / "r.jsonl", (1.0, CREATE)))
    tracker = replay.tracker()

    replay.tell(UnrouteMint(A))

    assert [type(message) for message in tracker.messages] == [RouteClosed]


def test_sequence_numbers_go_on_over_restarts(tmp_path: Path) -> None:
    settings = Settings(feed=f"replay:{record(tmp_path / 'r.jsonl', (1.0, CREATE))}")
    system = SeededSystem(settings=settings)
    discovery = system.probe(DISCOVERY)
    state = ConnectionState(settings, next_seq=1_000)
    system.start(CONNECTION, lambda context: ConnectionActor(context, state))
    system.tell(CONNECTION, StartReading())
    system.run()

    system.poll(CONNECTION)

    assert discovery.of(Coin)[0].seq == 1_000


@pytest.mark.parametrize("name", ["market.jsonl.gz", "session.jsonl.gz"])
def test_recordings_of_the_repository_play_to_their_end(name: str) -> None:
    replay = Replay(RECORDINGS / name)
    replay.tell(StartReading())

    for _ in range(20_000):
        if replay.supervisor.of(FeedEnded):
            break
        replay.turns()

    received, places = replay.system.ledger.read()
    kinds = replay.state.kinds
    assert len(replay.supervisor.of(FeedEnded)) == 1
    assert (kinds["malformed"], kinds["unknown"]) == (0, 0)
    assert received > 0
    assert places[Place.QUEUED] + places[Place.ORPHAN] == received
