"""What each tracker was last told about its coverage, so that it only hears of changes. Pure."""

from __future__ import annotations

import msgspec

from actors.domain import Mint


class CoverageStep(msgspec.Struct, frozen=True):
    """A mint's trades do, or do not, reach this machine since `at_us`."""

    mint: Mint
    covered: bool
    at_us: int


class FeedCoverage:
    """Remembers since when each routed mint is covered; the others are not."""

    def __init__(self) -> None:
        self._since_us: dict[Mint, int] = {}

    def __contains__(self, mint: Mint) -> bool:
        """Whether the mint's tracker knows it as covered."""
        return mint in self._since_us

    def begin(self, mint: Mint, at_us: int) -> CoverageStep | None:
        """The mint is covered since `at_us`; None when that is known."""
        if mint in self._since_us:
            return None
        self._since_us[mint] = at_us
        return CoverageStep(mint, covered=True, at_us=at_us)

    def end(self, mint: Mint, at_us: int) -> CoverageStep | None:
        """The mint is no longer covered since `at_us`, or since it was covered if that is later."""
        since_us = self._since_us.pop(mint, None)
        if since_us is None:
            return None
        return CoverageStep(mint, covered=False, at_us=max(since_us, at_us))

    def end_all(self, at_us: int) -> list[CoverageStep]:
        """Nothing is covered any more since `at_us`."""
        ended = [
            CoverageStep(mint, covered=False, at_us=max(since_us, at_us))
            for mint, since_us in self._since_us.items()
        ]
        self._since_us.clear()
        return ended

    def forget(self, mint: Mint) -> None:
        """The mint has no tracker any more."""
        self._since_us.pop(mint, None)
