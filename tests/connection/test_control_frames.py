from __future__ import annotations

import pytest

from actors.connection.control_frames import (
    Ack,
    Complaint,
    Meaning,
    OnceEach,
    SubscriptionAcknowledged,
    SubscriptionRefused,
    meaning_of,
)
from actors.connection.decoder import ControlFrame

NO_KEY = (
    "'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available when "
    "connecting with an API key funded with at least 0.02 SOL."
)
BAD_KEY = "Invalid API key. PumpSwap data will not be streamed."
NO_MONEY = "Minimum balance not met for PumpSwap websocket data."


@pytest.mark.parametrize("is_error", [False, True])
@pytest.mark.parametrize(
    ("text", "answers_call"), [(NO_KEY, True), (BAD_KEY, False), (NO_MONEY, False)]
)
def test_refusal_is_recognised_wherever_it_stands(
    text: str, answers_call: bool, is_error: bool
) -> None:
    assert meaning_of(ControlFrame(text, is_error)) == SubscriptionRefused(text, answers_call)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (
            "Successfully subscribed to token creation events.",
            SubscriptionAcknowledged(Ack.NEW_TOKEN),
        ),
        ("Subscribed to 'migration' events.", SubscriptionAcknowledged(Ack.MIGRATION)),
        ("Successfully subscribed to keys.", SubscriptionAcknowledged(Ack.KEYS)),
        ("Unsubscribed.", SubscriptionAcknowledged(Ack.UNSUBSCRIBED)),
        ("Welcome.", Complaint("Welcome.", is_error=False)),
    ],
)
def test_messages_of_the_server(text: str, meaning: Meaning) -> None:
    assert meaning_of(ControlFrame(text, is_error=False)) == meaning


def test_acknowledging_words_in_errors_are_no_acknowledgement() -> None:
    text = "Unsubscribed."

    assert meaning_of(ControlFrame(text, is_error=True)) == Complaint(text, is_error=True)


def test_a_text_is_new_once() -> None:
    once = OnceEach()

    assert [once.is_new(text) for text in ("a", "b", "a", "b")] == [True, True, False, False]


def test_memory_of_texts_is_bounded_and_forgets_the_oldest() -> None:
    once = OnceEach(limit=2)

    for text in ("a", "b", "c"):
        once.is_new(text)

    assert [once.is_new(text) for text in ("c", "b", "a")] == [False, False, True]
