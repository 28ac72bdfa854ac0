"""One coin under the lens: commands, last messages, timeline, raw frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from actors.domain import Mint
from actors.protocol.connection import RouteReport
from actors.protocol.operator import (
    GetRecent,
    GetTimeline,
    GetTracker,
    Outcome,
    PauseTracker,
    PinTracker,
    ResumeTracker,
    TraceTracker,
    TrackerOverview,
)
from actors.runtime.inspection.recent_messages import RecentMessage
from actors.runtime.inspection.timeline import Note
from actors.runtime.messages import TimerReport
from api import create_app
from cli.client import quoted
from tests.api.fakes import MINT, NOON_US, TRACKED, actor, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from telemetry import Telemetry
    from tests.api.fakes import FakeSupervisor

HANDLED = RecentMessage(
    at_us=NOON_US + 1,
    message="Trade",
    summary="Trade(seq=7)",
    weight=2,
    waited_s=0.001,
    taken_s=0.0005,
    failed=True,
)
SHOWN = {
    "at": "2026-07-03T12:00:00.000001+00:00",
    "message": "Trade",
    "summary": "Trade(seq=7)",
    "events": 2,
    "waited_seconds": 0.001,
    "taken_seconds": 0.0005,
    "failed": True,
}
ROUTE = RouteReport(
    mint=MINT,
    routed=True,
    subscription="acknowledged",
    covered=True,
    parked_trades=3,
    parked_from_us=NOON_US,
    last_subscribed_us=None,
)


# Commands.


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("pause", PauseTracker(MINT)),
        ("resume", ResumeTracker(MINT)),
        ("pin", PinTracker(MINT, pinned=True)),
        ("unpin", PinTracker(MINT, pinned=False)),
    ],
)
@pytest.mark.parametrize(
    "replied",
    [
        (Outcome(found=True), 200),
        (Outcome(found=False), 404),
        (Outcome(found=True, refusal="It is so already."), 409),
    ],
)
def test_command_is_answered_by_its_outcome(
    lonely: FlaskClient,
    supervisor: FakeSupervisor,
    word: str,
    command: Any,
    replied: tuple[Outcome, int],
) -> None:
    outcome, status = replied
    supervisor.replies[type(command)] = outcome

    answer = lonely.post(f"/trackers/{MINT}/{word}")

    assert answer.status_code == status
    assert supervisor.asked == [command]
    if outcome.refusal is not None:
        assert answer.json is not None
        assert answer.json["detail"] == "It is so already."


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(60, "Every message is logged for 60 s."), (0, "Traced no more."), (0.5, None), (3600, None)],
)
def test_tracker_is_traced_for_a_while(
    lonely: FlaskClient, supervisor: FakeSupervisor, seconds: float, said: str | None
) -> None:
    supervisor.replies[TraceTracker] = Outcome(found=True)

    answer = lonely.post(f"/trackers/{MINT}/trace", json={"seconds": seconds})

    assert answer.status_code == 200
    assert answer.json is not None
    assert said in {None, answer.json["message"]}
    assert supervisor.asked == [TraceTracker(MINT, float(seconds))]


@pytest.mark.parametrize(
    "body", [{}, {"seconds": -1}, {"seconds": 3601}, {"seconds": "60"}, {"second": 60}, None]
)
def test_trace_without_a_time_is_refused(
    lonely: FlaskClient, supervisor: FakeSupervisor, body: Any
) -> None:
    assert lonely.post(f"/trackers/{MINT}/trace", json=body).status_code == 400
    assert supervisor.asked == []


# What is shown of a tracker.


def test_tracker_is_shown_with_what_it_waits_for_and_its_last_messages(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTracker] = TrackerOverview(
        actor=actor(f"tracker:{MINT}", "tracker", "paused"),
        live=TRACKED,
        timers=(TimerReport("window", None, NOON_US + 5_000_000), TimerReport("phase", 1.5, None)),
        recent=(HANDLED,),
        pinned=True,
        route=ROUTE,
    )

    answer = lonely.get(f"/trackers/{MINT}").json

    assert answer is not None
    assert (answer["paused"], answer["pinned"]) == (True, True)
    assert answer["tracker"]["trades_total"] == 43
    assert answer["timers"] == [
        {"key": "window", "in_seconds": None, "feed_at": "2026-07-03T12:00:05+00:00"},
        {"key": "phase", "in_seconds": 1.5, "feed_at": None},
    ]
    assert answer["route"] == {
        "routed": True,
        "subscription": "acknowledged",
        "covered": True,
        "parked_trades": 3,
        "parked_since": "2026-07-03T12:00:00+00:00",
        "last_subscribed": None,
    }
    assert answer["recent"] == [SHOWN]


def test_last_messages_of_an_actor_are_given(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetRecent] = (HANDLED,)

    answer = lonely.get("/actors/postgres-writer:0/recent")

    assert answer.json == {"actor": "postgres-writer:0", "recent": [SHOWN], "count": 1}
    assert supervisor.asked == [GetRecent("postgres-writer:0")]


def test_unknown_actor_has_no_last_messages(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetRecent] = None

    assert lonely.get("/actors/nobody/recent").status_code == 404


def test_secret_in_a_message_is_masked(
    app_of: Callable[..., Flask], no_pool: Pool, supervisor: FakeSupervisor
) -> None:
    client = app_of(no_pool, PUMPPORTAL_API_KEY="key-hunter2").test_client()
    leaking = msgspec.structs.replace(HANDLED, summary="Dialled(key-hunter2)")
    supervisor.replies[GetRecent] = (leaking,)

    assert client.get("/actors/connection/recent").json["recent"][0]["summary"] == "Dialled(***)"  # type: ignore[index]


# Why.


def test_timeline_is_given_in_plain_words(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetTimeline] = (
        Note(NOON_US, "discovery", "discovered", {"name": "Coin", "price": float("inf")}),
        Note(NOON_US + 1, "connection", "subscription", {"state": "acknowledged"}),
    )

    answer = lonely.get(f"/trackers/{MINT}/why")

    assert answer.json == {
        "mint": MINT,
        "notes": [
            {
                "at": "2026-07-03T12:00:00+00:00",
                "actor": "discovery",
                "event": "discovered",
                "details": {"name": "Coin", "price": "inf"},
                "text": "It was discovered (name Coin, price inf).",
            },
            {
                "at": "2026-07-03T12:00:00.000001+00:00",
                "actor": "connection",
                "event": "subscription",
                "details": {"state": "acknowledged"},
                "text": "Its subscription is acknowledged.",
            },
        ],
        "count": 2,
    }
    assert supervisor.asked == [GetTimeline(MINT)]


def test_mint_that_nothing_is_known_of_has_no_timeline(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTimeline] = None

    assert lonely.get(f"/trackers/{MINT}/why").status_code == 404


# Raw frames.


class Frame(msgspec.Struct):
    seq: int
    at_us: int
    data: bytes


class Lens:
    """A journal with these frames; says what it was asked."""

    def __init__(self, *frames: Frame, complete: bool = True) -> None:
        self.frames = frames
        self.complete = complete
        self.asked: list[tuple[str, int]] = []

    def __call__(self, mint: str, *, since_us: int = 0, limit: int = 100) -> Lens:
        self.asked.append((mint, limit))
        return self


@pytest.fixture
def client_with(
    supervisor: FakeSupervisor, telemetry: Telemetry, no_pool: Pool
) -> Callable[[Lens], FlaskClient]:
    def make(lens: Lens) -> FlaskClient:
        app = create_app(
            supervisor,
            settings_of(PUMPPORTAL_API_KEY="key-hunter2"),
            telemetry,
            no_pool,
            journal=lens,
        )
        return app.test_client()

    return make


def test_raw_frames_are_given_as_they_arrived(
    client_with: Callable[[Lens], FlaskClient],
) -> None:
    lens = Lens(
        Frame(7, NOON_US, b'{"mint":"x","solAmount":1.0}'),
        Frame(9, NOON_US + 1, b"\xff key-hunter2"),
        complete=False,
    )

    answer = client_with(lens).get(f"/trackers/{MINT}/journal?limit=2")

    assert answer.json == {
        "mint": MINT,
        "frames": [
            {
                "seq": 7,
                "at": "2026-07-03T12:00:00+00:00",
                "frame": '{"mint":"x","solAmount":1.0}',
                "cut": False,
            },
            {
                "seq": 9,
                "at": "2026-07-03T12:00:00.000001+00:00",
                "frame": "\ufffd ***",
                "cut": False,
            },
        ],
        "count": 2,
        "limit": 2,
        "complete": False,
    }
    assert lens.asked == [(MINT, 2)]


def test_large_frame_is_cut(client_with: Callable[[Lens], FlaskClient]) -> None:
    answer = client_with(Lens(Frame(7, NOON_US, b"x" * 20_000))).get(f"/trackers/{MINT}/journal")

    assert answer.json is not None
    [frame] = answer.json["frames"]
    assert (len(frame["frame"]), frame["cut"]) == (16_384, True)


def test_many_large_frames_leave_out_the_oldest(
    client_with: Callable[[Lens], FlaskClient],
) -> None:
    lens = Lens(*(Frame(number, NOON_US, b"x" * 20_000) for number in range(200)))

    answer = client_with(lens).get(f"/trackers/{MINT}/journal?limit=200").json

    # 2,000,000 characters hold 122 frames of 16,384.
    assert answer is not None
    assert (answer["count"], answer["complete"]) == (122, False)
    assert [answer["frames"][0]["seq"], answer["frames"][-1]["seq"]] == [78, 199]


def test_mint_without_frames_is_not_found(client_with: Callable[[Lens], FlaskClient]) -> None:
    assert client_with(Lens()).get(f"/trackers/{MINT}/journal").status_code == 404


def test_without_a_journal_that_is_said(lonely: FlaskClient) -> None:
    answer = lonely.get(f"/trackers/{MINT}/journal")

    assert answer.status_code == 409
    assert b"There is no journal" in answer.data


def test_third_search_at_once_is_sent_away(
    client_with: Callable[[Lens], FlaskClient],
) -> None:
    answers: list[Any] = []

    class Nested(Lens):
        """Asks again while it is asked."""

        def __call__(self, mint: str, *, since_us: int = 0, limit: int = 100) -> Lens:
            if not answers:
                found = client.get(f"/trackers/{MINT}/journal")
                answers.append((found.status_code, found.headers.get("Retry-After")))
            return super().__call__(mint, since_us=since_us, limit=limit)

    client = client_with(Nested(Frame(7, NOON_US, b"{}")))

    # The first waits for the second, the second for the third.
    assert client.get(f"/trackers/{MINT}/journal").status_code == 200
    assert answers == [(503, "2"), (200, None)]


# Names that a path cannot hold, and paths that end alike.


@pytest.mark.parametrize(
    "mint",
    ["..", ".", "x/why", "x/tap", "a//b", "/", "?", "#", "%", "%2e%2e", "~", "~61", "\\", MINT],
)
def test_each_mint_can_be_addressed(
    lonely: FlaskClient, supervisor: FakeSupervisor, mint: str
) -> None:
    lonely.get(f"/trackers/{quoted(mint)}")
    lonely.get(f"/trackers/{quoted(mint)}/why")

    assert supervisor.asked == [GetTracker(Mint(mint)), GetTimeline(Mint(mint))]


@pytest.mark.parametrize(
    ("method", "path", "asked"),
    [
        ("GET", "/trackers/a%2Fb/why", GetTimeline),
        ("POST", "/trackers/why/pause", PauseTracker),
        ("GET", "/actors/tracker:recent", None),
    ],
)
def test_last_word_of_a_path_is_the_question(
    lonely: FlaskClient,
    supervisor: FakeSupervisor,
    method: str,
    path: str,
    asked: type | None,
) -> None:
    supervisor.replies |= {GetTimeline: None, PauseTracker: Outcome(found=True)}

    lonely.open(path, method=method)

    assert [type(question) for question in supervisor.asked] != []
    assert asked in {None, type(supervisor.asked[0])}
