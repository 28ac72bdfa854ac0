"""What concerns other rooms waits here until the hand-over is settled.

Pure. The cached trades of a hand-over close windows before it is known who created the coin and
since when its trades were observed; what follows from them may not go out before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.tracker.effects import Effect, Outgoing


class EffectGate:
    """Shut at first. Nothing is lost, and everything goes out in order. Opened once for all."""

    __slots__ = ("_kept_back", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._kept_back: tuple[Outgoing, ...] = ()

    def pass_through(self, *effects: Outgoing) -> list[Effect]:
        """Give the effects that may go out now: all of them, or none while the gate is shut."""
        if self.is_open:
            return list(effects)
        self._kept_back += effects
        return []

    def open(self) -> list[Effect]:
        """Give what was kept back, and keep nothing back from now on."""
        self.is_open = True
        kept_back, self._kept_back = self._kept_back, ()
        return list(kept_back)
