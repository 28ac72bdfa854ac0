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
    from actors.runtime import ActorReport, ChildSpec, Ref
    from actors.runtime.cell import CellState
    from actors.runtime.dead_letters import DeadLetters
    from actors.runtime.inspection.timeline import Timeline
    from actors.supervisor.admission import Admission
    from actors.supervisor.problems import Lasting, Sample
    from actors.supervisor.rebalance import WriterMove
    from actors.supervisor.shutdown_plan import DrainPlan
    from settings import Settings


Handlers = dict[type, "Callable[[Any], Any]"]
"""What a part of the supervisor takes: the handler of each type of message. What it returns answers
whoever asked; a handler may have the answer come later instead.
"""

SAMPLES: Final = 6
"""Of the counters, ten seconds apart: the next one is a minute behind the oldest."""


class Children(Protocol):
    """What the supervisor asks of the runtime: children come and go under their names."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that nobody handled."""

    @property
    def dossiers(self) -> Any:
        """The failures on record, see `actors.runtime.inspection.crash_reports`."""

    @property
    def timelines(self) -> Timeline:
        """The timelines of mints."""

    @property
    def threads(self) -> int:
        """How many threads share the actors that are not pinned."""

    def start_child(self, spec: ChildSpec) -> Ref:
        """Start a child under its name."""

    def stop_child(self, name: str, deadline_s: float) -> bool:
        """Stop a child; True when it is gone by the monotonic `deadline_s`."""

    def revive(self, name: str) -> bool:
        """Give a quarantined child a new instance; False when it is not quarantined."""

    def restart(self, name: str) -> bool:
        """Have the instance of a running child replaced; False when it is not running."""

    def pause(self, name: str) -> bool:
        """Hold a child's data lane and refuse more; False when that is so already."""

    def resume(self, name: str) -> bool:
        """Let a paused child go on; False when it is not paused."""

    def trace(self, name: str, seconds: float) -> bool:
        """Log every message of a child for so long; False when there is no such child."""

    def tap(self, name: str, *, mint: Mint) -> Any:
        """Listen in on a child and on the notes of a mint; None when there is no such child."""

    def recent(self, name: str) -> tuple[Any, ...] | None:
        """Give the last messages of a child."""

    def timers_of(self, name: str) -> tuple[Any, ...]:
        """Give the timers that a child waits for."""

    def set_capacity(self, name: str, capacity: int) -> tuple[int, int] | None:
        """Change the bound of a mailbox: before and after, None when there is no such child."""

    def resize_threads(self, threads: int) -> None:
        """Let another number of threads share the actors that are not pinned."""

    def change_settings(self, settings: Settings) -> None:
        """Put settings in force and tell every child."""

    def state_of(self, name: str) -> CellState | None:
        """Tell the state of a child."""

    def reports(self) -> tuple[ActorReport, ...]:
        """Describe every actor."""

    def report(self, name: str) -> ActorReport | None:
        """Describe one actor."""


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

    tree: Children
    tracker_factory: TrackerSource
    routes: WriterRoutes
    book: ChangedSettings
    writer_spec: Callable[[str, int | None], ChildSpec]
    """Describes a postgres-writer: its name, and the move it waits for, if any."""
    share_spool: Callable[[int], bool]
    """Gives everything in the spool to so many writers, while none of them writes; False: later."""
    applied: Callable[[Settings], None]
    """Called with settings that have come into force, for what is outside the tree."""
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
