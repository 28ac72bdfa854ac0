"""What the supervisor knows, and what it acts through."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.domain import Mint, Phase
    from actors.protocol.operator import Shown
    from actors.protocol.partitioner import WriterRoutes
    from actors.protocol.supervisor import Problem, TrackMint
    from actors.runtime import ChildSpec, System
    from actors.supervisor.admission import Admission
    from actors.supervisor.problems import Lasting, Sample
    from actors.supervisor.rebalance import WriterMove
    from actors.supervisor.shutdown_plan import DrainPlan
    from settings import Settings


SAMPLES: Final = 6
"""Of the counters, ten seconds apart: the next one is a minute behind the oldest."""


class TrackerSource(Protocol):
    """Where trackers come from."""

    def completed(self, track: TrackMint) -> TrackMint:
        """Add what this process, or its predecessor on disk, knows of the mint's rows."""

    def spec(self, track: TrackMint, phases: tuple[Phase, ...], *, pinned: bool) -> ChildSpec:
        """Describe the tracker of a mint."""

    def ended(self, mint: Mint) -> int:
        """Hear that a mint's tracker has ended; give how many trades its open window held."""


class ChangedSettings(Protocol):
    """The settings on disk: what operators have changed, and who it was."""

    def propose(
        self, settings: Settings, changes: Mapping[str, Any]
    ) -> tuple[Settings, dict[str, tuple[Shown, Shown]]]:
        """Give the settings as they would be, and what would differ.

        Raises:
            SettingsError: a change is not possible; it names every mistake.
        """

    def keep(
        self, changes: Mapping[str, Any], changed: dict[str, tuple[Shown, Shown]], by: str
    ) -> None:
        """Keep changes over restarts, and enter them into the history.

        Raises:
            SettingsError: the disk does not take them.
        """

    def history(self, limit: int, offset: int) -> tuple[Any, ...]:
        """Give who changed what, newest first."""

    def pins(self) -> frozenset[Mint]:
        """Give the mints that are pinned."""

    def keep_pins(self, pins: frozenset[Mint]) -> None:
        """Keep the pinned mints over restarts.

        Raises:
            SettingsError: the disk does not take them.
        """


@dataclass(frozen=True)
class Dependencies:
    """What the supervisor acts through."""

    system: System
    tracker_factory: TrackerSource
    routes: WriterRoutes
    book: ChangedSettings
    writer_spec: Callable[[str, int | None], ChildSpec]
    """Describes a postgres-writer: its name, and the move it waits for, if any."""
    share_spool: Callable[[int], bool]
    """Gives everything in the spool to so many writers, while none of them writes; False: later."""
    applied: Callable[[Settings], None]
    """Called with settings that have come into force, for what is no actor."""
    finished: Callable[[int], None]
    """Called once with the exit code when the drain is done; must not block."""
    clock_offset_us: Callable[[], int] = lambda: 0
    """Tells how far the wall clock was from the arrival clock at the last look."""


@dataclass
class ProblemLog:
    """What is known of problems."""

    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    lasting: dict[str, Lasting] = field(default_factory=dict)
    told: dict[str, Problem] = field(default_factory=dict)
    """Those that the log has named and that are not over, by their keys."""


@dataclass
class SupervisorState:
    """What outlives an instance of the supervisor."""

    admission: Admission
    drain: DrainPlan
    started_us: int
    phases: tuple[Phase, ...] = ()
    streams_loaded: bool = False
    has_started: bool = False
    """Every stream of the start has had its tracker, its route and its subscription."""
    released_us: int = 0
    """Until when the journal was last let go of."""
    agreed_us: int = 0
    """Until when it could have been at the last look, by what actors said then."""
    quarantined_us: dict[str, int] = field(default_factory=dict)
    """From when on the journal is needed for each tracker in quarantine."""
    revived: set[str] = field(default_factory=set)
    """Trackers that were to end in quarantine and got one more instance for it."""
    quarantines: dict[str, int] = field(default_factory=dict)
    """How many times each tracker went into quarantine."""
    pins: set[Mint] = field(default_factory=set)
    move: WriterMove | None = None
    """The change of the number of writers that is under way."""
    rows_of_past_writers: int = 0
    """Committed by writers that are gone."""
    epoch: int = 0
    """Number of the last such change."""
    watched: ProblemLog = field(default_factory=ProblemLog)
    restarts: bool = False
    """The process is to start again once it has drained."""
