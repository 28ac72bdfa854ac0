"""What to do about an answer of the webhook, or about none."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import msgspec

from actors.backoff import backoff_s

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 60.0
STOPPED_PAUSE_S: Final = 300.0
"""How long a webhook that refuses our credentials is left alone before it is tried again."""
MAX_REFUSALS: Final = 3
"""Refusals of one batch after which it is given up."""

_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = range(300, 500)


class WebhookAnswer(msgspec.Struct, frozen=True):
    """The webhook has answered."""

    status: int
    retry_after_s: float | None = None
    """What its `Retry-After` asks for, in seconds."""


class Failure(StrEnum):
    """The webhook has not answered; also the label of the error counter."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"


Outcome = WebhookAnswer | Failure


@dataclass(frozen=True)
class Deliver:
    """The batch has arrived; go on with the next one at once."""


@dataclass(frozen=True)
class Retry:
    """Send the same batch again after a pause. `refused`: the webhook does not want this one."""

    after_s: float
    refused: bool = False


@dataclass(frozen=True)
class Split:
    """The batch is too large: replace it by its halves."""


@dataclass(frozen=True)
class GiveUp:
    """Our credentials are refused: nothing will arrive until someone changes that."""

    after_s: float


@dataclass(frozen=True)
class Undeliverable:
    """Give the batch up and keep it for an operator."""


Decision = Deliver | Retry | Split | GiveUp | Undeliverable


def decide(
    outcome: Outcome, *, coins: int, failures: int, refusals: int, jitter: float
) -> Decision:
    """Decide about one attempt.

    Args:
        outcome: the answer, or why there was none.
        coins: members of the batch.
        failures: attempts in a row that failed, this one included should it have failed; from 1.
        refusals: how often this very batch was refused, this time included; from 1.
        jitter: a number in 0..1 from the caller's random source.
    """
    if isinstance(outcome, WebhookAnswer):
        settled = _settled(outcome, coins)
        if settled is not None:
            return settled
        if _is_refusal(outcome.status) and refusals >= MAX_REFUSALS:
            return Undeliverable()
        return Retry(pause_s(failures, jitter), refused=_is_refusal(outcome.status))
    return Retry(pause_s(failures, jitter))


def has_arrived(outcome: Outcome) -> bool:
    """Say whether the webhook has accepted the batch: any 2xx."""
    return isinstance(outcome, WebhookAnswer) and outcome.status in _SUCCESSES


def _settled(answer: WebhookAnswer, coins: int) -> Decision | None:
    """Decide about an answer for which it does not matter how often it came; None: it does."""
    match answer:
        case WebhookAnswer(status=status) if status in _SUCCESSES:
            return Deliver()
        case WebhookAnswer(status=413 | 414):
            return Split() if coins > 1 else Undeliverable()
        case WebhookAnswer(status=401 | 403):
            return GiveUp(STOPPED_PAUSE_S)
        case WebhookAnswer(status=429, retry_after_s=float(wait_s)):
            return Retry(min(max(wait_s, FIRST_PAUSE_S), MAX_PAUSE_S))
    return None


def _is_refusal(status: int) -> bool:
    """Say whether the batch itself is refused: any 3xx or 4xx that time alone does not mend.

    404 is n8n's answer while a workflow is not active, 408 is a timeout in the server's words.
    """
    return status in _REFUSALS and status not in (404, 408, 429)


def pause_s(failures: int, jitter: float) -> float:
    """Give the pause after so many failures in a row: 1 s doubling to 60 s, less up to a fourth."""
    return backoff_s(failures, FIRST_PAUSE_S, MAX_PAUSE_S, chance=jitter, jitter=0.25)


def retry_after_s(value: str | None, date: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or a date that counts from the answer's own `Date`.

    None when there is none, or it cannot be read.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(date or "")
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def error_type(outcome: Outcome) -> str:
    """Name a failed attempt for the error counter, from a small fixed set."""
    if isinstance(outcome, Failure):
        return outcome.value
    if outcome.status in (401, 403):
        return "refused"
    return "redirect" if outcome.status in _REDIRECTS else "status"


def describe(outcome: Outcome) -> str:
    """Say in one sentence what happened and what to do; holds nothing of the address."""
    match outcome:
        case Failure.TIMEOUT:
            return "n8n did not answer within N8N_TIMEOUT; coins are kept and sent later."
        case Failure.CONNECTION:
            return "No connection to n8n; check N8N_WEBHOOK_URL and that n8n is running."
        case WebhookAnswer(status=401 | 403 as status):
            return f"n8n refuses our credentials ({status}); correct N8N_AUTH_HEADER."
        case WebhookAnswer(status=404):
            return "n8n does not know the webhook (404); is the workflow active?"
        case WebhookAnswer(status=status) if status in _REDIRECTS:
            return f"n8n redirects ({status}), which is not followed; correct N8N_WEBHOOK_URL."
        case WebhookAnswer(status=status):
            return f"n8n answered with status {status}."
