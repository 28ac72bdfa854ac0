import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from simulator.process import RunningWebhook, start_webhook

LIMIT_S = 20.0


@pytest.fixture
def receiver() -> Iterator[RunningWebhook]:
    with start_webhook(["--keep", "3"]) as running:
        yield running


def batch(*mints: str) -> dict[str, Any]:
    return {
        "source": "pump_find_backend",
        "count": len(mints),
        "data": [{"mint": m} for m in mints],
    }


def post(receiver: RunningWebhook, body: object, key: str = "k", **options: Any) -> int:
    response = requests.post(
        f"{receiver.url}/webhook/coins",
        json=body,
        headers={"Idempotency-Key": key, **options.pop("headers", {})},
        timeout=options.pop("timeout", LIMIT_S),
        allow_redirects=False,
    )
    return response.status_code


def test_posted_batches_are_kept_with_their_key(receiver: RunningWebhook) -> None:
    status = post(receiver, batch("a", "b"), key="batch-1")

    received = receiver.received()
    assert status == 200
    assert (received["count"], received["coins"]) == (1, 2)
    kept = received["batches"]
    assert isinstance(kept, list)
    assert kept[0]["idempotency_key"] == "batch-1"
    assert kept[0]["body"] == batch("a", "b")
    assert (kept[0]["method"], kept[0]["path"]) == ("POST", "/webhook/coins")


def test_get_delivers_the_batch_in_the_query(receiver: RunningWebhook) -> None:
    response = requests.get(
        f"{receiver.url}/hook", params={"data": json.dumps(batch("a&b=\u00e9"))}, timeout=LIMIT_S
    )

    kept = receiver.received()["batches"]
    assert response.status_code == 200
    assert isinstance(kept, list)
    assert kept[0]["method"] == "GET"
    assert kept[0]["body"] == batch("a&b=\u00e9")


def test_memory_is_bounded_and_totals_go_on(receiver: RunningWebhook) -> None:
    for number in range(5):
        post(receiver, batch(str(number)), key=str(number))

    received = receiver.received()
    kept = received["batches"]
    assert isinstance(kept, list)
    assert [b["idempotency_key"] for b in kept] == ["2", "3", "4"]
    assert (received["count"], received["coins"]) == (5, 5)


def test_a_repeated_key_counts_as_a_duplicate_and_its_coins_once(receiver: RunningWebhook) -> None:
    post(receiver, batch("a"), key="same")
    post(receiver, batch("a"), key="same")

    received = receiver.received()
    assert (received["count"], received["duplicates"], received["coins"]) == (2, 1, 1)


def test_a_status_is_given_as_often_as_told_and_nothing_is_kept(receiver: RunningWebhook) -> None:
    receiver.set_mode("status:500", times=2)

    statuses = [post(receiver, batch("a")) for _ in range(3)]

    assert statuses == [500, 500, 200]
    received = receiver.received()
    assert (received["count"], received["attempts"]) == (1, 3)


def test_refused_connections_end_without_an_answer(receiver: RunningWebhook) -> None:
    receiver.set_mode("refuse")

    with pytest.raises(requests.ConnectionError):
        post(receiver, batch("a"))
    assert receiver.received()["count"] == 0


def test_a_hanging_request_gets_no_answer(receiver: RunningWebhook) -> None:
    receiver.set_mode("hang")

    with pytest.raises(requests.ReadTimeout):
        post(receiver, batch("a"), timeout=0.3)
    receiver.set_mode("ok")
    assert post(receiver, batch("a")) == 200
    assert receiver.received()["count"] == 1


def test_a_slow_answer_comes_in_the_end(receiver: RunningWebhook) -> None:
    receiver.set_mode("slow:0.2")

    with pytest.raises(requests.ReadTimeout):
        post(receiver, batch("a"), timeout=0.05)
    assert post(receiver, batch("b"), key="second") == 200


def test_redirects_point_elsewhere(receiver: RunningWebhook) -> None:
    receiver.set_mode("redirect")

    assert post(receiver, batch("a")) == 302
    assert receiver.received()["count"] == 0


def test_an_unknown_mode_is_refused(receiver: RunningWebhook) -> None:
    for mode in ("explode", "status:abc", "slow:-1", "ok:1"):
        with pytest.raises(ValueError, match="there is no mode"):
            receiver.set_mode(mode)


def test_body_that_is_not_json_is_refused(receiver: RunningWebhook) -> None:
    response = requests.post(f"{receiver.url}/x", data=b"nonsense", timeout=LIMIT_S)

    assert response.status_code == 400
    assert receiver.received()["count"] == 0


def test_log_has_one_line_for_each_accepted_batch(tmp_path: Path) -> None:
    log = tmp_path / "batches.jsonl"
    with start_webhook(["--log", str(log)]) as receiver:
        post(receiver, batch("a"), key="one")
        receiver.set_mode("status:503", times=1)
        post(receiver, batch("b"), key="two")
        post(receiver, batch("b"), key="two")

        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

    assert [line["idempotency_key"] for line in lines] == ["one", "two"]
    assert lines[1]["body"] == batch("b")
    assert lines[0]["received_at"] <= lines[1]["received_at"]


def test_authentication_is_checked_and_never_shown() -> None:
    with start_webhook(["--auth", "X-Token: hunter2"]) as receiver:
        without = post(receiver, batch("a"))
        wrong = post(receiver, batch("a"), headers={"X-Token": "guess"})
        right = post(receiver, batch("a"), headers={"X-Token": "hunter2"})
        received = receiver.received()

    assert (without, wrong, right) == (401, 401, 200)
    assert (received["count"], received["unauthorized"]) == (1, 2)
    assert "hunter2" not in json.dumps(received)
