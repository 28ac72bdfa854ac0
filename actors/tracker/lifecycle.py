"""The life of one coin: when it was born, which phase it is in, which it goes to.

Pure. Times are microseconds UTC.
"""

from __future__ import annotations

from actors.domain import FINISHED_PHASE, Phase
from actors.tracker.effects import Arm, TimerKey
from actors.tracker.phases import US_PER_MINUTE, find, outlived_us, phase_at, regular


class Lifecycle:
    """Phases of one coin. Nothing changes but in `advance`, which is called between windows."""

    __slots__ = (
        "_ladder",
        "_wanted_id",
        "age_offset_us",
        "created_us",
        "phase_id",
        "pinned",
        "started_us",
    )

    def __init__(
        self,
        phases: tuple[Phase, ...],
        phase_id: int,
        *,
        started_us: int,
        created_us: int | None,
        age_offset_us: int,
    ) -> None:
        """Begin in a phase; one that does not exist is left at the first `advance`.

        Raises:
            ValueError: There is no regular phase.
        """
        self._ladder: tuple[Phase, ...] = ()
        self._wanted_id: int | None = None
        self.phase_id = phase_id
        self.started_us = started_us
        self.created_us = created_us
        self.age_offset_us = age_offset_us
        self.pinned = False
        """Whether the coin stays in its last regular phase when it outlives it."""
        self.use(phases)

    @property
    def base_us(self) -> int:
        """What ages count from: the create when known, else the beginning of the stream."""
        return self.started_us if self.created_us is None else self.created_us

    @property
    def phase(self) -> Phase | None:
        """The regular phase, None behind the last one or when it was deleted."""
        return find(self._ladder, self.phase_id)

    @property
    def outlived_us(self) -> int:
        """When the coin outlives its phase; long ago when the phase was deleted."""
        return outlived_us(self._ladder, self.phase_id, self._born_us)

    @property
    def timer(self) -> Arm:
        """The timer for when the coin outlives its phase."""
        return Arm(TimerKey.PHASE, self.outlived_us)

    def use(self, phases: tuple[Phase, ...]) -> None:
        """Go by another table of phases from the next `advance` on.

        Raises:
            ValueError: The table has no regular phase; the one before stays in force.
        """
        ladder = regular(phases)
        if not ladder:
            raise ValueError("a table of phases needs one with an id of 1 to 98, found none")
        self._ladder = ladder

    def want(self, phase_id: int, now_us: int) -> str | None:
        """Move to another regular phase at the next `advance`; say why not, as a sentence."""
        phase = find(self._ladder, phase_id)
        if phase is None:
            known = ", ".join(str(phase.id) for phase in self._ladder)
            return f"There is no regular phase {phase_id}; there are {known}."
        if phase.max_age_minutes * US_PER_MINUTE <= now_us - self._born_us:
            return f"The coin is older than phase {phase_id} lasts; choose a later phase."
        self._wanted_id = phase_id
        return None

    def advance(self, at_us: int) -> bool:
        """Enter the phase of this instant; True when it is another one, or the end (99, 100)."""
        before_id = self.phase_id
        from_id = before_id if self._wanted_id is None else self._wanted_id
        self._wanted_id = None
        self.phase_id = self._phase_from(from_id, at_us)
        return self.phase_id != before_id or self.phase_id >= FINISHED_PHASE

    def _phase_from(self, from_id: int, at_us: int) -> int:
        phase_id = phase_at(self._ladder, from_id, at_us - self._born_us)
        if phase_id < FINISHED_PHASE or from_id >= FINISHED_PHASE or not self.pinned:
            return phase_id
        return from_id if find(self._ladder, from_id) else self._ladder[-1].id

    @property
    def _born_us(self) -> int:
        return self.base_us + self.age_offset_us
