from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.n8n_writer.retry_policy import (
    Decision,
    Deliver,
    Failure,
    GiveUp,
    Outcome,
    Retry,
    Split,
    Undeliverable,
    WebhookAnswer,
    decide,
    describe,
    error_type,
    pause_s,
    retry_after_s,
)

RETRIED = {404, 408, 429, *range(100, 200), *range(500, 600)}


def first_attempt(outcome: Outcome, coins: int = 10) -> Decision:
    return decide(outcome, coins=coins, failures=1, refusals=1, jitter=0.0)


def expected(status: int) -> Decision:
    if status in range(200, 300):
        return Deliver()
    if status in (413, 414):
        return Split()
    if status in (401, 403):
        return GiveUp(300.0)
    if status in RETRIED:
        return Retry(1.0)
    return Retry(1.0, refused=True)


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_its_decision(status: int) -> None:
    assert first_attempt(WebhookAnswer(status)) == expected(status)


@pytest.mark.parametrize("status", range(100, 600))
def test_only_refused_batches_are_given_up_after_three_tries(status: int) -> None:
    third = decide(WebhookAnswer(status), coins=10, failures=3, refusals=3, jitter=0.0)
    is_refusal = expected(status) == Retry(1.0, refused=True)
    assert (third == Undeliverable()) is is_refusal


@pytest.mark.parametrize("status", [413, 414])
def test_batch_of_one_that_is_too_large_is_given_up(status: int) -> None:
    assert first_attempt(WebhookAnswer(status), coins=1) == Undeliverable()
    assert first_attempt(WebhookAnswer(status), coins=2) == Split()


@pytest.mark.parametrize("failure", list(Failure))
def test_no_answer_is_retried_for_ever(failure: Failure) -> None:
    decision = decide(failure, coins=1, failures=1_000_000, refusals=9, jitter=0.0)
    assert decision == Retry(60.0)


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(0.0, 1.0), (7.0, 7.0), (60.0, 60.0), (3600.0, 60.0)]
)
def test_retry_after_is_honoured_between_a_second_and_a_minute(
    asked_s: float, waited_s: float
) -> None:
    assert first_attempt(WebhookAnswer(429, asked_s)) == Retry(waited_s)


def test_retry_after_of_another_status_is_ignored() -> None:
    assert first_attempt(WebhookAnswer(503, 30.0)) == Retry(1.0)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 16.0), (6, 32.0), (7, 60.0), (99, 60.0)],
)
def test_pause_doubles_up_to_a_minute(failures: int, seconds: float) -> None:
    assert pause_s(failures, 0.0) == seconds


@given(failures=st.integers(1, 10**9), jitter=st.floats(0, 1))
def test_jitter_takes_at_most_a_fourth(failures: int, jitter: float) -> None:
    full = pause_s(failures, 0.0)
    assert full * 0.75 <= pause_s(failures, jitter) <= full


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("", None, None),
        ("12", None, 12.0),
        (" 12 ", None, 12.0),
        ("9" * 400, None, 999_999_999.0),
        ("-5", None, None),
        ("1.5", None, None),
        ("nan", None, None),
        ("\u0661\u0662", None, None),
        ("soon", "Fri, 03 Jul 2026 10:00:00 GMT", None),
        ("Fri, 03 Jul 2026 10:00:30 GMT", "Fri, 03 Jul 2026 10:00:00 GMT", 30.0),
        ("Fri, 03 Jul 2026 09:00:00 GMT", "Fri, 03 Jul 2026 10:00:00 GMT", 0.0),
        ("Fri, 03 Jul 2026 10:00:30 GMT", None, None),
        ("Fri, 03 Jul 2026 10:00:30 -0000", "Fri, 03 Jul 2026 10:00:00 GMT", None),
    ],
)
def test_retry_after_is_read(value: str | None, date: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, date) == seconds


@given(value=st.text(max_size=40), date=st.text(max_size=40))
def test_no_header_makes_the_reader_fail(value: str, date: str) -> None:
    seconds = retry_after_s(value, date)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Failure.TIMEOUT, "timeout"),
        (Failure.CONNECTION, "connection"),
        (WebhookAnswer(302), "redirect"),
        (WebhookAnswer(401), "refused"),
        (WebhookAnswer(403), "refused"),
        (WebhookAnswer(404), "status"),
        (WebhookAnswer(500), "status"),
    ],
)
def test_errors_are_counted_under_fixed_labels(outcome: Outcome, label: str) -> None:
    assert error_type(outcome) == label


@pytest.mark.parametrize(
    ("outcome", "part"),
    [
        (Failure.TIMEOUT, "N8N_TIMEOUT"),
        (Failure.CONNECTION, "N8N_WEBHOOK_URL"),
        (WebhookAnswer(401), "correct N8N_AUTH_HEADER"),
        (WebhookAnswer(404), "is the workflow active?"),
        (WebhookAnswer(302), "not followed"),
        (WebhookAnswer(500), "status 500"),
    ],
)
def test_failures_are_described_with_what_to_do(outcome: Outcome, part: str) -> None:
    assert part in describe(outcome)
