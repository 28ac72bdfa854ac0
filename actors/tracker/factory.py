"""Makes trackers, and keeps what must outlive them."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from actors.protocol.supervisor import TrackMint, tracker_name
from actors.runtime import ChildSpec, Exceeded, RestartBudget, RestartType
from actors.tracker.actor import TrackerActor, tracker_state
from actors.tracker.rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.domain import Mint, Phase
    from actors.protocol.partitioner import WriterRoutes
    from actors.tracker.rules import TrackerRules
    from actors.tracker.state import TrackerState
    from settings import Settings

MAILBOX_EVENTS: Final = 4_096
REMEMBERED_ENDS: Final = 65_536
BUDGET: Final = RestartBudget(intensity=5, period_s=300.0)
"""A tracker that fails more than five times in five minutes goes into quarantine."""


class Spooled(Protocol):
    """Rows on disk that are not in the database yet."""

    @property
    def rows_end_us(self) -> Mapping[Mint, int]:
        """Where they end, by mint."""

    @property
    def rows_seq(self) -> Mapping[Mint, int]:
        """The newest trade in them, by its number, by mint."""


class TrackerFactory:
    """Makes the child specs of trackers, and remembers where the spans of ended ones end.

    A mint that is tracked again may not write into a span that its last tracker wrote, and the
    database may not have that row yet. Bounded: the newest `REMEMBERED_ENDS` mints.

    A recording that is replayed has times of its own: rows in the database say nothing about them.
    Where it was replayed before, the same windows come out again, and their rows are repetitions.

    Args:
        settings: gives the settings in force, for the rules of tracking.
        routes: the way to the postgres-writers.
        spooled: the rows that an earlier process has left on disk.
        first_seq: the first number of this process; only trades from before lie in rows at the
        start of a tracker.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        routes: WriterRoutes,
        spooled: Spooled,
        first_seq: int = 1,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._spooled = spooled
        self._last_seq_before = first_seq - 1
        self._rules_from = settings()
        self._rules_now = rules_of(self._rules_from)
        self._states: dict[Mint, TrackerState] = {}
        self._ends: OrderedDict[Mint, int] = OrderedDict()

    def completed(self, track: TrackMint) -> TrackMint:
        """Add where the newest known row of the mint ends: in the database, on disk, or written."""
        mint, ended_us = track.mint, self._ends.pop(track.mint, 0)
        if self._settings().replay_path is not None:
            return msgspec.structs.replace(track, last_row_us=ended_us or None, rows_seq=0)
        rows_seq = max(track.rows_seq, self._spooled.rows_seq.get(mint, 0))
        spooled_us = self._spooled.rows_end_us.get(mint, 0)
        return msgspec.structs.replace(
            track,
            last_row_us=max(track.last_row_us or 0, spooled_us, ended_us) or None,
            # A trade of this process that comes again, from the dead letters, is in no row.
            rows_seq=min(rows_seq, self._last_seq_before),
        )

    def spec(
        self, track: TrackMint, phases: tuple[Phase, ...], *, pinned: bool = False
    ) -> ChildSpec:
        """Describe the tracker of a mint; its state lives in this spec and outlives restarts."""
        state = tracker_state(track, phases, self._rules())
        state.life.pinned = pinned
        self._states[track.mint] = state
        return ChildSpec(
            name=tracker_name(track.mint),
            kind="tracker",
            actor=TrackerActor,
            make=partial(TrackerActor, state=state, routes=self._routes),
            restart=RestartType.TRANSIENT,
            exceeded=Exceeded.QUARANTINE,
            budget=BUDGET,
            capacity=MAILBOX_EVENTS,
        )

    def _rules(self) -> TrackerRules:
        """Give the rules of the settings in force: one object for all trackers."""
        settings = self._settings()
        if settings is not self._rules_from:
            self._rules_from, self._rules_now = settings, rules_of(settings)
        return self._rules_now

    @property
    def aths(self) -> int:
        """How many trackers know an all-time high."""
        return sum(1 for state in list(self._states.values()) if state.ath is not None)

    def ended(self, mint: Mint) -> int:
        """Let the state of a tracker go; give how many trades its open window still held."""
        state = self._states.pop(mint, None)
        if state is None:
            return 0
        self._ends[mint] = state.covered_until_us
        while len(self._ends) > REMEMBERED_ENDS:
            self._ends.popitem(last=False)
        return 0 if state.candle is None else state.candle.num_trades
