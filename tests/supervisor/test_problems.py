"""From figures and statuses to what somebody should look at; the clock is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from actors.domain import Drop, FeedState
from actors.protocol.auditor import AuditStatus
from actors.protocol.stream_watch import WatchStatus
from actors.runtime import DeadLetter, Flush
from actors.supervisor.conditions import Statuses
from actors.supervisor.drops import RULES, Of
from actors.supervisor.problems import Lasting, Minute, Sample, find, lasting, minute, shown
from telemetry import PROBLEM_KINDS
from tests.supervisor.test_health import NOW_US, feed, n8n, seconds_ago, writer

if TYPE_CHECKING:
    from actors.protocol.n8n_writer import N8nStatus
    from actors.protocol.supervisor import Problem

import msgspec

NOTHING = Statuses()


def watch(**fields: Any) -> WatchStatus:
    values: dict[str, Any] = {
        "database": "up",
        "last_error": None,
        "listening": True,
        "active": 1,
        "pending": 0,
        "last_read_us": NOW_US,
    }
    return WatchStatus(**values | fields)


def n8n_at(state: str, error: str) -> N8nStatus:
    return msgspec.structs.replace(n8n(error), state=state)


def letter(at_us: int, error: str | None = None) -> DeadLetter:
    return DeadLetter(
        id=1,
        at_us=at_us,
        actor="tracker:A",
        reason="failed",
        message=Flush(),
        error=error,
        traceback=None,
    )


def counted(coins: int = 240, of: dict[Of, int] | None = None, **drops: int) -> Minute:
    return Minute(drops, of or {}, coins)


def problems(
    figures: Minute | None = None,
    statuses: Statuses = NOTHING,
    known: dict[str, Lasting] | None = None,
    now_us: int = NOW_US,
) -> tuple[Problem, ...]:
    """Give the problems of something that is so for the first time."""
    found = lasting(find(figures or counted(), statuses), known or {}, now_us)
    return shown(found, now_us)


def after_a_minute(statuses: Statuses) -> tuple[Problem, ...]:
    """Give the problems of something that has been so for a minute."""
    known = lasting(find(counted(), statuses), {}, seconds_ago(60))
    return problems(None, statuses, known)


# What was counted.


def test_nothing_counted_and_nothing_wrong_is_no_problem() -> None:
    assert problems() == ()


def test_trades_thrown_away_as_duplicates_are_said_with_figures() -> None:
    (found,) = problems(counted(of={Of.TRACKED_TRADES: 100}, duplicate_tracked=97))

    assert found.says == (
        "97 % of the trades of 240 tracked coins were thrown away as duplicates in the last minute."
    )
    assert (found.kind, found.since_us) == ("coins", NOW_US)
    assert "`mintwatch audit --since 10m`" in found.do


@pytest.mark.parametrize(
    ("drop", "of", "most", "over"),
    [
        (Drop.DUPLICATE_TRACKED, {Of.TRACKED_TRADES: 40}, 20, 21),
        (Drop.DUPLICATE_TRACKED, {Of.TRACKED_TRADES: 20}, 19, 20),
        (Drop.DUPLICATE_CACHED, {Of.TRADES: 100}, 50, 51),
        (Drop.DUPLICATE_CREATE, {Of.CREATES: 30}, 19, 20),
        (Drop.ORPHAN_UNWANTED, {Of.TRADES_WHILE_TRACKING: 1_999}, 999, 1_000),
        (Drop.ORPHAN_UNWANTED, {Of.TRADES_WHILE_TRACKING: 4_000}, 2_000, 2_001),
        (Drop.ORPHAN_UNWANTED, {Of.TRADES_WHILE_TRACKING: 0}, 5_000, None),
        (Drop.ORPHAN_UNCACHED, {Of.TRADES: 1_000}, 100, 101),
        (Drop.ORPHAN_ENDED, {Of.TRACKED_TRADES: 500}, 99, 100),
        (Drop.MALFORMED, {Of.DATA_FRAMES: 100}, 9, 10),
        (Drop.MALFORMED, {Of.DATA_FRAMES: 5_000}, 50, 51),
        (Drop.UNKNOWN_FRAME, {Of.DATA_FRAMES: 5_000}, 50, 51),
        (Drop.STALE_WINDOW, {Of.COINS: 300}, 300, 301),
        (Drop.STALE_WINDOW, {Of.COINS: 3}, 19, 20),
        *(
            (drop, {}, 0, 1)
            for drop in (
                Drop.EVICTED,
                Drop.LATE,
                Drop.PARKED_LOST,
                Drop.WINDOW_LOST,
                Drop.FRAME_LEFT_OUT,
                Drop.JOURNAL_LOST,
                Drop.ROW_CONFLICT,
                Drop.ROW_AHEAD,
                Drop.ROW_REFUSED,
                Drop.TRADE_REFUSED,
                Drop.TRADE_CONFLICT,
                Drop.LETTER_DROPPED,
                Drop.COIN_REFUSED,
                Drop.BATCH_REFUSED,
            )
        ),
        *(
            (drop, dict.fromkeys(Of, 1), 1_000_000, None)
            for drop in (
                Drop.REMEMBERED,
                Drop.EXPIRED,
                Drop.FILTERED,
                Drop.UNKNOWN_MIGRATION,
                Drop.ROW_REPEATED,
                Drop.TRADE_REPEATED,
                Drop.DEAD_LETTER,
                Drop.COALESCED,
                Drop.TAP_DROPPED,
            )
        ),
    ],
)
def test_bound_of_a_reason(drop: Drop, of: dict[Of, int], most: int, over: int | None) -> None:
    assert problems(counted(of=of, **{drop.value: most})) == ()
    if over is not None:
        (found,) = problems(counted(of=of, **{drop.value: over}))
        assert found.key == drop.value
        assert found.kind in PROBLEM_KINDS


def test_every_rule_that_can_be_a_problem_says_it_in_whole_sentences() -> None:
    for rule in RULES:
        if rule.bound is None:
            continue
        (found,) = problems(Minute({rule.drop.value: 5_001}, dict.fromkeys(Of, 5_000), coins=3))
        assert found.says.endswith("."), found.says
        assert "{" not in found.says, found.says
        assert "in the last minute" in found.says, found.says
        assert found.do.endswith("."), found.do


def test_problem_of_a_minute_stays_for_ten_more_and_goes() -> None:
    known = lasting(find(counted(late=3), NOTHING), {}, NOW_US)

    at_the_end = NOW_US + 599_999_999
    (found,) = shown(lasting([], known, at_the_end), at_the_end)
    assert found.says == (
        "Trades that came after their candle was closed in the minute before 22:15:00 UTC: 3; they "
        "count in the next one."
    )
    assert found.since_us == NOW_US
    assert lasting([], known, NOW_US + 600_000_000) == {}


def test_problem_that_goes_on_keeps_its_since_and_its_worst_minute() -> None:
    known = lasting(find(counted(late=30), NOTHING), {}, NOW_US)
    later_us = NOW_US + 300_000_000

    known = lasting(find(counted(late=2), NOTHING), known, later_us)

    (found,) = shown(known, later_us)
    assert found.since_us == NOW_US
    assert "in the minute before 22:15:00 UTC: 30;" in found.says
    assert lasting([], known, later_us + 599_999_999) != {}


def test_minute_is_what_lies_between_two_samples() -> None:
    before = Sample({"late": 2, "duplicate_tracked": 5}, 100, 50, 200, 3)
    now = Sample({"late": 3, "duplicate_tracked": 15, "orphan_ended": 2}, 180, 90, 300, 4)

    assert minute(before, now, coins=7) == Minute(
        {"late": 1, "duplicate_tracked": 10, "orphan_ended": 2},
        {
            Of.TRADES: 80,
            Of.TRADES_WHILE_TRACKING: 80,
            Of.TRACKED_TRADES: 52,
            Of.DATA_FRAMES: 100,
            Of.CREATES: 1,
            Of.COINS: 7,
        },
        7,
    )
    assert minute(before, now, coins=0).of[Of.TRADES_WHILE_TRACKING] == 0


# What stands.


@pytest.mark.parametrize("state", [state for state in FeedState if state is not FeedState.LIVE])
def test_feed_that_is_not_live_for_a_minute_is_said_in_the_server_s_words(state: FeedState) -> None:
    statuses = Statuses(feed=feed(state=state, reason="403 Forbidden: too many connections."))

    assert problems(None, statuses) == ()
    (found,) = after_a_minute(statuses)
    assert found.says == f"The feed is {state.value}: 403 Forbidden: too many connections."
    assert (found.kind, found.since_us) == ("feed", seconds_ago(60))


def test_feed_of_creates_alone_is_as_meant_where_there_is_no_key() -> None:
    statuses = Statuses(feed=feed(state=FeedState.DISCOVERY_ONLY), has_api_key=False)

    assert after_a_minute(statuses) == ()
    silent = statuses._replace(feed=feed(state=FeedState.SILENT))
    assert [found.kind for found in after_a_minute(silent)] == ["feed"]


def test_feed_that_connects_again_and_again_has_been_away_since_the_first_time() -> None:
    known: dict[str, Lasting] = {}
    for ago_s, state in (
        (70, FeedState.OFFLINE),
        (40, FeedState.CONNECTING),
        (10, FeedState.OFFLINE),
    ):
        at_us = seconds_ago(ago_s)
        known = lasting(find(counted(), Statuses(feed=feed(state=state))), known, at_us)

    assert [found.since_us for found in shown(known, seconds_ago(10))] == [seconds_ago(70)]


def test_live_feed_is_no_problem() -> None:
    assert after_a_minute(Statuses(feed=feed())) == ()


class Case(NamedTuple):
    """Statuses, and the one problem that they are."""

    name: str
    statuses: Statuses
    kind: str
    says: str
    do: str
    since_us: int = NOW_US


CASES = (
    Case(
        "journal full",
        Statuses(feed=feed(journal="full")),
        "journal",
        "The journal has reached JOURNAL_MAX_MB and may remove nothing: the socket is not read.",
        "config set journal_max_mb",
    ),
    Case(
        "journal failed",
        Statuses(feed=feed(journal="failed")),
        "journal",
        "The journal cannot be written: what arrives is not protected against a crash.",
        "STATE_DIR",
    ),
    Case(
        "database away",
        Statuses(writers=[writer("away", "connection refused", waiting=7)]),
        "database",
        "The database is away (rows waiting: 7): connection refused.",
        "DB_DSN",
    ),
    Case(
        "database away before there was a row",
        Statuses(watch=watch(database="away", last_error="no route to host")),
        "database",
        "The database is away (rows waiting: 0): no route to host.",
        "DB_DSN",
    ),
    Case(
        "database refusing",
        Statuses(
            writers=[
                writer(),
                msgspec.structs.replace(
                    writer("refusing", "cannot execute INSERT in a read-only transaction"),
                    rows_waiting=12,
                    refusing_since_us=seconds_ago(30),
                ),
            ]
        ),
        "database",
        "The database answers and takes no row (rows waiting: 12): cannot execute INSERT in a "
        "read-only transaction.",
        "read-only",
        seconds_ago(30),
    ),
    Case(
        "rows spooled",
        Statuses(
            writers=[
                msgspec.structs.replace(
                    writer(), rows_spooled=1_200, spool_oldest_us=seconds_ago(99)
                )
            ]
        ),
        "spool",
        "Rows in the spool on disk and not in the database: 1,200.",
        "GET /health",
        seconds_ago(99),
    ),
    Case(
        "rows parked",
        Statuses(writers=[msgspec.structs.replace(writer(), rows_parked=5)]),
        "spool",
        "Rows that found no room in memory and none in the spool: 5; the journal has their trades.",
        "restart",
    ),
    Case(
        "spool nearly full",
        Statuses(
            writers=[msgspec.structs.replace(writer(), spool_bytes=81)], spool_limit_bytes=100
        ),
        "disk",
        "The spool has 81 % of SPOOL_MAX_MB.",
        "config set spool_max_mb",
    ),
    Case(
        "rows ahead",
        Statuses(watch=watch(rows_ahead=3, rows_ahead_since_us=seconds_ago(50))),
        "clock",
        "Rows of earlier runs that end after the start of this one, because a clock was ahead: 3; "
        "they are in `coin_metrics_ahead`.",
        "`mintwatch acknowledge ahead`",
        seconds_ago(50),
    ),
    Case(
        "row conflicts",
        Statuses(watch=watch(row_conflicts=2, row_conflicts_since_us=seconds_ago(40))),
        "database",
        "Candles whose row in the database has other figures: 2; ours are in "
        "`coin_metrics_conflicts`.",
        "`mintwatch acknowledge conflicts`",
        seconds_ago(40),
    ),
    Case(
        "n8n refuses the header",
        Statuses(n8n=n8n_at("stopped", "status 401")),
        "n8n",
        "n8n takes nothing (coins waiting: 4): status 401.",
        "n8n_auth_header",
    ),
    Case(
        "dead letters",
        Statuses(dead_letters=[letter(seconds_ago(500)), letter(seconds_ago(3), "ValueError: x")]),
        "dead_letters",
        "Messages that were not handled: 2; the newest is Flush for tracker:A: ValueError: x.",
        "`mintwatch dead-letters list`",
        seconds_ago(500),
    ),
    Case(
        "trackers in quarantine",
        Statuses(quarantined=["tracker:A", "tracker:B"]),
        "coins",
        "Coins not tracked, because their trackers failed too often: 2; one is A.",
        "`mintwatch actors --state quarantined`",
    ),
    Case(
        "coins that wait",
        Statuses(waiting_coins=1_250, max_trackers=20_000),
        "coins",
        "Coins that wait for a tracker: 1,250; MAX_TRACKERS is 20,000.",
        "`mintwatch resize trackers 40000`",
    ),
    Case(
        "clock ahead",
        Statuses(clock_offset_us=3_600_000_000),
        "clock",
        "The machine's clock is 3,600.0 s ahead of the arrival clock, which stamps trades.",
        "time synchronisation",
    ),
    Case(
        "clock behind",
        Statuses(clock_offset_us=-2_100_000),
        "clock",
        "The machine's clock is 2.1 s behind the arrival clock, which stamps trades.",
        "time synchronisation",
    ),
    Case(
        "audit",
        Statuses(
            audit=AuditStatus(
                missing=1,
                different=2,
                since_us=seconds_ago(20),
                examples=("A 12:00:05: num_buys is 2, not 3",),
            )
        ),
        "audit",
        "The audit found rows missing: 1, different: 2, overlapping: 0, extra: 0; one is "
        "A 12:00:05: num_buys is 2, not 3.",
        "`mintwatch audit --since 1h`",
        seconds_ago(20),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_problem_is_there_at_once(case: Case) -> None:
    (found,) = problems(None, case.statuses)

    assert (found.kind, found.says, found.since_us) == (case.kind, case.says, case.since_us)
    assert case.do in found.do
    assert found.kind in PROBLEM_KINDS
    # Over with its cause.
    known = lasting(find(counted(), case.statuses), {}, NOW_US)
    assert lasting([], known, NOW_US + 1) == {}


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        (Statuses(n8n=n8n_at("retrying", "status 503")), "n8n"),
        (Statuses(feed=feed(parked_from_us=seconds_ago(90))), "coins"),
        (Statuses(watch=watch(database="away"), writers=[writer("up")]), "database"),
    ],
)
def test_what_may_pass_by_itself_is_a_problem_after_a_minute(statuses: Statuses, kind: str) -> None:
    assert problems(None, statuses) == ()
    assert [found.kind for found in after_a_minute(statuses)] == [kind]


@pytest.mark.parametrize(
    "statuses",
    [
        Statuses(writers=[writer(), writer("unknown")], watch=watch(database="unknown")),
        Statuses(n8n=n8n_at("idle", "")),
        Statuses(n8n=msgspec.structs.replace(n8n_at("retrying", "x"), configured=False)),
        Statuses(clock_offset_us=1_999_999),
        Statuses(audit=AuditStatus()),
        Statuses(
            writers=[msgspec.structs.replace(writer(), spool_bytes=80)], spool_limit_bytes=100
        ),
    ],
)
def test_what_is_well_is_no_problem(statuses: Statuses) -> None:
    assert after_a_minute(statuses) == ()


def test_rows_that_conflict_are_one_problem_though_they_are_counted_too() -> None:
    statuses = Statuses(watch=watch(row_conflicts=2))
    known = lasting(find(counted(row_conflict=2), NOTHING), {}, seconds_ago(10))

    (found,) = problems(counted(row_conflict=2), statuses, known)

    assert found.says.endswith("ours are in `coin_metrics_conflicts`.")
    assert found.since_us == seconds_ago(10)


def test_rows_aside_that_are_too_many_to_be_counted_are_at_least_so_many() -> None:
    statuses = Statuses(watch=watch(rows_ahead=10_000, row_conflicts=9_999, rows_counted_to=10_000))

    said = {found.kind: found.says for found in problems(None, statuses)}

    assert "because a clock was ahead: at least 10,000; they are in" in said["clock"]
    assert "has other figures: 9,999; ours are in" in said["database"]


def test_words_of_others_become_one_line() -> None:
    statuses = Statuses(writers=[writer("away", "refused\n  by {when} {n}.")])

    (found,) = problems(None, statuses)

    assert found.says == "The database is away (rows waiting: 0): refused by {when} {n}."


def test_oldest_problem_comes_first() -> None:
    statuses = Statuses(
        watch=watch(rows_ahead=1, rows_ahead_since_us=seconds_ago(9), row_conflicts=1),
        dead_letters=[letter(seconds_ago(500))],
    )

    assert [found.kind for found in problems(None, statuses)] == [
        "dead_letters", "clock", "database",
    ]  # fmt: skip


def test_problem_dated_by_a_clock_that_is_ahead_is_there_now() -> None:
    later_us = NOW_US + 3_600_000_000
    ahead = watch(rows_ahead=3, rows_ahead_since_us=later_us)

    found = problems(None, Statuses(watch=ahead))

    assert [(each.kind, each.since_us) for each in found] == [("clock", NOW_US)]
