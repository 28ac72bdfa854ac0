"""/dead-letters: shown bounded and masked, deleted, sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Mint, Trade, Wallet
from actors.protocol.discovery import FeedSlice
from actors.protocol.operator import (
    DiscardDeadLetter,
    GetDeadLetter,
    GetDeadLetters,
    Outcome,
    RetryDeadLetter,
)
from actors.runtime import DeadLetter
from api.dead_letters.views import Bounds, bounded, builtins_of
from tests.api.fakes import MINT, NOON_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

TRADE = Trade(
    seq=7,
    arrived_us=NOON_US,
    mint=MINT,
    signature="signature",
    trader=Wallet("alice"),
    is_buy=True,
    sol_lamports=1_500_000_000,
    token_units=2_000_000,
    price_sol=-1.0,
    virtual_sol_lamports=None,
    virtual_token_units=None,
    pool="pump",
)


def letter(message: Any = TRADE, **more: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "id": 3,
        "at_us": NOON_US,
        "actor": f"tracker:{MINT}",
        "reason": "failed",
        "error": "ValueError: price",
        "traceback": "Traceback ...",
    }
    return DeadLetter(message=message, **{**fields, **more})


def test_dead_letters_are_given_with_their_content(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetDeadLetters] = (letter(),)

    answer = lonely.get("/dead-letters?limit=5")

    assert answer.json == {
        "dead_letters": [
            {
                "id": 3,
                "at": "2026-07-03T12:00:00+00:00",
                "actor": f"tracker:{MINT}",
                "reason": "failed",
                "message_type": "Trade",
                "message": {
                    "type": "Trade",
                    "seq": 7,
                    "arrived_us": NOON_US,
                    "mint": MINT,
                    "signature": "signature",
                    "trader": "alice",
                    "is_buy": True,
                    "sol_lamports": 1_500_000_000,
                    "token_units": 2_000_000,
                    "price_sol": -1.0,
                    "virtual_sol_lamports": None,
                    "virtual_token_units": None,
                    "pool": "pump",
                    "in_create": False,
                },
                "error": "ValueError: price",
                "traceback": "Traceback ...",
            }
        ],
        "count": 1,
        "limit": 5,
    }
    assert supervisor.asked == [GetDeadLetters(5)]


def test_fifty_dead_letters_are_asked_for_by_default(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetDeadLetters] = ()

    assert lonely.get("/dead-letters").json == {"dead_letters": [], "count": 0, "limit": 50}


def test_one_dead_letter_shows_more_than_the_list(
    lonely: FlaskClient, supervisor: FakeSupervisor
) -> None:
    long = letter(FeedSlice(events=(TRADE,) * 20))
    supervisor.replies[GetDeadLetters] = (long,)
    supervisor.replies[GetDeadLetter] = long

    listed = lonely.get("/dead-letters").json
    alone = lonely.get("/dead-letters/3").json

    assert listed is not None
    assert alone is not None
    assert listed["dead_letters"][0]["message"]["events"][-1] == "... 15 more"
    assert len(alone["message"]["events"]) == 20


def test_secrets_in_content_error_and_traceback_are_masked(
    app_of: Callable[..., Flask], no_pool: Pool, supervisor: FakeSupervisor
) -> None:
    client = app_of(no_pool, PUMPPORTAL_API_KEY="key-hunter2").test_client()
    text = "wss://feed/?api-key=key-hunter2"
    leaking = letter({"url": text, "frame": text.encode()}, error=text, traceback=text)
    # Half of the secret lies beyond where the text is cut.
    leaking_late = letter("x" * 195 + "key-hunter2")
    supervisor.replies[GetDeadLetters] = (leaking, leaking_late)
    supervisor.replies[GetDeadLetter] = leaking

    texts = client.get("/dead-letters").text + client.get("/dead-letters/3").text

    assert "hunter2" not in texts
    assert "key-h" not in texts
    assert texts.count("wss://feed/?api-key=***") == 8


@pytest.mark.parametrize(
    ("method", "path", "question"),
    [
        ("GET", "/dead-letters/9", GetDeadLetter(9)),
        ("DELETE", "/dead-letters/9", DiscardDeadLetter(9)),
        ("POST", "/dead-letters/9/retry", RetryDeadLetter(9)),
    ],
)
def test_unknown_dead_letter_is_not_found(
    lonely: FlaskClient, supervisor: FakeSupervisor, method: str, path: str, question: Any
) -> None:
    supervisor.replies[GetDeadLetter] = None
    supervisor.replies[DiscardDeadLetter] = Outcome(found=False)
    supervisor.replies[RetryDeadLetter] = Outcome(found=False)

    answer = lonely.open(path, method=method)

    assert answer.status_code == 404
    assert b"No dead letter of this id is kept" in answer.data
    assert supervisor.asked == [question]


def test_dead_letter_is_deleted(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[DiscardDeadLetter] = Outcome(found=True)

    answer = lonely.delete("/dead-letters/3")

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "success", "message": "The dead letter is deleted."},
    )


def test_dead_letter_is_sent_again(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[RetryDeadLetter] = Outcome(found=True)

    answer = lonely.post("/dead-letters/3/retry")

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "success", "message": "The message was sent to its actor again."},
    )


def test_refused_retry_says_why(lonely: FlaskClient, supervisor: FakeSupervisor) -> None:
    supervisor.replies[RetryDeadLetter] = Outcome(found=True, refusal="The actor x is gone: ...")

    answer = lonely.post("/dead-letters/3/retry")

    assert answer.status_code == 409
    assert answer.json is not None
    assert answer.json["detail"] == "The actor x is gone: ..."


@pytest.mark.parametrize("letter_id", ["0", "-1", "one", "1.5", "9" * 5_000])
def test_id_that_is_none_is_refused(lonely: FlaskClient, letter_id: str) -> None:
    assert lonely.get(f"/dead-letters/{letter_id}").status_code == 400


# What is shown of a message.


@pytest.mark.parametrize(
    ("value", "values", "characters", "shown"),
    [
        ("abcdef", 9, 6, "abcdef"),
        ("abcdefg", 9, 6, "abcdef..."),
        ([1, 2, 3], 3, 9, [1, 2, 3]),
        ([1, 2, 3], 2, 9, [1, 2, "... 1 more"]),
        ({"a": 1, "b": 2}, 1, 9, {"a": 1, "...": "1 more"}),
        ([[1, 2], [3]], 2, 9, [[1, 2], "... 1 more"]),
        (float("nan"), 9, 9, "nan"),
        (float("-inf"), 9, 9, "-inf"),
        ([True, None, 1.5], 9, 9, [True, None, 1.5]),
        ([[[[[[[[[1]]]]]]]]], 9, 9, [[[[[[[["..."]]]]]]]]),
    ],
)
def test_content_is_cut_to_its_bounds(value: Any, values: int, characters: int, shown: Any) -> None:
    assert bounded(value, Bounds(values, characters)) == shown


def test_content_that_json_has_no_words_for_is_described() -> None:
    class Thing:
        def __repr__(self) -> str:
            return "a thing"

    assert builtins_of(Thing()) == "a thing"
    assert builtins_of({"thing": Thing(), (1, 2): 3}) == "{'thing': a thing, (1, 2): 3}"
    assert builtins_of(Mint("m")) == "m"
