"""Why an hour of a coin differs: the fixed list of reasons, in the order they are tried."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """What explains the difference between their rows and ours of one coin in one hour.

    The first rule that holds gives its name. A reason from `EARLY_GRADUATION` on says which trades
    one side may lack; it holds when nothing else is lacking, but what may have moved over the ends
    of the hour and what the columns round away. Where only several together suffice, the one with
    the most trades gives its name.
    """

    SAME = "same"
    """As many rows, the same first and last one, and every figure is equal."""
    ROUNDING = "rounding"
    """Every count is equal; volumes and prices differ within the scale of their columns."""
    WINDOWS = "windows"
    """The figures are equal and the rows lie otherwise. Or the figures differ by no more than the
    trades of windows over the hour's ends, and what this hour lacks the next one has."""
    EARLY_GRADUATION = "early_graduation"
    """Their rows end where the virtual reserves reach 84.575 SOL, and ours go on: they lack trades
    behind that."""
    CREATORS_BUY = "creators_buy"
    """They lack the creator's own buy, which is inside the create: the original does not count it.
    It is in our first row of the coin, and `discovered_coins` says how much it was."""
    LOST = "lost"
    """They lack trades in a hole between two rows of theirs: a flush was lost."""
    ONLY_OURS = "only_ours"
    """They lack trades where they have no row of the coin: in the whole hour, before their first
    row, or behind their last."""
    GAP = "gap"
    """We lack trades of windows of theirs that lie over an entry of our `feed_gaps`."""
    ONLY_THEIRS = "only_theirs"
    """We lack trades where we have no row of the coin, as for `ONLY_OURS`."""
    OTHER = "other"
    """Nothing of the above explains it."""


AGREEING: Final = frozenset({Reason.SAME, Reason.ROUNDING, Reason.WINDOWS})
"""Both sides have the same trades."""
