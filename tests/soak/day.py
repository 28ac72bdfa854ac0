"""A market of many hours on the manual clock: real connection, discovery, trackers, supervisor."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pykka

from actors.connection import ConnectionState
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import Phase, Place
from actors.operator.operations import OperatorCommands
from actors.postgres_writer.spool_recovery import SpoolRecovery
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import CandleClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    PhasesLoaded,
    StreamsLoaded,
    writer_name,
)
from actors.runtime import Actor, Context
from actors.runtime.simulation import SeededSystem
from actors.supervisor import SupervisorActor, SupervisorState
from actors.supervisor.admission import Admission
from actors.supervisor.shutdown_plan import DrainPlan
from actors.tracker.factory import TrackerFactory
from settings import Settings
from simulator.frames import CREATE
from simulator.market import Market
from tests.soak.fed import Fed, FedConnection, quiet_log
from tests.supervisor.dependencies import dependencies
from tests.supervisor.scripted import T0_US

if TYPE_CHECKING:
    from simulator.market import MarketConfig

PHASES: Final = (
    Phase(1, "Baby Zone", 5, 0, 10),
    Phase(2, "Survival Zone", 30, 10, 40),
    Phase(99, "Finished", 0, 40, 40),
)
LONGEST_LIFE_S: Final = 45 * 60
"""Past it every coin has left the cache and outlived its last phase."""
WHY_KEEP_HOURS: Final = 1.0
_OURS: Final = "actors."
_HOUR_S: Final = 3_600
_REST_STEP_S: Final = 10


class Traces(NamedTuple):
    """What a running system takes of the machine."""

    actors: frozenset[str]
    registered: int
    """References in Pykka's registry."""
    threads: int
    files: int
    timers: int
    timelines: int
    objects: Counter[str]
    """Live objects of our classes by type."""
    blocks: int
    """Pieces of memory that the interpreter has given out and not got back."""


class Sink(Actor):
    """A writer that commits every candle at once and keeps nothing but their number."""

    def __init__(self, context: Context, day: Day) -> None:
        super().__init__(context)
        self._day = day

    def on_receive(self, message: Any) -> None:
        if isinstance(message, CandleClosed):
            self._day.rows += 1
            self.context.ledger.move(Place.QUEUED, Place.COMMITTED, message.candle.num_trades)


class Day:
    """A market, and the tree that watches it; time goes as fast as the work is done."""

    def __init__(self, seed: int, config: MarketConfig) -> None:
        self.rows = 0
        self.seconds = 0
        self.frames = 0
        self.coins = 0
        self._market = Market(seed, config)
        settings = Settings(
            activation="trades", activation_min_trades=2, why_keep_hours=WHY_KEEP_HOURS
        )
        self.system = SeededSystem(seed=seed, settings=settings, now_us=T0_US)
        self.system.log = quiet_log()
        self._start()

    def _start(self) -> None:
        system, routes = self.system, WriterRoutes(1)
        state = SupervisorState(Admission(20_000), DrainPlan(timeout_s=20.0), T0_US)
        tracker_factory = TrackerFactory(lambda: system.settings, routes, SpoolRecovery())
        acts_through = dependencies(system, tracker_factory, lambda _: None, routes=routes)
        system.start(
            SUPERVISOR,
            lambda context: SupervisorActor(
                context, state=state, dependencies=acts_through, operations=OperatorCommands
            ),
        )
        for name in (writer_name(0), N8N_WRITER, STREAM_WATCH):
            system.start(name, lambda context: Sink(context, self))
        cache, connection = DiscoveryState(system.settings), ConnectionState(system.settings)
        system.start(DISCOVERY, lambda context: DiscoveryActor(context, cache, routes))
        system.start(CONNECTION, lambda context: FedConnection(context, connection))
        system.tell(SUPERVISOR, PhasesLoaded(PHASES))
        system.tell(SUPERVISOR, StreamsLoaded(0))
        system.run()

    def trade(self, hours: float) -> None:
        """Let the market go on for so long."""
        for _ in range(round(hours * _HOUR_S)):
            self.seconds += 1
            frames = self._market.frames(self.seconds * 1_000_000)
            self.frames += len(frames)
            self.coins += sum(frame.kind == CREATE for frame in frames)
            self._pass(1.0, tuple(frame.data for frame in frames))

    def rest(self, seconds: float) -> None:
        """Let time go on without the market."""
        for _ in range(round(seconds / _REST_STEP_S)):
            self._pass(_REST_STEP_S, ())

    def _pass(self, seconds: float, frames: tuple[bytes, ...]) -> None:
        self.system.manual_clock.advance(seconds)
        self.system.tell(CONNECTION, Fed(frames))
        self.system.run()

    def places(self) -> dict[str, int]:
        """Say where the received trades are."""
        return {place: trades for place, trades in self.system.ledger.read()[1].items() if trades}

    def traces(self) -> Traces:
        """Look at what is there now."""
        gc.collect()
        system = self.system
        return Traces(
            actors=frozenset(system.names()),
            registered=len(pykka.ActorRegistry.get_all()),
            threads=threading.active_count(),
            files=len(list(Path("/proc/self/fd").iterdir())),
            timers=system.wheel.pending(),
            timelines=len(system.timelines._lives),
            objects=Counter(
                kind
                for each in gc.get_objects()
                if (kind := f"{type(each).__module__}.{type(each).__qualname__}").startswith(_OURS)
            ),
            blocks=sys.getallocatedblocks(),
        )
