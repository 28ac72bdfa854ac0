"""What the feed is worth right now: one state, its reason, and when to ask again. Pure.

A refusal outlives the connection it came on: until a trade arrives, or a probe sent no sooner than
a minute later is acknowledged, the feed is `discovery_only` whenever data comes. A silence
outlives it as well: a socket that was opened again and only acknowledges calls is still silent.
"""

from __future__ import annotations

from typing import Final

from actors.backoff import backoff_s
from actors.domain import FeedState

PROBE_FIRST_S: Final = 60.0
PROBE_MAX_S: Final = 600.0


class FeedStatus:
    """The feed's state. Every method that can change it returns whether it did."""

    def __init__(self, at_us: int = 0) -> None:
        self.state = FeedState.OFFLINE
        self.reason = "not started"
        self.since_us = at_us
        self._refusal: str | None = None
        self._is_mute = False
        self._probes = 0
        self._probe_due_s = 0.0

    @property
    def is_refused(self) -> bool:
        """Whether the server has said that it delivers no trades, and nothing has disproved it."""
        return self._refusal is not None

    @property
    def is_live(self) -> bool:
        """Whether trades of acknowledged subscriptions arrive."""
        return self.state is FeedState.LIVE

    def dialling(self, at_us: int) -> bool:
        """An attempt to connect begins. A ban and a silence last until something disproves them."""
        if self.state in (FeedState.BANNED, FeedState.SILENT):
            return False
        return self._set(FeedState.CONNECTING, "opening the connection", at_us)

    def opened(self, at_us: int) -> bool:
        """The server has accepted the upgrade; whether it delivers anything is still open."""
        if self._is_mute:
            return self._set(FeedState.SILENT, "connected again, no data yet", at_us)
        return self._set(FeedState.CONNECTING, "connected, no answer yet", at_us)

    def acknowledged(self, at_us: int) -> bool:
        """The server has answered a call: good enough to be live, unless it was silent."""
        if self.state is not FeedState.CONNECTING:
            return False
        return self._resume("calls are acknowledged", at_us)

    def data(self, at_us: int, *, is_trade: bool) -> bool:
        """A data frame arrived; a trade disproves a refusal."""
        if is_trade:
            self._refusal = None
        elif self.state in (FeedState.LIVE, FeedState.DISCOVERY_ONLY):
            return False
        self._is_mute = False
        return self._resume("data arrives", at_us)

    def refused(self, text: str, at_us: int, now_s: float) -> bool:
        """The server said, in these words, that it delivers no trades."""
        if self._refusal is None:
            self._probes = 0
            self._probe_due_s = now_s + PROBE_FIRST_S
        self._refusal = text
        return self._set(FeedState.DISCOVERY_ONLY, text, at_us)

    def probe_is_due(self, now_s: float) -> bool:
        """Whether it is time to ask for trades again."""
        return self.state is FeedState.DISCOVERY_ONLY and now_s >= self._probe_due_s

    def probe_sent(self, now_s: float) -> None:
        """A trade subscription was sent as a probe: the pause doubles, up to 10 minutes."""
        self._probes += 1
        # The wait before the first probe was one already.
        self._probe_due_s = now_s + backoff_s(self._probes + 1, PROBE_FIRST_S, PROBE_MAX_S)

    def probe_acknowledged(self, at_us: int) -> bool:
        """The server has accepted a probe: trades are delivered again."""
        self._refusal = None
        if self.state is not FeedState.DISCOVERY_ONLY:
            return False
        return self._set(FeedState.LIVE, "the trade subscription is accepted again", at_us)

    def silent(self, reason: str, at_us: int) -> bool:
        """The socket was open and nothing came for too long."""
        self._is_mute = True
        return self._set(FeedState.SILENT, reason, at_us)

    def lost(self, reason: str, at_us: int) -> bool:
        """The connection is gone, or could not be opened."""
        if self._is_mute:
            return self._set(FeedState.SILENT, reason, at_us)
        return self._set(FeedState.OFFLINE, reason, at_us)

    def banned(self, reason: str, at_us: int) -> bool:
        """The server refused the upgrade with 403."""
        return self._set(FeedState.BANNED, reason, at_us)

    def stopped(self, at_us: int) -> bool:
        """Reading was ended on purpose."""
        return self._set(FeedState.OFFLINE, "stopped", at_us)

    def replaying(self, at_us: int) -> bool:
        """A recording is read."""
        return self._set(FeedState.LIVE, "replaying a recording", at_us)

    def _resume(self, reason: str, at_us: int) -> bool:
        if self._refusal is not None:
            return self._set(FeedState.DISCOVERY_ONLY, self._refusal, at_us)
        if self.state is FeedState.LIVE:
            return False
        return self._set(FeedState.LIVE, reason, at_us)

    def _set(self, state: FeedState, reason: str, at_us: int) -> bool:
        if state is self.state and reason == self.reason:
            return False
        if state is not self.state:
            self.since_us = at_us
        self.state = state
        self.reason = reason
        return True
