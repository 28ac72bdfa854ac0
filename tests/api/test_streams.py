"""/trackers/{mint}/tap: what is sent, for how long, and to how many at once."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Trade, Wallet
from actors.protocol.operator import OpenTap
from actors.runtime import ArrivalClock
from actors.runtime.inspection.recent_messages import RecentMessage
from actors.runtime.inspection.taps import Tap
from actors.runtime.inspection.timeline import Note
from api import ApiServer
from api.trackers.tap_events import TapContext, events
from telemetry import Redactor
from tests.api.fakes import MINT, NOON_US
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0
NOTE = Note(NOON_US, "discovery", "activated", {"by": "trades"})
HANDLED = RecentMessage(
    at_us=NOON_US,
    message="Trade",
    summary="Trade(seq=7)",
    weight=1,
    waited_s=0.001,
    taken_s=0.0005,
    failed=False,
)
TRADE = Trade(
    seq=7,
    arrived_us=NOON_US,
    mint=MINT,
    signature="signature",
    trader=Wallet("alice"),
    is_buy=True,
    sol_lamports=1_500_000_000,
    token_units=2_000_000,
    price_sol=1.0,
    virtual_sol_lamports=None,
    virtual_token_units=None,
    pool="pump",
)


# What is sent.


@dataclass
class Script:
    """Gives what it was told to, and lets as much time pass as somebody would wait for it."""

    said: list[Any] = field(default_factory=list)
    now_s: float = 0.0
    closed: bool = False
    dropped: int = 0

    def get(self, timeout_s: float) -> Any:
        found = self.said.pop(0) if self.said else None
        if callable(found):
            found = found()
        if found is None:
            self.now_s += timeout_s
        return found


def read(script: Script, **changes: Any) -> list[str]:
    """Read a stream to its end; blocks between blank lines."""
    around: dict[str, Any] = {
        "monotonic_s": lambda: script.now_s,
        "gone": lambda: False,
        "closing": lambda: False,
        "redactor": Redactor(["hunter2-secret"]),
    }
    sent = b"".join(events(MINT, script, TapContext(**{**around, **changes})))
    return sent.decode().split("\n\n")[:-1]


def of_kind(blocks: list[str], kind: str) -> list[dict[str, Any]]:
    found = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    return [json.loads(event["data"]) for event in found if event.get("event") == kind]


def test_everything_heard_is_an_event_of_its_own_with_a_number() -> None:
    script = Script([HANDLED, NOTE], closed=True)

    blocks = read(script)

    assert blocks[1] == (
        "id: 1\nevent: handled\n"
        'data: {"at": "2026-07-03T12:00:00+00:00", "message": "Trade", "summary": "Trade(seq=7)", '
        '"events": 1, "waited_seconds": 0.001, "taken_seconds": 0.0005, "failed": false}'
    )
    assert blocks[2] == (
        "id: 2\nevent: note\n"
        'data: {"at": "2026-07-03T12:00:00+00:00", "actor": "discovery", "event": "activated", '
        '"details": {"by": "trades"}, "text": "It was activated by trades."}'
    )
    assert [block.splitlines()[1] for block in blocks] == [
        "event: begin",
        "event: handled",
        "event: note",
        "event: end",
    ]
    assert of_kind(blocks, "end") == [{"reason": "The tracker has ended.", "dropped": 0}]


def test_what_was_left_out_is_told_and_numbered() -> None:
    script = Script([HANDLED, None], closed=True)

    def fall_behind() -> Note:
        script.dropped = 3
        return NOTE

    script.said.insert(1, fall_behind)

    blocks = read(script)

    assert of_kind(blocks, "dropped") == [{"dropped": 3}]
    assert [block.splitlines()[0] for block in blocks] == [
        "id: 0",
        "id: 1",
        "id: 4",
        "id: 5",
        "id: 5",
    ]
    assert of_kind(blocks, "end") == [{"reason": "The tracker has ended.", "dropped": 3}]


def test_quiet_stream_beats_every_fifteen_seconds_and_ends_after_fifteen_minutes() -> None:
    script = Script()

    blocks = read(script)

    assert script.now_s == 900.0
    assert blocks.count(": still here") == 60
    assert of_kind(blocks, "end") == [
        {"reason": "A stream ends after 15 minutes: open another one.", "dropped": 0}
    ]


def test_stream_ends_when_the_server_stops() -> None:
    script = Script()

    blocks = read(script, closing=lambda: script.now_s >= 3)

    assert script.now_s == 3.0
    assert of_kind(blocks, "end") == [{"reason": "The service stops.", "dropped": 0}]


def test_stream_without_a_reader_says_no_more() -> None:
    script = Script([HANDLED] * 100)

    blocks = read(script, gone=lambda: len(script.said) <= 98)

    assert [block.splitlines()[1] for block in blocks] == [
        "event: begin",
        "event: handled",
        "event: handled",
    ]


def test_secret_and_line_breaks_do_not_reach_the_reader() -> None:
    note = Note(NOON_US, "discovery", "discovered", {"name": "a\n\nevent: end\nhunter2-secret"})

    blocks = read(Script([note], closed=True))

    assert len(blocks) == 3
    [shown] = of_kind(blocks, "note")
    assert shown["details"] == {"name": "a\n\nevent: end\n***"}


# Over HTTP.


class Taps:
    """Opens real taps, and remembers them."""

    def __init__(self, supervisor: FakeSupervisor) -> None:
        self.opened: list[Tap] = []
        supervisor.replies[OpenTap] = self.open

    def open(self, _: OpenTap) -> Tap:
        tap = Tap(ArrivalClock(), 256, lambda _: None)
        self.opened.append(tap)
        return tap

    @property
    def open_now(self) -> int:
        return sum(not tap.closed for tap in self.opened)


@pytest.fixture
def taps(supervisor: FakeSupervisor) -> Taps:
    return Taps(supervisor)


@pytest.fixture
def server(app_of: Callable[..., Flask], no_pool: Pool) -> Iterator[ApiServer]:
    started = ApiServer(app_of(no_pool), "127.0.0.1", 0)
    started.start()
    yield started
    assert started.stop(LIMIT_S)


class Listener:
    """A client of one stream."""

    def __init__(self, server: ApiServer, receive_bytes: int | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
        if receive_bytes is not None:
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            plain.settimeout(LIMIT_S)
            plain.connect(("127.0.0.1", server.port))
            self.connection.sock = plain
        self.connection.request("GET", f"/trackers/{MINT}/tap")
        self.answer = self.connection.getresponse()

    def next(self) -> str:
        """Read up to the next blank line."""
        lines = []
        while line := self.answer.readline().decode().strip():
            lines.append(line)
        return "\n".join(lines)

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_events_arrive_as_they_happen(server: ApiServer, taps: Taps) -> None:
    with closing(Listener(server)) as listener:
        headers = listener.answer.headers
        assert listener.answer.status == 200
        assert headers["Content-Type"] == "text/event-stream"
        assert (headers["Cache-Control"], headers["X-Accel-Buffering"]) == ("no-store", "no")
        assert listener.next().startswith("id: 0\nevent: begin\n")

        taps.opened[0].hear((TRADE, 1, 1_000, 2_000, 3_000, False))
        heard = listener.next()

        assert heard.startswith("id: 1\nevent: handled\n")
        assert '"message": "Trade"' in heard
        taps.opened[0].close()
        assert "The tracker has ended." in listener.next()
        assert listener.answer.read() == b""


def test_client_that_leaves_takes_its_tap_along(server: ApiServer, taps: Taps) -> None:
    listener = Listener(server)
    listener.next()

    listener.close()

    wait_until(lambda: taps.opened[0].closed, what="the end of the tap")


def test_client_that_does_not_read_is_given_up(server: ApiServer, taps: Taps) -> None:
    big = Note(NOON_US, "x", "discovered", {"name": "n" * 400, "symbol": "s" * 400})
    with closing(Listener(server, receive_bytes=4096)):
        [tap] = taps.opened

        def given_up() -> bool:
            for _ in range(200):
                tap.note(big)
            return tap.closed

        wait_until(given_up, what="the end of the tap")


def test_hundreds_of_attempts_get_eight_streams_and_health_is_still_answered(
    server: ApiServer, taps: Taps
) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(closing(Listener(server))) for _ in range(300)]
        refused = [each for each in listeners if each.answer.status == 503]

        assert len(refused) == 292
        assert [each.answer.headers["Retry-After"] for each in refused] == ["30"] * 292
        assert b"All 8 event streams are taken" in refused[0].answer.read()
        assert taps.open_now == 8
        for path in ("/livez", "/health", "/metrics", "/ledger"):
            assert status_of(server, path) == 200

        next(each for each in listeners if each.answer.status == 200).close()
        wait_until(lambda: taps.open_now == 7, what="a free place")
        with closing(Listener(server)) as another:
            assert another.answer.status == 200
    wait_until(lambda: taps.open_now == 0, what="the end of all taps")


def test_attempts_at_the_same_moment_get_no_more_than_there_are(
    server: ApiServer, taps: Taps
) -> None:
    listeners: list[Listener] = []
    together = threading.Barrier(40)

    def attempt() -> None:
        together.wait(LIMIT_S)
        listeners.append(Listener(server))

    threads = [threading.Thread(target=attempt) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    assert sorted(each.answer.status for each in listeners) == [200] * 8 + [503] * 32
    assert len(taps.opened) == 8
    for each in listeners:
        each.close()
    wait_until(lambda: taps.open_now == 0, what="the end of all taps")


def test_stopping_server_ends_its_streams(
    app_of: Callable[..., Flask], no_pool: Pool, taps: Taps
) -> None:
    server = ApiServer(app_of(no_pool), "127.0.0.1", 0)
    server.start()
    with closing(Listener(server)) as listener:
        listener.next()

        assert server.stop(LIMIT_S)

        assert "The service stops." in listener.next()
    assert taps.open_now == 0


def status_of(server: ApiServer, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    with closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


# Refused.


@pytest.mark.parametrize("times", [1, 20])
def test_coin_without_a_tracker_takes_no_place(
    lonely: FlaskClient, supervisor: FakeSupervisor, times: int
) -> None:
    supervisor.replies[OpenTap] = None

    answers = [lonely.get(f"/trackers/{MINT}/tap").status_code for _ in range(times)]

    assert answers == [404] * times


def test_silent_supervisor_takes_no_place(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.silent = "supervisor"

    answers = [lonely.get(f"/trackers/{MINT}/tap").status_code for _ in range(20)]

    assert answers == [504] * 20


def test_question_for_the_head_of_a_stream_opens_none(lonely: FlaskClient, taps: Taps) -> None:
    answer = lonely.head(f"/trackers/{MINT}/tap")

    assert (answer.status_code, answer.content_type) == (200, "text/event-stream")
    assert taps.opened == []
