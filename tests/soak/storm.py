"""Real connection, discovery and trackers on real threads, and a market in which coins fail.

Some trades are poison to their tracker, some block it for a while, and a few coins are doomed: they
fail until they are quarantined. What each trade does is decided before the first one is sent, so
that every figure of the run can be held against the plan.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from actors.connection import ConnectionState
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import Mint, Phase, Place, Trade
from actors.journal.records import FrameRecord
from actors.protocol.connection import RouteMint, StartReading
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    SUPERVISOR,
    TrackMint,
    tracker_name,
    writer_name,
)
from actors.protocol.trade_count import trades_in
from actors.runtime import (
    Actor,
    ArrivalClock,
    ChildFailed,
    ChildSpec,
    Context,
    Exceeded,
    RestartBudget,
    RestartType,
    System,
)
from actors.runtime.simulation import Probe
from actors.tracker import TrackerActor, TrackerState, rules_of, tracker_state
from settings import Settings
from telemetry import Telemetry
from tests.connection.system import KeptHistory, KeptJournal
from tests.soak.fed import Fed, FedConnection, quiet_log
from tests.supervisor.scripted import trade
from tests.support.books import check_books
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_S: Final = 2_000
FAILING: Final = 1e-3
BLOCKING: Final = 0.25
"""Share of the failing trades that block their tracker instead of breaking it."""
BLOCK_S: Final = 0.2
INTENSITY: Final = 5
THREADS: Final = 4
CAPACITY: Final = 4_096
DOOMED_CAPACITY: Final = 16
"""Few, so that a coin in quarantine is parked after a handful of trades."""
CHUNK_S: Final = 0.005
POISON, SLOW, GOOD = "poison", "slow", "good"
_PHASES = (Phase(1, "One window", 86_400, 0, 10_000), Phase(99, "Finished", 0, 10_000, 10_000))
_STOP_S: Final = 10.0
_LIMIT_S: Final = 20.0


class Planned(NamedTuple):
    """One trade that is to be sent."""

    mint: Mint
    kind: str
    lamports: int


class Plan:
    """Who trades, and what it does to the tracker. The same seed gives the same plan."""

    def __init__(self, seed: int, trackers: int, doomed: int) -> None:
        self._chance = random.Random(seed)
        self.mints = tuple(Mint(f"Mint{index}") for index in range(trackers))
        self.doomed = frozenset(self.mints[:doomed])
        self.trades: list[Planned] = []
        self._doomed_at = 0

    def calm(self, seconds: float) -> list[Planned]:
        """Plan trades that harm nobody."""
        return self._add([self._any(GOOD) for _ in range(round(seconds * PER_S))])

    def storm(self, seconds: float) -> list[Planned]:
        """Plan trades of which some fail; those of doomed coins until the quarantine."""
        return self._add([self._any(self._kind()) for _ in range(round(seconds * PER_S))])

    def _add(self, made: list[Planned]) -> list[Planned]:
        self.trades += made
        return made

    def _any(self, kind: str) -> Planned:
        mint = self._chance.choice(self.mints)
        if mint in self.doomed and kind != GOOD:
            kind = GOOD
        return Planned(mint, kind, self._chance.randint(1, 1_000_000))

    def _kind(self) -> str:
        if self._chance.random() >= FAILING:
            return GOOD
        return SLOW if self._chance.random() < BLOCKING else POISON

    def doom(self) -> list[Planned]:
        """Plan what sends the doomed coins into quarantine: one failure more than they may have."""
        made = self._add(
            [Planned(mint, POISON, 1) for _ in range(INTENSITY + 1) for mint in sorted(self.doomed)]
        )
        self._doomed_at = len(self.trades)
        return made

    def count(self, kind: str) -> int:
        return sum(planned.kind == kind for planned in self.trades)

    def behind_doom(self) -> int:
        """Count the trades of doomed coins that come when those are in quarantine."""
        return sum(planned.mint in self.doomed for planned in self.trades[self._doomed_at :])

    def lamports(self) -> Counter[Mint]:
        """Sum up what must be in the candle of each coin."""
        sums: Counter[Mint] = Counter()
        for planned in self.trades:
            if planned.kind != POISON:
                sums[planned.mint] += planned.lamports
        return sums

    def troubled(self) -> frozenset[Mint]:
        """Name the coins that fail or are blocked at least once."""
        return self.doomed | {planned.mint for planned in self.trades if planned.kind != GOOD}


class PoisonError(Exception):
    """What a tracker fails with; it has changed nothing before."""


class StormTracker(TrackerActor):
    """A tracker that some trades break, and some block."""

    def __init__(
        self, context: Context, state: TrackerState, waits: list[tuple[Mint, int]]
    ) -> None:
        super().__init__(context, state, WriterRoutes(1))
        self._waits = waits

    def on_batch(self, events: Sequence[Any]) -> None:
        """Take each event by itself, as what fails is decided event by event."""
        Actor.on_batch(self, events)

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Trade):
            self._waits.append((message.mint, self.context.now_us() - message.arrived_us))
            if message.trader == POISON:
                raise PoisonError(message.signature)
            if message.trader == SLOW:
                threading.Event().wait(BLOCK_S)
        return super().on_receive(message)


class SievedJournal(KeptJournal):
    """Keeps, in memory, the frames of the coins that are to be parked."""

    def __init__(self, mints: frozenset[Mint]) -> None:
        super().__init__()
        self._marks = tuple(f'"mint":"{mint}"'.encode() for mint in mints)

    def append(self, records: Any) -> None:
        super().append([record for record in records if self._is_kept(record)])

    def _is_kept(self, record: Any) -> bool:
        return isinstance(record, FrameRecord) and any(mark in record.data for mark in self._marks)


class Storm:
    """The tree about one plan. Use as a context manager."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.system = System(
            settings=Settings(), telemetry=Telemetry(), clock=ArrivalClock(), threads=THREADS
        )
        self.system.log = quiet_log()
        self.heard: list[Any] = []
        """What the supervisor was told."""
        self.waits: list[tuple[Mint, int]] = []
        """How long each trade took from its arrival to its tracker, in microseconds."""
        self.states: dict[Mint, TrackerState] = {}
        self.sent = 0
        self.system.on_dead_letter = lambda letter: self.system.ledger.move(
            Place.QUEUED, Place.DEAD, trades_in(letter.message)
        )

    def __enter__(self) -> Self:
        self.system.open()
        self._start(SUPERVISOR, lambda context: Probe(context, self.heard, None), Probe)
        self._start(writer_name(0), lambda context: Probe(context, [], None), Probe)
        discovery = DiscoveryState(self.system.settings)
        self._start(
            DISCOVERY,
            lambda context: DiscoveryActor(context, discovery, WriterRoutes(1)),
            DiscoveryActor,
        )
        connection = ConnectionState(self.system.settings)
        journal = SievedJournal(self.plan.doomed)
        self._start(
            CONNECTION,
            lambda context: FedConnection(context, connection, journal, KeptHistory(journal)),
            FedConnection,
        )
        self.system.tell(CONNECTION, StartReading())
        for mint in self.plan.mints:
            self._track(mint)
        wait_until(self._is_ready, _LIMIT_S, "trackers that take trades")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.system.close(_STOP_S) == []

    def send(self, trades: list[Planned]) -> None:
        """Send trades at their pace; a sender that was late catches up in small steps."""
        pause, chunk = threading.Event(), round(PER_S * CHUNK_S)
        began_s = time.monotonic()
        for number in range(0, len(trades), chunk):
            frames = tuple(self._frame(planned) for planned in trades[number : number + chunk])
            self.system.tell(CONNECTION, Fed(frames))
            ahead_s = began_s + number / PER_S - time.monotonic()
            if ahead_s > 0:
                pause.wait(ahead_s)

    def wait_ended(self, trades: int) -> None:
        """Wait until so many trades are in a candle or dead."""

        def found() -> bool:
            places = self.places()
            return places[Place.OPEN] + places[Place.DEAD] == trades

        wait_until(found, _LIMIT_S, f"the end of {trades} trades; they are {self.places()}")

    def wait_quarantined(self, mints: frozenset[Mint]) -> None:
        """Wait until these and no others are in quarantine."""
        wait_until(lambda: self.quarantined() == mints, _LIMIT_S, "quarantines")

    def revive(self) -> None:
        """Give those in quarantine another chance, and have what is parked handed on."""
        for mint in sorted(self.quarantined()):
            assert self.system.revive(tracker_name(mint))

        def is_handed_on() -> bool:
            self.system.tell(CONNECTION, Fed(()))
            return not self.places()[Place.PARKED]

        wait_until(is_handed_on, _LIMIT_S, "what was parked")

    def quarantined(self) -> frozenset[Mint]:
        """Name the coins in quarantine."""
        return frozenset(
            mint
            for mint in self.plan.mints
            if self.system.state_of(tracker_name(mint)) == "quarantined"
        )

    def places(self) -> Counter[str]:
        """Say where every trade is; the books must balance."""
        received, places = self.system.ledger.read()
        check_books(received, places)
        return Counter(places)

    def decisions(self) -> Counter[str]:
        """Count the failures by what was decided about them."""
        return Counter(each.decision for each in self.heard if isinstance(each, ChildFailed))

    def _is_ready(self) -> bool:
        return all(state.settled for state in self.states.values())

    def _start(self, name: str, make: Any, actor: type[Actor]) -> None:
        self.system.start_child(
            ChildSpec(name, name.partition(":")[0], actor, make, capacity=1_000_000)
        )

    def _track(self, mint: Mint) -> None:
        track = TrackMint(mint, 1, self.system.clock.now_us(), "stream")
        state = self.states[mint] = tracker_state(track, _PHASES, rules_of(self.system.settings))
        self.system.start_child(
            ChildSpec(
                tracker_name(mint),
                "tracker",
                StormTracker,
                lambda context: StormTracker(context, state, self.waits),
                restart=RestartType.TRANSIENT,
                exceeded=Exceeded.QUARANTINE,
                budget=RestartBudget(intensity=INTENSITY, period_s=3_600),
                capacity=DOOMED_CAPACITY if mint in self.plan.doomed else CAPACITY,
            )
        )
        self.system.tell(CONNECTION, RouteMint(mint, None))

    def _frame(self, planned: Planned) -> bytes:
        self.sent += 1
        return trade(planned.mint, 0, self.sent, planned.lamports, trader=planned.kind).frame
