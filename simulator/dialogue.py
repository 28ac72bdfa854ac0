"""What the server says to one client, and which frames that client gets. No socket in here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec

from simulator.frames import BROKEN, CREATE, MIGRATE, OTHER, TRADES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from simulator.frames import Frame

SUBSCRIBED_CREATES = '{"message":"Successfully subscribed to token creation events."}'
SUBSCRIBED_MIGRATIONS = '{"message":"Subscribed to \'migration\' events."}'
SUBSCRIBED_KEYS = '{"message":"Successfully subscribed to keys."}'
UNSUBSCRIBED = '{"message":"Unsubscribed."}'
REFUSED_WITHOUT_KEY = (
    "{\"message\":\"'subscribeTokenTrade' and 'subscribeAccountTrade' methods are only available "
    'when connecting with an API key funded with at least 0.02 SOL."}'
)
INVALID_KEY = '{"errors":"Invalid API key. PumpSwap data will not be streamed."}'
BALANCE_TOO_LOW = '{"errors":"Minimum balance not met for PumpSwap websocket data."}'
UNKNOWN_METHOD = '{"errors":"Invalid message."}'

MAX_KEYS_PER_CALL = 5_000
SILENCES = ("all", "creates", "migrations", "trades")


class KeyState(StrEnum):
    """What the server makes of the client's API key."""

    NONE = "none"
    UNKNOWN = "unknown"
    UNFUNDED = "unfunded"
    FUNDED = "funded"


@dataclass(frozen=True, slots=True)
class Manners:
    """How the server behaves where sources disagree.

    Attributes:
        key_state: the state of every key; None: by the key itself (see `key_state_of`).
        acknowledge_unsubscribe: whether an unsubscribe call is answered.
        complain: whether unknown methods and bad JSON are answered with `errors`.
        all_trades: whether trades of keys that are not subscribed are sent as well.
        zombie_share: share of newly subscribed keys that are acknowledged and never deliver.
    """

    key_state: KeyState | None = None
    acknowledge_unsubscribe: bool = True
    complain: bool = False
    all_trades: bool = False
    zombie_share: float = 0.0


def key_state_of(path: str) -> KeyState:
    """Tell the state of the key in a request path.

    No key: none. A key that begins with `unfunded`, `unknown` or `invalid` is just that; every
    other key is funded.
    """
    key = parse_qs(urlsplit(path).query).get("api-key", [""])[0]
    if not key:
        return KeyState.NONE
    if key.startswith(("unknown", "invalid")):
        return KeyState.UNKNOWN
    return KeyState.UNFUNDED if key.startswith("unfunded") else KeyState.FUNDED


class _Call(msgspec.Struct):
    method: str = ""
    keys: list[str] = []


_calls = msgspec.json.Decoder(_Call)


@dataclass(slots=True)
class Zombies:
    """Subscriptions that are acknowledged and deliver nothing.

    Attributes:
        keys: the silent keys.
        heal: whether subscribing such a key again brings it back.
    """

    keys: set[str] = field(default_factory=set)
    heal: bool = True


class Dialogue:
    """One client's subscriptions. Not thread-safe, never blocks."""

    def __init__(
        self, key_state: KeyState, manners: Manners, rng: Random, calls: Counter[str] | None = None
    ) -> None:
        """Begin a conversation; `calls` counts the client's calls by method."""
        self.key_state = key_state
        self.mints: set[str] = set()
        self.accounts: set[str] = set()
        self.creates = False
        self.migrations = False
        self.zombies = Zombies()
        self.silenced: set[str] = set()
        self.calls = calls if calls is not None else Counter()
        self.oversized_calls = 0
        self._manners = manners
        self._rng = rng
        self._methods: dict[str, Callable[[_Call], list[str]]] = {
            "subscribeNewToken": self._subscribe_creates,
            "subscribeMigration": self._subscribe_migrations,
            "subscribeTokenTrade": lambda call: self._subscribe(call, self.mints),
            "subscribeAccountTrade": lambda call: self._subscribe(call, self.accounts),
            "unsubscribeNewToken": self._unsubscribe_creates,
            "unsubscribeTokenTrade": lambda call: self._unsubscribe(call, self.mints),
            "unsubscribeAccountTrade": lambda call: self._unsubscribe(call, self.accounts),
        }

    @property
    def subscribed(self) -> bool:
        """Whether the client asked for anything yet."""
        return self.creates or self.migrations or bool(self.mints or self.accounts)

    def greeting(self) -> list[str]:
        """Return what the server says before it is asked."""
        if self.key_state is KeyState.UNKNOWN:
            return [INVALID_KEY]
        return [BALANCE_TOO_LOW] if self.key_state is KeyState.UNFUNDED else []

    def answer(self, text: str | bytes) -> list[str]:
        """Act on one call and return the answers (none: silence)."""
        try:
            call = _calls.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._complaint("not a call")
        act = self._methods.get(call.method)
        return act(call) if act else self._complaint("unknown method")

    def wants(self, frame: Frame) -> bool:
        """Tell whether this client gets the frame now."""
        kind, silenced = frame.kind, self.silenced
        if silenced and "all" in silenced:
            return False
        if kind in TRADES:
            return self._wants_trade(frame)
        if kind == CREATE:
            return self.creates and "creates" not in silenced
        if kind == MIGRATE:
            return self.migrations and "migrations" not in silenced
        if kind == BROKEN and frame.mint:
            return self._wants_trade(frame)
        return self.subscribed and kind in {OTHER, BROKEN}

    def silence_keys(self, keys: Iterable[str], *, heal: bool) -> None:
        """Make subscriptions zombies; empty `keys`: all there are now."""
        self.zombies.keys.update(list(keys) or self.mints)
        self.zombies.heal = heal

    def resume(self) -> None:
        """End every silence."""
        self.silenced.clear()
        self.zombies.keys.clear()

    def _wants_trade(self, frame: Frame) -> bool:
        if self.key_state is not KeyState.FUNDED or "trades" in self.silenced:
            return False
        if frame.mint in self.zombies.keys:
            return False
        if frame.mint in self.mints or self._manners.all_trades:
            return True
        return bool(self.accounts) and frame.trader in self.accounts

    def _subscribe(self, call: _Call, keys: set[str]) -> list[str]:
        self.oversized_calls += len(call.keys) > MAX_KEYS_PER_CALL
        if self.key_state is KeyState.UNFUNDED:
            return self._acknowledge(call, BALANCE_TOO_LOW)
        if self.key_state is not KeyState.FUNDED:
            return self._acknowledge(call, REFUSED_WITHOUT_KEY)
        if not call.keys:
            return self._complaint("no keys")
        if self.zombies.heal:
            self.zombies.keys.difference_update(call.keys)
        if self._manners.zombie_share:
            self._bury(key for key in call.keys if key not in keys)
        keys.update(call.keys)
        return self._acknowledge(call, SUBSCRIBED_KEYS)

    def _bury(self, new_keys: Iterable[str]) -> None:
        share = self._manners.zombie_share
        self.zombies.keys.update(key for key in new_keys if self._rng.random() < share)

    def _subscribe_creates(self, call: _Call) -> list[str]:
        self.creates = True
        return self._acknowledge(call, SUBSCRIBED_CREATES)

    def _subscribe_migrations(self, call: _Call) -> list[str]:
        self.migrations = True
        return self._acknowledge(call, SUBSCRIBED_MIGRATIONS)

    def _unsubscribe_creates(self, call: _Call) -> list[str]:
        self.creates = False
        return self._unsubscribed(call)

    def _unsubscribe(self, call: _Call, keys: set[str]) -> list[str]:
        keys.difference_update(call.keys)
        return self._unsubscribed(call)

    def _unsubscribed(self, call: _Call) -> list[str]:
        answers = self._acknowledge(call, UNSUBSCRIBED)
        return answers if self._manners.acknowledge_unsubscribe else []

    def _acknowledge(self, call: _Call, text: str) -> list[str]:
        self.calls[call.method] += 1
        return [text]

    def _complaint(self, why: str) -> list[str]:
        self.calls[why] += 1
        return [UNKNOWN_METHOD] if self._manners.complain else []
