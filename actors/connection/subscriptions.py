"""Which mints are wanted, what the server was told, and what it has acknowledged.

Purpose: turns wishes (a tracker's route, a coin in the cache) into subscribe and unsubscribe
calls, and acknowledgements into knowledge. Pure: time is passed in, frames to send are returned.
Guarantees: the first new key leaves at once, further ones together within the batch interval, more
than ten batches at once in chunks of 1,000; keys nobody has wanted for 2 s are unsubscribed; after
a reconnect everything wanted is subscribed again in chunks of 1,000 keys, 10 calls a second; never
more than 20 calls a second or 5,000 keys a call (documented limits: 200 and 5,000).
Not guaranteed: that an acknowledgement belongs to the call it is matched with (see `calls`). The
keys of a call that was written off stay `sent`; a trade of such a mint proves its subscription
after all.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from actors.connection.calls import MAX_KEYS_PER_CALL, Call, Calls, Outgoing
from actors.connection.control_frames import Ack
from actors.domain import Mint
from actors.protocol.connection import SubscriptionState

ORPHAN_GRACE_S: Final = 2.0
RESTORE_KEYS: Final = 1_000
RESTORE_PAUSE_S: Final = 0.1
BACKLOG_BATCHES: Final = 10
"""More new keys than so many batches leave like those of a reconnect: at 50 keys a batch, 10,000
streams would take 20 s to be subscribed.
"""
MAX_STRAYS: Final = 10_000
"""Mints unsubscribed on one connection because they came unasked; further ones are left alone."""


@dataclass(slots=True, eq=False)
class _Key:
    is_routed: bool = False
    is_watched: bool = False
    state: SubscriptionState = SubscriptionState.PENDING
    is_known: bool = False
    """The server was told of the key on this connection."""
    call: Call | None = None
    """The latest subscribe call whose acknowledgement would count for the key."""
    attempts: int = 0
    """How often a call has named it."""
    covered_us: int | None = None
    """Since when its trades are known to reach this machine; None unless acknowledged."""


class AckResult(msgspec.Struct, frozen=True):
    """What one acknowledgement has told."""

    mints: tuple[Mint, ...] = ()
    """Mints whose subscription is acknowledged now and was not before."""
    is_probe: bool = False
    """The call was a probe."""


class SubscriptionChanges(msgspec.Struct, frozen=True):
    """A mint's subscription has come into another state."""

    state: SubscriptionState
    attempt: int
    """How many subscribe calls have named the mint so far."""


class Subscriptions:
    """See the module's docstring. Belongs to the connection and outlives its instances."""

    def __init__(self, batch_size: int, batch_interval_s: float) -> None:
        self._batch_size = min(batch_size, MAX_KEYS_PER_CALL)
        self._batch_interval_s = batch_interval_s
        self.routes = 0
        """How many mints trackers want."""
        self._keys: dict[Mint, _Key] = {}
        self._states: Counter[SubscriptionState] = Counter()
        self._new: dict[Mint, None] = {}
        self._restore: dict[Mint, None] = {}
        self._orphans: dict[Mint, float] = {}
        self._strays: set[Mint] = set()
        self._hello: deque[tuple[str, Ack]] = deque()
        self._calls = Calls()
        self._news: dict[Mint, SubscriptionChanges] = {}
        self._next_batch_s = 0.0
        self._next_restore_s = 0.0
        self._is_open = False
        self._is_withheld = False

    def reconfigure(self, batch_size: int, batch_interval_s: float, now_s: float) -> None:
        """Batch by other settings from the next call on; a shorter interval acts at once."""
        self._batch_size = min(batch_size, MAX_KEYS_PER_CALL)
        self._batch_interval_s = batch_interval_s
        self._next_batch_s = min(self._next_batch_s, now_s + batch_interval_s)

    # What is wanted.

    def route(self, mint: Mint) -> None:
        """A tracker wants the mint's trades."""
        key = self._want(mint)
        self.routes += not key.is_routed
        key.is_routed = True

    def watch(self, mint: Mint) -> None:
        """The coin cache wants the mint's trades."""
        self._want(mint).is_watched = True

    def unroute(self, mint: Mint, now_s: float) -> None:
        """No tracker wants the mint any more."""
        key = self._keys.get(mint)
        if key is not None:
            self.routes -= key.is_routed
            key.is_routed = False
            self._leave(mint, key, now_s)

    def unwatch(self, mint: Mint, now_s: float) -> None:
        """The coin cache no longer wants the mint."""
        key = self._keys.get(mint)
        if key is not None:
            key.is_watched = False
            self._leave(mint, key, now_s)

    def stray(self, mint: Mint, now_s: float) -> None:
        """A trade came that nobody wants: unsubscribe its mint, once a connection; it is billed."""
        if mint in self._keys or mint in self._strays or len(self._strays) >= MAX_STRAYS:
            return
        self._strays.add(mint)
        key = self._keys[mint] = _Key(is_known=True, state=SubscriptionState.SENT)
        self._states[key.state] += 1
        self._leave(mint, key, now_s)

    def is_routed(self, mint: Mint) -> bool:
        """Whether a tracker wants the mint."""
        key = self._keys.get(mint)
        return key is not None and key.is_routed

    def is_watched(self, mint: Mint) -> bool:
        """Whether the coin cache wants the mint."""
        key = self._keys.get(mint)
        return key is not None and key.is_watched

    def routed(self) -> list[Mint]:
        """List the mints that trackers want."""
        return [mint for mint, key in self._keys.items() if key.is_routed]

    def repeat(self, mint: Mint, *, in_doubt: bool) -> bool:
        """Subscribe a wanted mint once more; return whether its coverage ends by that."""
        key = self._keys.get(mint)
        if key is None or not (key.is_routed or key.is_watched):
            return False
        self._new[mint] = None
        was_covered = key.covered_us is not None
        if in_doubt and key.state is not SubscriptionState.PENDING:
            self._set(mint, key, SubscriptionState.DOUBTED)
        return in_doubt and was_covered

    def _want(self, mint: Mint) -> _Key:
        self._orphans.pop(mint, None)
        key = self._keys.get(mint)
        if key is None:
            key = self._keys[mint] = _Key()
            self._states[key.state] += 1
        if key.call is None and mint not in self._restore:
            self._new[mint] = None
        return key

    def _leave(self, mint: Mint, key: _Key, now_s: float) -> None:
        if not (key.is_routed or key.is_watched):
            self._orphans.setdefault(mint, now_s)

    # What is known.

    @property
    def wanted(self) -> int:
        """How many mints are subscribed or about to be."""
        return len(self._keys)

    @property
    def are_proven(self) -> bool:
        """Whether every wanted subscription is acknowledged: trades can prove nothing more."""
        return self._states[SubscriptionState.ACKNOWLEDGED] == len(self._keys)

    @property
    def unsent_routes(self) -> int:
        """How many mints that trackers want were named in no subscribe call on this connection."""
        return sum(self._keys[mint].is_routed for mint in self._new.keys() | self._restore.keys())

    def counts(self) -> dict[str, int]:
        """Count the wanted subscriptions by state."""
        return {state.value: self._states[state] for state in SubscriptionState}

    def state_of(self, mint: Mint) -> SubscriptionState | None:
        """How far a mint's subscription has come; None when nobody wants it."""
        key = self._keys.get(mint)
        return None if key is None else key.state

    def sent_s(self, mint: Mint) -> float | None:
        """When the mint was last named in a subscribe call; None: not on this connection."""
        key = self._keys.get(mint)
        return None if key is None or key.call is None else key.call.sent_s

    def take_news(self, limit: int) -> list[tuple[Mint, SubscriptionChanges]]:
        """Give what has changed since the last time, at most `limit`; the newest of each mint."""
        news = self._news
        return [(mint, news.pop(mint)) for mint in list(islice(news, limit))]

    def covered_since_us(self, mint: Mint) -> int | None:
        """Since when the mint's subscription has been acknowledged and not doubted."""
        key = self._keys.get(mint)
        return None if key is None else key.covered_us

    def acknowledge(self, ack: Ack, at_us: int) -> AckResult:
        """The server has accepted a call of this kind: the oldest pending one."""
        call = self._calls.answered(ack)
        if call is None:
            return AckResult()
        proven = tuple(mint for mint in call.keys if self._accept(mint, call, at_us))
        return AckResult(proven, call.is_probe)

    def refuse_oldest(self) -> None:
        """The server has refused the oldest pending trade subscription in place of accepting it."""
        self._calls.answered(Ack.KEYS)

    def prove(self, mint: Mint, at_us: int) -> bool:
        """A trade of the mint arrived: its subscription works; return whether that was unknown."""
        key = self._keys.get(mint)
        if key is None or key.call is None or key.state is SubscriptionState.ACKNOWLEDGED:
            return False
        self._set(mint, key, SubscriptionState.ACKNOWLEDGED)
        key.covered_us = at_us
        return True

    def _accept(self, mint: Mint, call: Call, at_us: int) -> bool:
        key = self._keys.get(mint)
        if key is None or key.call is not call or key.state is SubscriptionState.ACKNOWLEDGED:
            return False
        self._set(mint, key, SubscriptionState.ACKNOWLEDGED)
        key.covered_us = at_us
        return True

    def _set(self, mint: Mint, key: _Key, state: SubscriptionState) -> None:
        if state is not key.state:
            self._news[mint] = SubscriptionChanges(state, key.attempts)
        self._states[key.state] -= 1
        self._states[state] += 1
        key.state = state
        if state is not SubscriptionState.ACKNOWLEDGED:
            key.covered_us = None

    # The connection.

    def opened(self, now_s: float) -> None:
        """A new connection is there: nothing is subscribed on it yet."""
        self._forget_server()
        self._is_open = True
        self._hello.extend(
            (("subscribeNewToken", Ack.NEW_TOKEN), ("subscribeMigration", Ack.MIGRATION))
        )
        self._next_batch_s = self._next_restore_s = now_s

    def lost(self) -> None:
        """The connection is gone, and with it everything the server knew."""
        self._forget_server()
        self._is_open = False

    def withhold(self) -> None:
        """The server delivers no trades: keys wait until `offer_again`."""
        if not self._is_withheld:
            self._is_withheld = True
            self._restart_keys()

    def offer_again(self) -> None:
        """The server delivers trades again: subscribe everything that is wanted."""
        if self._is_withheld:
            self._is_withheld = False
            self._restart_keys()

    def probe(self, now_s: float) -> Outgoing | None:
        """Ask for the trades of one wanted mint all the same; None when nothing is wanted."""
        mint = next((mint for mint in self._keys if mint not in self._orphans), None)
        if mint is None or not self._is_open:
            return None
        return self._subscribe((mint,), now_s, is_probe=True)

    def _forget_server(self) -> None:
        self._hello.clear()
        self._strays.clear()
        self._calls.forget_pending()
        for key in self._keys.values():
            key.is_known = False
        self._restart_keys()

    def _restart_keys(self) -> None:
        self._new.clear()
        self._restore = dict.fromkeys(self.routed())
        for mint, key in self._keys.items():
            self._set(mint, key, SubscriptionState.PENDING)
            key.call = None
            if mint not in self._orphans:
                self._restore[mint] = None

    # What to send.

    def due(self, now_s: float) -> list[Outgoing]:
        """Give the calls that are to be sent now, in order."""
        self._calls.write_off(now_s)
        calls: list[Outgoing] = []
        self._drop_orphans(now_s, calls)
        if not self._is_open:
            return calls
        while self._hello and self._calls.may_send(now_s):
            method, ack = self._hello.popleft()
            calls.append(self._calls.send(method, Call((), now_s), ack))
        if not self._is_withheld:
            self._send_new(now_s, calls)
            self._send_restored(now_s, calls)
        return calls

    def _drop_orphans(self, now_s: float, calls: list[Outgoing]) -> None:
        while self._orphans:
            ripe = self._ripe_orphans(now_s)
            if not ripe or (self._is_open and not self._calls.may_send(now_s)):
                return
            subscribed = [mint for mint in ripe if self._keys[mint].is_known]
            for mint in ripe:
                self._forget(mint)
            if subscribed and self._is_open:
                call = Call(tuple(subscribed), now_s)
                calls.append(self._calls.send("unsubscribeTokenTrade", call, Ack.UNSUBSCRIBED))

    def _ripe_orphans(self, now_s: float) -> list[Mint]:
        ripe: list[Mint] = []
        for mint, since_s in self._orphans.items():
            if now_s - since_s < ORPHAN_GRACE_S or len(ripe) == RESTORE_KEYS:
                break
            ripe.append(mint)
        return ripe

    def _forget(self, mint: Mint) -> None:
        del self._orphans[mint]
        self._states[self._keys.pop(mint).state] -= 1
        self._new.pop(mint, None)
        self._restore.pop(mint, None)

    def _send_new(self, now_s: float, calls: list[Outgoing]) -> None:
        backlog = BACKLOG_BATCHES * self._batch_size
        if now_s < self._next_batch_s and len(self._new) <= backlog:
            return
        while self._new and self._calls.may_send(now_s):
            size = self._batch_size
            if len(self._new) > backlog:
                size = max(size, RESTORE_KEYS)
            else:
                self._next_batch_s = now_s + self._batch_interval_s
            calls.append(self._subscribe(_take(self._new, size), now_s))

    def _send_restored(self, now_s: float, calls: list[Outgoing]) -> None:
        if self._restore and now_s >= self._next_restore_s and self._calls.may_send(now_s):
            calls.append(self._subscribe(_take(self._restore, RESTORE_KEYS), now_s))
            self._next_restore_s = now_s + RESTORE_PAUSE_S

    def _subscribe(
        self, mints: tuple[Mint, ...], now_s: float, *, is_probe: bool = False
    ) -> Outgoing:
        call = Call(mints, now_s, is_probe)
        for mint in mints:
            self._new.pop(mint, None)
            self._restore.pop(mint, None)
            key = self._keys[mint]
            key.call = call
            key.is_known = True
            key.attempts += 1
            if key.state is SubscriptionState.PENDING:
                self._set(mint, key, SubscriptionState.SENT)
        return self._calls.send("subscribeTokenTrade", call, Ack.KEYS)


def _take(mints: dict[Mint, None], limit: int) -> tuple[Mint, ...]:
    """Take the first keys out of an ordered set."""
    taken = tuple(mint for mint, _ in zip(mints, range(limit), strict=False))
    for mint in taken:
        del mints[mint]
    return taken
