from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.connection.coverage import CoverageStep, FeedCoverage
from actors.connection.status import FeedStatus
from actors.domain import FeedState, Mint

REFUSAL = "Minimum balance not met for PumpSwap websocket data."
M = Mint("m")
N = Mint("n")


def live() -> FeedStatus:
    status = FeedStatus()
    status.dialling(1)
    status.opened(2)
    status.acknowledged(3)
    return status


def refused() -> FeedStatus:
    status = live()
    status.refused(REFUSAL, 10, now_s=100.0)
    return status


def test_states_on_the_way_to_live() -> None:
    status = FeedStatus()
    states = [status.state]
    for step in (status.dialling, status.opened, status.acknowledged):
        step(5)
        states.append(status.state)

    assert states == [
        FeedState.OFFLINE,
        FeedState.CONNECTING,
        FeedState.CONNECTING,
        FeedState.LIVE,
    ]


def test_data_makes_a_feed_live_without_any_acknowledgement() -> None:
    status = FeedStatus()
    status.opened(1)

    assert status.data(2, is_trade=False) is True
    assert status.state is FeedState.LIVE


def test_refusal_counts_at_any_time_in_the_servers_words() -> None:
    status = refused()

    assert (status.state, status.reason, status.since_us) == (
        FeedState.DISCOVERY_ONLY,
        REFUSAL,
        10,
    )


def test_creates_do_not_disprove_a_refusal() -> None:
    status = refused()

    assert status.data(20, is_trade=False) is False
    assert status.state is FeedState.DISCOVERY_ONLY


def test_trade_disproves_a_refusal() -> None:
    status = refused()

    assert status.data(20, is_trade=True) is True
    assert (status.state, status.is_refused) == (FeedState.LIVE, False)


def test_probe_is_due_after_a_minute_and_then_twice_as_late_each_time() -> None:
    status = refused()
    now_s, due = 100.0, []
    for _ in range(6):
        while not status.probe_is_due(now_s):
            now_s += 1
        due.append(now_s)
        status.probe_sent(now_s)

    assert due == [160, 280, 520, 1000, 1600, 2200]


def test_acknowledged_probe_brings_trades_back() -> None:
    status = refused()

    assert status.probe_acknowledged(30) is True
    assert (status.state, status.is_refused) == (FeedState.LIVE, False)


def test_other_acknowledgements_do_not_disprove_a_refusal() -> None:
    status = refused()

    assert status.acknowledged(30) is False
    assert status.state is FeedState.DISCOVERY_ONLY


def test_refusal_outlives_a_reconnect() -> None:
    status = refused()
    status.lost("gone", 20)
    status.dialling(21)
    status.opened(22)

    status.acknowledged(23)

    assert (status.state, status.reason) == (FeedState.DISCOVERY_ONLY, REFUSAL)


def test_silence_outlives_a_reconnect_until_data_comes() -> None:
    # Given a feed that fell silent and was opened again
    status = live()
    status.silent("no data", 20)
    status.dialling(21)
    status.opened(22)

    # When calls are acknowledged, it is still silent; when data comes, it is live
    assert (status.acknowledged(23), status.state) == (False, FeedState.SILENT)
    assert (status.data(24, is_trade=False), status.state) == (True, FeedState.LIVE)


def test_ban_lasts_through_the_next_attempt() -> None:
    status = live()
    status.banned("HTTP 403", 20)

    assert (status.dialling(21), status.state) == (False, FeedState.BANNED)
    assert (status.opened(22), status.state) == (True, FeedState.CONNECTING)


def test_same_state_with_the_same_reason_is_no_change() -> None:
    status = refused()

    assert status.refused(REFUSAL, 20, now_s=101.0) is False
    assert status.since_us == 10


def test_second_refusal_does_not_put_the_probe_off() -> None:
    status = refused()

    status.refused("Invalid API key.", 20, now_s=150.0)

    assert status.probe_is_due(160.0) is True


STEPS = st.sampled_from(
    ["dialling", "opened", "acknowledged", "data", "trade", "refused", "silent", "lost", "banned"]
)


@given(st.lists(STEPS, max_size=30))
def test_a_feed_is_never_live_while_refused(steps: list[str]) -> None:
    status = FeedStatus()
    for at_us, step in enumerate(steps):
        match step:
            case "data" | "trade":
                status.data(at_us, is_trade=step == "trade")
            case "refused":
                status.refused(REFUSAL, at_us, float(at_us))
            case "silent" | "lost" | "banned":
                getattr(status, step)("why", at_us)
            case _:
                getattr(status, step)(at_us)
        assert not (status.is_live and status.is_refused)
        assert status.reason


def test_coverage_is_told_once() -> None:
    coverage = FeedCoverage()

    assert coverage.begin(M, 5) == CoverageStep(M, covered=True, at_us=5)
    assert coverage.begin(M, 9) is None


def test_end_of_coverage_is_never_before_its_begin() -> None:
    coverage = FeedCoverage()
    coverage.begin(M, 50)
    coverage.begin(N, 10)

    assert coverage.end_all(30) == [
        CoverageStep(M, covered=False, at_us=50),
        CoverageStep(N, covered=False, at_us=30),
    ]


@pytest.mark.parametrize("forget", [True, False])
def test_mint_that_is_not_covered_cannot_end(forget: bool) -> None:
    coverage = FeedCoverage()
    if forget:
        coverage.begin(M, 1)
        coverage.forget(M)

    assert coverage.end(M, 2) is None
