"""Which new coins are not worth watching.

Three reasons: a quote mint (money, not a coin), a name that matches the operator's pattern, and a
burst of coins that share a name or a symbol. Coins that are filtered leave no trace here, so a
burst ends once its window has passed.

Memory is bounded: at most `MAX_TEXTS` names and as many symbols are remembered, each with its last
few times. At the bound the text that has not been seen for the longest is forgotten first; a burst
of it would then pass once more.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict, deque
from enum import StrEnum
from typing import Final, Protocol, cast

import re2

from actors.domain import QUOTE_MINTS, Coin

MATCHED_CHARACTERS: Final = 256
"""How much of a name the pattern sees."""

MAX_TEXTS: Final = 65_536
"""Names, and symbols, remembered at once; the feed creates 225 coins in the longest window."""


class FilterReason(StrEnum):
    """Why a coin was filtered; also the label of the counter."""

    QUOTE_MINT = "quote_mint"
    BAD_NAME = "bad_name"
    SPAM_BURST = "spam_burst"


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """Find the pattern anywhere in the text; None when it is not there."""


def compile_pattern(text: str) -> Pattern:
    """Compile a case-insensitive pattern for names; matching takes time linear in the name.

    Raises:
        ValueError: The pattern is empty, or RE2 does not understand it.
    """
    if not text:
        raise ValueError(
            "The pattern for bad names is empty and would filter every coin: name a word."
        )
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return cast("Pattern", re2.compile(text, options))
    except re2.error as error:
        detail = error.args[0] if error.args else "syntax error"
        if isinstance(detail, bytes):
            detail = detail.decode("utf-8", "replace")
        raise ValueError(
            f"The pattern for bad names is not an RE2 expression ({detail}): correct it. "
            "RE2 has no look-around and no back-references."
        ) from None


def folded(text: str) -> str:
    """Bring a name or symbol to the form in which bursts are compared."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


class CoinFilter:
    """Decides about new coins, one at a time, in order of arrival."""

    def __init__(
        self, pattern: str, window_us: int, threshold: int, max_texts: int = MAX_TEXTS
    ) -> None:
        """Start with an empty memory.

        Raises:
            ValueError: See `compile_pattern`.
        """
        self._names = _Sightings(max_texts)
        self._symbols = _Sightings(max_texts)
        self.reconfigure(pattern, window_us, threshold)

    def reconfigure(self, pattern: str, window_us: int, threshold: int) -> None:
        """Change the rules and keep the memory.

        Raises:
            ValueError: See `compile_pattern`; the former rules stay.
        """
        self._pattern = compile_pattern(pattern)
        self._window_us = window_us
        self._threshold = threshold
        self._names.keep = self._symbols.keep = threshold

    def check(self, coin: Coin, now_us: int) -> FilterReason | None:
        """Say why a coin is filtered, or let it pass (None) and remember its name and symbol.

        A text seen `threshold` times within `(now_us - window_us, now_us]` filters the next coin
        that has it. Times must not go back.
        """
        if coin.mint in QUOTE_MINTS:
            return FilterReason.QUOTE_MINT
        if self._pattern.search(coin.name[:MATCHED_CHARACTERS]) is not None:
            return FilterReason.BAD_NAME
        name, symbol = folded(coin.name), folded(coin.symbol)
        after_us = now_us - self._window_us
        seen = max(self._names.count(name, after_us), self._symbols.count(symbol, after_us))
        if seen >= self._threshold:
            return FilterReason.SPAM_BURST
        self._names.add(name, now_us)
        self._symbols.add(symbol, now_us)
        return None


class _Sightings:
    """The last times each text was seen, the longest unseen text first."""

    def __init__(self, max_texts: int) -> None:
        self.keep = 1
        self._max_texts = max_texts
        self._times_us: OrderedDict[str, deque[int]] = OrderedDict()

    def count(self, text: str, after_us: int) -> int:
        """Count how often the text was seen later than `after_us`; an empty text never was."""
        self._forget(after_us)
        times = self._times_us.get(text)
        return sum(time_us > after_us for time_us in times) if times else 0

    def add(self, text: str, now_us: int) -> None:
        """Remember the text; an empty one is not."""
        if not text:
            return
        # Only the newest `keep` times can ever decide, so only they are kept.
        times = deque(self._times_us.pop(text, ()), maxlen=self.keep)
        times.append(now_us)
        self._times_us[text] = times
        if len(self._times_us) > self._max_texts:
            self._times_us.popitem(last=False)

    def _forget(self, after_us: int) -> None:
        while self._times_us:
            times = next(iter(self._times_us.values()))
            if times[-1] > after_us:
                return
            self._times_us.popitem(last=False)
