"""Names, symbols and creators of new coins, with the sharing that is seen on the feed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from simulator.quantiles import chance

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

T = TypeVar("T")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Baby Black Golden Happy Lazy Liberty Lucky Magic Mega Midnight Moon Neon Ocean Purple Quiet "
    "Rocket Royal Silent Silver Sleepy Solar Space Super Tiny Turbo Velvet Wild Angry Brave Cosmic "
    "Crypto Derp Electric Flying Frozen Giga Grumpy Hidden Hungry Infinite Jolly Little"
)
_SECOND = _words(
    "Ape Bear Bull Cat Coin Dog Dragon Duck Eagle Fish Fox Frog Goat Hamster Horse Kitten Koala "
    "Lemur Lion Llama Monkey Moose Mouse Otter Owl Panda Parrot Penguin Pigeon Pony Puppy Rabbit "
    "Raccoon Rat Seal Shark Sheep Sloth Snail Squid Tiger Toad Turtle Unicorn Walrus Whale Wolf"
)
_LAST = _words("Inu Club Army World Season Summer Society Office Index Mode Official Returns 2")
_SUSPICIOUS = ("Trading Bot", "Test Coin", "Rug Insurance", "Honey Jar", "Not a Scam", "Faucet")
_NOT_ASCII = (
    "\u6708\u4eae\u72d7",
    "\u3053\u306d\u3053\u30b3\u30a4\u30f3",
    "\ubc94 \ucf54\uc778",
    "Rocket \U0001f680\U0001f680",
    "\U0001f438",
    "Caf\u00e9 Cat",
    "\u136b\u1371\u136b\u1370",
    "\u0441\u043e\u0431\u0430\u043a\u0430",
)


class CoinName(NamedTuple):
    """What a create says about its coin besides amounts; None means the field is missing."""

    name: str | None
    symbol: str | None
    uri: str | None


class Reuse(Generic[T]):
    """Mixes new values with repeats of recent ones.

    A new value is open to repeats with `popular_share`; a repeat prefers the newest. At most
    `memory` values are remembered, the oldest are forgotten.
    """

    def __init__(
        self, make: Callable[[], T], repeat_share: float, popular_share: float, memory: int = 60
    ) -> None:
        self._make = make
        self._repeat_share = repeat_share
        self._popular_share = popular_share
        self._popular: deque[T] = deque(maxlen=memory)

    def next(self, rng: Random) -> T:
        """Return a repeat or a new value."""
        if self._popular and chance(rng, self._repeat_share):
            back = int(len(self._popular) * rng.random() ** 2)
            return self._popular[-1 - back]
        value = self._make()
        if chance(rng, self._popular_share):
            self._popular.append(value)
        return value


class Names:
    """Draws names: 43 % shared with another coin, symbols 53 %, 2 % not ASCII."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._names = Reuse(self._new_name, repeat_share=0.28, popular_share=0.24)
        self._symbols = Reuse(self._new_symbol, repeat_share=0.1, popular_share=0.25)
        self._last_name = ""

    def draw(self, uri_key: str) -> CoinName:
        """Return what the next create says; `uri_key` makes its address unique."""
        if chance(self._rng, 0.003):
            return CoinName(None, None, None)
        if chance(self._rng, 0.003):
            return CoinName("", "", "")
        name, symbol = self._names.next(self._rng)
        return CoinName(name, symbol, f"https://ipfs.io/ipfs/Qm{uri_key}")

    def _new_name(self) -> tuple[str, str]:
        self._last_name = self._decorated(self._plain())
        return self._last_name, self._symbols.next(self._rng)

    def _new_symbol(self) -> str:
        return "".join(self._last_name.split()).upper()[:13] or "?"

    def _plain(self) -> str:
        rng = self._rng
        if chance(rng, 0.02):
            return f"{rng.choice(_NOT_ASCII)}{rng.choice(('', '', ' ', str(rng.randrange(99))))}"
        if chance(rng, 0.03):
            return f"{rng.choice(_SUSPICIOUS)} {rng.randrange(1000)}"
        words = [rng.choice(_FIRST), rng.choice(_SECOND), rng.choice(_LAST)]
        if chance(rng, 0.5):
            words[2] = str(rng.randrange(10_000))
        return " ".join(words)

    def _decorated(self, name: str) -> str:
        if chance(self._rng, 0.03):
            return name + " "
        if chance(self._rng, 0.01):
            return name.replace(" ", "\n", 1)
        if chance(self._rng, 0.1):
            return name.upper()
        return name
