from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.connection.control_frames import Ack
from actors.connection.subscriptions import Subscriptions
from actors.domain import Mint

if TYPE_CHECKING:
    from actors.connection.calls import Outgoing

A, B, C = Mint("a"), Mint("b"), Mint("c")
NEW_TOKEN = {"method": "subscribeNewToken"}
MIGRATION = {"method": "subscribeMigration"}


def texts(calls: list[Outgoing]) -> list[dict[str, Any]]:
    return [json.loads(call.text) for call in calls]


def keys(calls: list[Outgoing], method: str = "subscribeTokenTrade") -> list[str]:
    return [
        key for call in texts(calls) if call["method"] == method for key in call.get("keys", ())
    ]


def opened(batch_size: int = 50, interval_s: float = 2.0) -> Subscriptions:
    subs = Subscriptions(batch_size, interval_s)
    subs.opened(0.0)
    subs.due(0.0)
    return subs


def subscribed(*mints: Mint) -> Subscriptions:
    subs = opened()
    for mint in mints:
        subs.route(mint)
    subs.due(0.0)
    subs.acknowledge(Ack.KEYS, at_us=5)
    return subs


def test_connection_begins_with_creates_and_migrations() -> None:
    subs = Subscriptions(50, 2.0)
    subs.route(A)
    subs.opened(0.0)

    assert texts(subs.due(0.0)) == [
        NEW_TOKEN,
        MIGRATION,
        {"method": "subscribeTokenTrade", "keys": ["a"]},
    ]


def test_first_new_key_leaves_at_once_and_the_next_ones_together() -> None:
    subs = opened()
    subs.watch(A)
    first = subs.due(10.0)
    subs.watch(B)
    subs.watch(C)

    assert keys(first) == ["a"]
    assert (keys(subs.due(10.1)), keys(subs.due(11.9))) == ([], [])
    assert texts(subs.due(12.0)) == [{"method": "subscribeTokenTrade", "keys": ["b", "c"]}]


def test_a_batch_is_split_at_its_size() -> None:
    subs = opened(batch_size=2)
    for number in range(5):
        subs.watch(Mint(f"m{number}"))

    assert [call["keys"] for call in texts(subs.due(1.0))] == [["m0", "m1"], ["m2", "m3"], ["m4"]]


def test_more_than_ten_batches_leave_at_once_in_chunks_of_a_thousand() -> None:
    subs = opened(batch_size=50)
    subs.watch(A)
    assert keys(subs.due(1.0)) == ["a"]
    for number in range(1_501):
        subs.watch(Mint(f"m{number}"))

    # 1,000, then what is one more than ten batches, all within the interval of the first key
    assert [len(call["keys"]) for call in texts(subs.due(1.1))] == [1_000, 501]

    # Ten batches and fewer wait for their turn
    subs.watch(B)
    assert (keys(subs.due(2.9)), keys(subs.due(3.0))) == ([], ["b"])


def test_routes_are_unsent_until_a_call_names_them() -> None:
    subs = Subscriptions(50, 2.0)
    subs.route(A)
    subs.route(B)
    subs.watch(C)
    assert subs.unsent_routes == 2

    subs.opened(0.0)
    subs.due(0.0)
    assert subs.unsent_routes == 0

    subs.lost()
    assert subs.unsent_routes == 2


def test_key_wanted_twice_is_subscribed_once() -> None:
    subs = opened()
    subs.watch(A)
    subs.route(A)

    assert keys(subs.due(1.0)) == ["a"]


@pytest.mark.parametrize("way", ["unroute", "unwatch"])
def test_key_nobody_wants_is_unsubscribed_after_two_seconds(way: str) -> None:
    subs = opened()
    (subs.route if way == "unroute" else subs.watch)(A)
    subs.due(1.0)

    getattr(subs, way)(A, 10.0)

    assert keys(subs.due(11.9), "unsubscribeTokenTrade") == []
    assert keys(subs.due(12.0), "unsubscribeTokenTrade") == ["a"]
    assert subs.wanted == 0


def test_key_that_one_side_still_wants_stays() -> None:
    subs = opened()
    subs.watch(A)
    subs.route(A)
    subs.due(1.0)

    subs.unwatch(A, 10.0)

    assert subs.due(20.0) == []
    assert subs.is_routed(A)


def test_key_wanted_again_within_two_seconds_is_not_touched() -> None:
    subs = subscribed(A)
    subs.unroute(A, 10.0)
    subs.watch(A)

    assert subs.due(20.0) == []
    assert subs.covered_since_us(A) == 5


def test_key_dropped_before_it_was_sent_costs_no_call() -> None:
    subs = Subscriptions(50, 2.0)
    subs.watch(A)
    subs.unwatch(A, 0.0)
    assert subs.due(2.0) == []

    subs.opened(3.0)

    assert texts(subs.due(3.0)) == [NEW_TOKEN, MIGRATION]


def test_key_wanted_again_after_a_reconnect_is_subscribed() -> None:
    subs = subscribed(A)
    subs.unroute(A, 10.0)
    subs.lost()
    subs.opened(10.5)
    subs.route(A)

    assert keys(subs.due(10.5)) == ["a"]


def test_restored_keys_go_in_chunks_of_a_thousand_ten_calls_a_second() -> None:
    # Given 2,500 wanted keys, one of them with a tracker, and a lost connection
    subs = Subscriptions(50, 2.0)
    for number in range(2_500):
        subs.watch(Mint(f"m{number}"))
    subs.route(A)
    subs.lost()

    # When it is opened again
    subs.opened(0.0)
    sizes = {
        round(tenth / 20, 2): [call.keys for call in subs.due(tenth / 20) if call.keys]
        for tenth in range(8)
    }

    # Then three chunks go, a tenth of a second apart
    assert {at: size for at, size in sizes.items() if size} == {
        0.0: [1000],
        0.1: [1000],
        0.2: [501],
    }


def test_tracked_keys_are_restored_before_cached_ones() -> None:
    subs = Subscriptions(50, 2.0)
    subs.watch(A)
    subs.route(B)

    subs.opened(0.0)

    assert keys(subs.due(0.0)) == ["b", "a"]


def test_acknowledgement_covers_the_keys_of_the_oldest_call() -> None:
    subs = opened(interval_s=0.0)
    subs.route(A)
    subs.due(1.0)
    subs.route(B)
    subs.due(2.0)

    result = subs.acknowledge(Ack.KEYS, at_us=77)

    assert result.mints == (A,)
    assert (subs.covered_since_us(A), subs.covered_since_us(B)) == (77, None)
    assert subs.counts() == {"pending": 0, "sent": 1, "acknowledged": 1, "doubted": 0}


def test_acknowledgements_of_other_methods_do_not_count_for_keys() -> None:
    subs = opened()
    subs.route(A)
    subs.due(1.0)

    for ack in (Ack.NEW_TOKEN, Ack.MIGRATION, Ack.UNSUBSCRIBED):
        assert subs.acknowledge(ack, at_us=5).mints == ()

    assert subs.covered_since_us(A) is None


def test_acknowledgement_nobody_waits_for_is_ignored() -> None:
    subs = subscribed(A)

    assert subs.acknowledge(Ack.KEYS, at_us=9).mints == ()
    assert subs.covered_since_us(A) == 5


def test_lost_acknowledgement_does_not_shift_the_matching_for_ever() -> None:
    # Given a call whose acknowledgement never comes
    subs = opened(interval_s=0.0)
    subs.route(A)
    subs.due(1.0)
    assert subs.due(11.1) == []

    # When a later call is acknowledged
    subs.route(B)
    subs.due(12.0)
    result = subs.acknowledge(Ack.KEYS, at_us=50)

    # Then the acknowledgement counts for that one, and the first stays as sent
    assert result.mints == (B,)
    assert subs.counts() == {"pending": 0, "sent": 1, "acknowledged": 1, "doubted": 0}


def test_matching_that_lags_by_one_recovers_even_under_constant_calls() -> None:
    # Given a lost acknowledgement, and a new call every 2 s that is acknowledged at once
    subs = opened(interval_s=0.0)
    subs.route(Mint("lost"))
    subs.due(0.0)
    for number in range(1, 30):
        subs.route(Mint(f"m{number}"))
        subs.due(number * 2.0)
        subs.acknowledge(Ack.KEYS, at_us=number)

    # Then the last one is matched with its own call again
    assert subs.covered_since_us(Mint("m29")) == 29


def test_trade_proves_a_subscription_whose_acknowledgement_is_missing() -> None:
    subs = opened()
    subs.route(A)
    subs.due(1.0)

    assert subs.prove(A, at_us=60) is True
    assert subs.prove(A, at_us=70) is False
    assert subs.covered_since_us(A) == 60


def test_doubt_ends_coverage_until_the_repeated_call_is_acknowledged() -> None:
    subs = subscribed(A)

    assert subs.repeat(A, in_doubt=True) is True
    assert subs.counts()["doubted"] == 1
    assert keys(subs.due(10.0)) == ["a"]
    assert subs.acknowledge(Ack.KEYS, at_us=90).mints == (A,)
    assert subs.covered_since_us(A) == 90


def test_acknowledgement_of_the_call_before_does_not_end_a_doubt() -> None:
    subs = opened(interval_s=0.0)
    subs.route(A)
    subs.due(1.0)
    subs.repeat(A, in_doubt=True)
    subs.due(2.0)

    assert subs.acknowledge(Ack.KEYS, at_us=5).mints == ()
    assert subs.acknowledge(Ack.KEYS, at_us=6).mints == (A,)


def test_repeat_without_doubt_keeps_coverage() -> None:
    subs = subscribed(A)

    assert subs.repeat(A, in_doubt=False) is False
    assert keys(subs.due(10.0)) == ["a"]
    assert subs.acknowledge(Ack.KEYS, at_us=90).mints == ()
    assert subs.covered_since_us(A) == 5


def test_repeat_of_an_unwanted_mint_is_ignored() -> None:
    subs = opened()

    assert subs.repeat(A, in_doubt=True) is False
    assert subs.due(5.0) == []


def test_lost_connection_covers_nothing() -> None:
    subs = subscribed(A)

    subs.lost()

    assert subs.covered_since_us(A) is None
    assert subs.counts() == {"pending": 1, "sent": 0, "acknowledged": 0, "doubted": 0}


def test_refused_trades_hold_keys_back_and_an_offer_sends_them_all() -> None:
    subs = subscribed(A)
    subs.withhold()
    subs.watch(B)
    assert subs.due(20.0) == []

    subs.offer_again()

    assert sorted(keys(subs.due(30.0))) == ["a", "b"]


def test_probe_asks_for_one_key_and_its_acknowledgement_is_told_apart() -> None:
    subs = subscribed(A, B)
    subs.withhold()

    probe = subs.probe(60.0)

    assert probe is not None
    assert json.loads(probe.text) == {"method": "subscribeTokenTrade", "keys": ["a"]}
    assert subs.acknowledge(Ack.KEYS, at_us=5).is_probe is True


def test_refused_call_is_not_waited_for() -> None:
    subs = opened()
    subs.route(A)
    subs.due(1.0)
    subs.refuse_oldest()
    subs.withhold()

    subs.probe(60.0)

    assert subs.acknowledge(Ack.KEYS, at_us=5).is_probe is True


def test_probe_needs_a_wanted_mint_and_a_connection() -> None:
    subs = opened()
    assert subs.probe(60.0) is None

    subs.route(A)
    subs.lost()

    assert subs.probe(60.0) is None


def test_key_dropped_while_trades_are_refused_is_still_unsubscribed() -> None:
    subs = subscribed(A)
    subs.withhold()

    subs.unroute(A, 10.0)

    assert keys(subs.due(12.0), "unsubscribeTokenTrade") == ["a"]


def test_mint_that_comes_unasked_is_unsubscribed_once_a_connection() -> None:
    subs = opened()
    subs.stray(A, 1.0)
    first = keys(subs.due(3.0), "unsubscribeTokenTrade")
    subs.stray(A, 4.0)

    assert first == ["a"]
    assert subs.due(10.0) == []


class Model:
    """The subscriptions, a model of the server behind them, and who wants what."""

    def __init__(self) -> None:
        self.subs = Subscriptions(2, 2.0)
        self.server: set[str] = set()
        self.wanted: dict[str, set[Mint]] = {"route": set(), "watch": set()}
        self.now_s = 0.0
        self.is_open = False
        self.sent_s: list[float] = []

    def do(self, step: str, mint: Mint) -> None:
        match step:
            case "route" | "watch":
                getattr(self.subs, step)(mint)
                self.wanted[step].add(mint)
            case "unroute" | "unwatch":
                getattr(self.subs, step)(mint, self.now_s)
                self.wanted[step.removeprefix("un")].discard(mint)
            case "doubt" | "repeat":
                self.subs.repeat(mint, in_doubt=step == "doubt")
            case "ack":
                self.subs.acknowledge(Ack.KEYS, at_us=1)
            case "stray":
                self.subs.stray(mint, self.now_s)
            case "reopen" | "lose":
                self.lose()
                if step == "reopen":
                    self.open()
            case "withhold" | "offer_again":
                getattr(self.subs, step)()
        self.pump()

    def lose(self) -> None:
        self.subs.lost()
        self.server.clear()
        self.is_open = False

    def open(self) -> None:
        self.subs.opened(self.now_s)
        self.is_open = True

    def pump(self) -> None:
        for call in self.subs.due(self.now_s):
            assert self.is_open
            self.sent_s.append(self.now_s)
            text = json.loads(call.text)
            assert len(text.get("keys", ())) <= 5_000
            if text["method"] == "subscribeTokenTrade":
                self.server.update(text["keys"])
            elif text["method"] == "unsubscribeTokenTrade":
                self.server.difference_update(text["keys"])


STEPS = [
    *("route", "watch", "unroute", "unwatch", "doubt", "repeat", "ack", "stray"),
    *("lose", "reopen", "withhold", "offer_again", "wait"),
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STEPS), st.integers(0, 5), st.sampled_from([0.0, 0.05, 0.7, 2.0, 15.0])
        ),
        max_size=80,
    )
)
def test_whatever_happens_the_server_ends_up_with_what_is_wanted(
    steps: list[tuple[str, int, float]],
) -> None:
    # Given any history
    model = Model()
    for step, number, pause_s in steps:
        model.now_s += pause_s
        model.do(step, Mint(f"m{number}"))

    # When everything is allowed again and time goes on
    model.do("offer_again", A)
    if not model.is_open:
        model.open()
    for _ in range(60):
        model.now_s += 0.25
        model.pump()

    # Then the server has exactly what is wanted, and was never flooded
    assert model.server == model.wanted["route"] | model.wanted["watch"]
    assert model.subs.routes == len(model.wanted["route"])
    assert sum(model.subs.counts().values()) == model.subs.wanted == len(model.server)
    for begin_s in model.sent_s:
        assert len([at for at in model.sent_s if begin_s <= at < begin_s + 1.0]) <= 20


def test_news_of_a_mint_are_told_once_with_the_attempt() -> None:
    def news(subs: Subscriptions) -> list[tuple[str, str, int]]:
        return [(mint, each.state.value, each.attempt) for mint, each in subs.take_news(10)]

    subs = opened()
    subs.route(A)
    assert news(subs) == []
    subs.due(0.0)
    assert news(subs) == [("a", "sent", 1)]
    subs.acknowledge(Ack.KEYS, at_us=5)
    assert news(subs) == [("a", "acknowledged", 1)]
    subs.repeat(A, in_doubt=True)
    assert news(subs) == [("a", "doubted", 1)]
    subs.due(10.0)
    subs.acknowledge(Ack.KEYS, at_us=6)
    assert news(subs) == [("a", "acknowledged", 2)]
    subs.lost()
    subs.opened(20.0)
    subs.due(20.0)
    # Of several changes only the last one is told.
    assert news(subs) == [("a", "sent", 3)]
    assert news(subs) == []


def test_news_are_given_as_many_as_wanted() -> None:
    subs = subscribed(A, B, C)
    assert [mint for mint, _ in subs.take_news(2)] == ["a", "b"]
    assert [mint for mint, _ in subs.take_news(2)] == ["c"]


def test_shorter_interval_brings_the_next_batch_forward_and_a_longer_one_does_not_delay_it() -> (
    None
):
    subs = opened(interval_s=60.0)
    subs.watch(A)
    subs.due(0.0)
    subs.watch(B)
    assert keys(subs.due(2.0)) == []
    subs.reconfigure(1, 1.0, 2.0)
    assert keys(subs.due(3.0)) == ["b"]
    subs.watch(C)
    subs.reconfigure(1, 60.0, 3.0)
    assert keys(subs.due(4.0)) == ["c"]
