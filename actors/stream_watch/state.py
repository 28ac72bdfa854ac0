"""What stream-watch must not lose when its instance is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.stream_watch.watch import Watch

if TYPE_CHECKING:
    from actors.domain import Phase


class WatchState:
    """Made once per process, by the child spec's factory; every instance works on it."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.phases: tuple[Phase, ...] = ()
        """As last told to the supervisor."""
        self.loaded = False
        """Whether the supervisor was told that every active stream is known."""
