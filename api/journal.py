"""How the API looks into the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain import Mint


class ShownFrame(Protocol):
    """One frame as it came off the socket."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def at_us(self) -> int:
        """When it arrived, microseconds UTC."""

    @property
    def data(self) -> bytes:
        """What arrived."""


class Found(Protocol):
    """What a search has found."""

    @property
    def frames(self) -> Sequence[ShownFrame]:
        """The newest frames, oldest first."""

    @property
    def complete(self) -> bool:
        """Whether nothing older was left out."""


class JournalView(Protocol):
    """How the API looks into the journal."""

    def __call__(self, mint: Mint, *, since_us: int = 0, limit: int = 100) -> Found:
        """Find the newest frames of a mint.

        Blocks on the disk, up to some seconds. Called from the threads of the web server, two at a
        time.
        """
