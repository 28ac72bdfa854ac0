import json
from random import Random

import pytest

from simulator.dialogue import Dialogue, KeyState, Manners, key_state_of
from simulator.frames import Frame

CREATE = Frame(0, "create", "m", "creator", b"{}")
TRADE = Frame(0, "buy", "m", "trader", b"{}")
MIGRATE = Frame(0, "migrate", "m", "", b"{}")
NO_KEY = (
    "{\"message\":\"'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available "
    'when connecting with an API key funded with at least 0.02 SOL."}'
)


def dialogue(state: KeyState = KeyState.FUNDED, manners: Manners | None = None) -> Dialogue:
    return Dialogue(state, manners or Manners(), Random(1))


def call(method: str, *keys: str) -> str:
    return json.dumps({"method": method, "keys": list(keys)})


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (
            "subscribeNewToken",
            '{"message":"Successfully subscribed to token creation events."}',
        ),
        ("subscribeMigration", '{"message":"Subscribed to \'migration\' events."}'),
        ("subscribeTokenTrade", '{"message":"Successfully subscribed to keys."}'),
        ("subscribeAccountTrade", '{"message":"Successfully subscribed to keys."}'),
        ("unsubscribeTokenTrade", '{"message":"Unsubscribed."}'),
    ],
)
def test_acknowledgements_are_the_feeds_own_words(method: str, text: str) -> None:
    assert dialogue().answer(call(method, "m")) == [text]


@pytest.mark.parametrize("state", [KeyState.NONE, KeyState.UNKNOWN])
def test_trades_without_a_funded_key_are_refused_in_a_message(state: KeyState) -> None:
    client = dialogue(state)

    assert client.answer(call("subscribeTokenTrade", "m")) == [NO_KEY]
    assert not client.wants(TRADE)


def test_unknown_key_is_told_first() -> None:
    assert dialogue(KeyState.UNKNOWN).greeting() == [
        '{"errors":"Invalid API key. PumpSwap data will not be streamed."}'
    ]
    assert dialogue(KeyState.NONE).greeting() == []
    assert dialogue(KeyState.FUNDED).greeting() == []


def test_unfunded_key_is_told_at_once_and_at_each_trade_subscription() -> None:
    client = dialogue(KeyState.UNFUNDED)
    text = '{"errors":"Minimum balance not met for PumpSwap websocket data."}'

    assert client.greeting() == [text]
    assert client.answer(call("subscribeTokenTrade", "m")) == [text]
    assert not client.wants(TRADE)


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/api/data", "none"),
        ("/api/data?api-key=", "none"),
        ("/api/data?api-key=unknown-1", "unknown"),
        ("/api/data?api-key=invalid", "unknown"),
        ("/api/data?api-key=unfunded", "unfunded"),
        ("/api/data?api-key=abc", "funded"),
    ],
)
def test_key_state_follows_from_the_key(path: str, state: str) -> None:
    assert key_state_of(path) == state


def test_each_kind_needs_its_own_subscription() -> None:
    client = dialogue()
    wanted = [[client.wants(f) for f in (CREATE, TRADE, MIGRATE)]]
    for text in (
        call("subscribeNewToken"),
        call("subscribeMigration"),
        call("subscribeTokenTrade", "m"),
        call("unsubscribeTokenTrade", "m"),
    ):
        client.answer(text)
        wanted.append([client.wants(f) for f in (CREATE, TRADE, MIGRATE)])

    assert wanted == [
        [False, False, False],
        [True, False, False],
        [True, False, True],
        [True, True, True],
        [True, False, True],
    ]


def test_trades_of_other_mints_are_not_sent_unless_all_are_wanted() -> None:
    usual, greedy = dialogue(), dialogue(manners=Manners(all_trades=True))
    for client in (usual, greedy):
        client.answer(call("subscribeTokenTrade", "other"))

    assert not usual.wants(TRADE)
    assert greedy.wants(TRADE)


def test_account_subscription_brings_the_wallets_trades() -> None:
    client = dialogue()
    client.answer(call("subscribeAccountTrade", "trader"))

    assert client.wants(TRADE)
    assert not client.wants(Frame(0, "buy", "m", "somebody", b"{}"))


@pytest.mark.parametrize(
    ("silence", "wanted"),
    [
        ("all", [False, False, False]),
        ("creates", [False, True, True]),
        ("trades", [True, False, True]),
        ("migrations", [True, True, False]),
    ],
)
def test_silence_is_lifted_by_resume(silence: str, wanted: list[bool]) -> None:
    client = dialogue()
    for text in ("subscribeNewToken", "subscribeMigration"):
        client.answer(call(text))
    client.answer(call("subscribeTokenTrade", "m"))

    client.silenced.add(silence)
    silent = [client.wants(f) for f in (CREATE, TRADE, MIGRATE)]
    client.resume()

    assert silent == wanted
    assert [client.wants(f) for f in (CREATE, TRADE, MIGRATE)] == [True, True, True]


@pytest.mark.parametrize("heal", [True, False])
def test_a_zombie_is_acknowledged_and_heals_only_when_told(heal: bool) -> None:
    client = dialogue()
    client.answer(call("subscribeTokenTrade", "m", "n"))
    client.silence_keys(["m"], heal=heal)
    silent = client.wants(TRADE)

    answer = client.answer(call("subscribeTokenTrade", "m"))

    assert not silent
    assert client.wants(Frame(0, "buy", "n", "t", b"{}"))
    assert answer == ['{"message":"Successfully subscribed to keys."}']
    assert client.wants(TRADE) is heal


def test_a_share_of_new_subscriptions_are_zombies_until_repeated() -> None:
    client = dialogue(manners=Manners(zombie_share=0.5))
    keys = [f"m{n}" for n in range(200)]

    client.answer(call("subscribeTokenTrade", *keys))
    zombies = set(client.zombies.keys)
    client.answer(call("subscribeTokenTrade", *keys))

    assert 70 < len(zombies) < 130
    assert client.zombies.keys == set()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"method":"dance"}', '{"keys":[1]}'])
def test_bad_calls_are_met_with_silence_or_a_complaint(text: str) -> None:
    assert dialogue().answer(text) == []
    assert dialogue(manners=Manners(complain=True)).answer(text) == [
        '{"errors":"Invalid message."}'
    ]


def test_unsubscribing_may_stay_unanswered() -> None:
    client = dialogue(manners=Manners(acknowledge_unsubscribe=False))

    assert client.answer(call("unsubscribeTokenTrade", "m")) == []


def test_too_many_keys_in_one_call_are_noted() -> None:
    client = dialogue()

    client.answer(call("subscribeTokenTrade", *(str(n) for n in range(5000))))
    client.answer(call("subscribeTokenTrade", *(str(n) for n in range(5001))))

    assert client.oversized_calls == 1
