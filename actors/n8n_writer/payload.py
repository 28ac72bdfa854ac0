"""What goes to the webhook: a batch of coins as one request."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from actors.domain import Coin

SOURCE: Final = "pump_find_backend"
MAX_URL_CHARACTERS: Final = 8_000
"""With GET the batch stands in the address, which many servers cut at 8 KiB."""

_TRAPS: Final = frozenset({"__proto__", "constructor", "prototype"})
"""Names that change all objects of a JavaScript program that copies them; no coin needs them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CoinBatch(msgspec.Struct, frozen=True):
    """Coins that are delivered together; id and members stay the same over retries and restarts."""

    batch_id: str
    created_us: int
    coins: tuple[Coin, ...]

    def halves(self) -> tuple[CoinBatch, CoinBatch]:
        """Divide a batch of at least two coins; the halves' ids follow from its own."""
        middle = len(self.coins) // 2
        return (
            CoinBatch(f"{self.batch_id}.1", self.created_us, self.coins[:middle]),
            CoinBatch(f"{self.batch_id}.2", self.created_us, self.coins[middle:]),
        )


@dataclass(frozen=True)
class WebhookRequest:
    """One request. Only the method shows: address, headers and body can hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


def build_request(
    batch: CoinBatch, method: str, url: str, auth_header: str | None
) -> WebhookRequest:
    """Build the request for a batch: a JSON body, or with GET the same JSON as parameter `data`.

    Args:
        batch: what to send.
        method: "POST" or "GET".
        url: the webhook's address; a query it has is kept.
        auth_header: "Name: value", sent as it is.
    """
    text = json.dumps(envelope(batch), allow_nan=False, separators=(",", ":"))
    headers = {"User-Agent": "mintwatch", "Idempotency-Key": batch.batch_id}
    if auth_header is not None:
        name, _, value = auth_header.partition(":")
        headers[name.strip()] = value.strip()
    if method == "GET":
        return WebhookRequest(method, _with_parameter(url, text), headers, None)
    return WebhookRequest(
        method, url, headers | {"Content-Type": "application/json"}, text.encode()
    )


def fits(request: WebhookRequest) -> bool:
    """Say whether the address is short enough; a body may have any size."""
    return request.body is not None or len(request.url) <= MAX_URL_CHARACTERS


def prove(coin: Coin) -> None:
    """Try everything that will be done with a coin, so that it can not spoil a batch later.

    Raises:
        ValueError: It cannot be stored or sent, for a lone surrogate or a number that is not one.
    """
    msgspec.msgpack.encode(coin)
    json.dumps(coin_fields(coin), allow_nan=False)


def envelope(batch: CoinBatch) -> dict[str, object]:
    """Describe a batch with the field names that n8n workflows of the original read."""
    return {
        "source": SOURCE,
        "count": len(batch.coins),
        "timestamp": _iso(batch.created_us),
        "data": [coin_fields(coin) for coin in batch.coins],
        "batch_id": batch.batch_id,
    }


def coin_fields(coin: Coin) -> dict[str, object]:
    """Describe a coin: every field of its create frame, then what was derived from it."""
    return {
        **_frame_fields(coin),
        "price_sol": coin.price_sol,
        "pool_address": coin.bonding_curve_key or None,
        "social_count": coin.social_count,
        "has_socials": None if coin.social_count is None else coin.social_count > 0,
        "creator": coin.creator,
        "discovered_at": _iso(coin.arrived_us),
    }


def _frame_fields(coin: Coin) -> dict[str, object]:
    # NaN, Infinity and 1e999 are not JSON, and n8n would refuse the whole batch for one of them.
    try:
        fields = json.loads(
            coin.frame,
            parse_constant=lambda _: None,
            parse_float=_finite,
            object_pairs_hook=_without_traps,
        )
        # Python reads a little deeper than it writes; what stands here is written deeper still.
        json.dumps([[[[[[[[fields]]]]]]]], allow_nan=False)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict):
        return fields
    return {"mint": coin.mint, "name": coin.name, "symbol": coin.symbol, "uri": coin.uri}


def _without_traps(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return {name: value for name, value in pairs if name not in _TRAPS}


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _with_parameter(url: str, text: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode({"data": text}))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _iso(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds")
