"""A supervisor among probes, with children and trackers that only note what they are asked."""

from __future__ import annotations

import time
from typing import Any, cast

from actors.domain import Mint, Phase
from actors.operator.inspection import Inspection
from actors.operator.operations import OperatorCommands
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    Drained,
    TrackMint,
    writer_name,
)
from actors.runtime import (
    Actor,
    ActorReport,
    ChildSpec,
    ChildStopped,
    Context,
    Flush,
    Ref,
    RestartType,
    System,
)
from actors.runtime.cell import CellState
from actors.runtime.dispatcher import SharedDispatcher
from actors.runtime.simulation import Probe, ProbeHandle, SeededSystem
from actors.supervisor import SupervisorActor, SupervisorState
from actors.supervisor.admission import Admission
from actors.supervisor.shutdown_plan import DrainPlan
from settings import Settings
from tests.supervisor.dependencies import Book, dependencies

A, B, C, D = (Mint(letter) for letter in "ABCD")
PHASES = (Phase(1, "Baby Zone", 5, 0, 10), Phase(99, "Finished", 0, 1440, 1440))
WRITERS = (writer_name(0), writer_name(1))
SYSTEM = (CONNECTION, DISCOVERY, N8N_WRITER, STREAM_WATCH, *WRITERS)


def track(mint: Mint, by: str = "stream") -> TrackMint:
    return TrackMint(mint=mint, phase_id=1, started_us=0, by=by)


def report(name: str) -> ActorReport:
    return ActorReport(
        name=name,
        kind="tracker",
        state="running",
        own_thread=False,
        held=False,
        mailbox_depth=0,
        mailbox_peak=0,
        mailbox_capacity=1,
        oldest_age_seconds=None,
        handled=0,
        restarts=0,
        last_error=None,
        busy_share=0.0,
        turn_seconds=None,
    )


class FakeTree:
    """Writes down what it is asked; `states` says what the children are in."""

    def __init__(self, system: SeededSystem) -> None:
        self._system = system
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.revived: list[str] = []
        self.restarted: list[str] = []
        self.dead_letters = system.dead_letters
        self.ledger = system.ledger
        self.status_of = system.status_of
        self.dossiers = system.dossiers
        self.timelines = system.timelines
        self.tap = system.tap
        self.recent = system.recent
        self.timers_of = system.timers_of
        self.set_capacity = system.set_capacity
        self.change_settings = system.change_settings
        self.paused: set[str] = set()
        self.dispatcher = SharedDispatcher(1)
        self.traced: list[tuple[str, float]] = []
        self.states: dict[str, CellState] = dict.fromkeys(SYSTEM, CellState.RUNNING)

    @property
    def settings(self) -> Settings:
        return self._system.settings

    def start_child(self, spec: ChildSpec) -> Ref:
        self.started.append(spec.name)
        self.states[spec.name] = CellState.RUNNING
        return self._system.ref(spec.name)

    def stop_child(self, name: str, deadline_s: float) -> bool:
        assert deadline_s <= time.monotonic(), "the supervisor may not wait in its turn"
        self.stopped.append(name)
        return False

    def revive(self, name: str) -> bool:
        if self.states.get(name) is not CellState.QUARANTINED:
            return False
        self.states[name] = CellState.STARTING
        self.revived.append(name)
        return True

    def restart(self, name: str) -> bool:
        if self.states.get(name) is not CellState.RUNNING:
            return False
        self.restarted.append(name)
        return True

    def pause(self, name: str) -> bool:
        if name in self.paused or self.states.get(name) is not CellState.RUNNING:
            return False
        self.paused.add(name)
        return True

    def resume(self, name: str) -> bool:
        if name not in self.paused:
            return False
        self.paused.remove(name)
        return True

    def trace(self, name: str, seconds: float) -> bool:
        self.traced.append((name, seconds))
        return name in self.states

    def state_of(self, name: str) -> CellState | None:
        return self.states.get(name)

    def reports(self) -> tuple[ActorReport, ...]:
        return tuple(report(name) for name in self.started)

    def report(self, name: str) -> ActorReport | None:
        return report(name) if name in self.started else None


class FakeNursery:
    """Writes down what it is asked."""

    def __init__(self) -> None:
        self.tracks: list[TrackMint] = []
        self.phases: list[tuple[Phase, ...]] = []
        self.pinned: list[bool] = []
        self.ends: list[Mint] = []
        self.open_trades = 0

    def completed(self, track: TrackMint) -> TrackMint:
        return track

    def spec(self, track: TrackMint, phases: tuple[Phase, ...], *, pinned: bool) -> ChildSpec:
        self.tracks.append(track)
        self.phases.append(phases)
        self.pinned.append(pinned)
        return ChildSpec(
            f"tracker:{track.mint}", "tracker", Actor, Actor, restart=RestartType.TRANSIENT
        )

    def ended(self, mint: Mint) -> int:
        self.ends.append(mint)
        return self.open_trades


class Decider(Probe):
    """Stands in for discovery: decides at once on what was read, unless it is told not to."""

    def __init__(self, context: Context, messages: list[Any], scene: Scene) -> None:
        super().__init__(context, messages, f"reply of {DISCOVERY}")
        self._scene = scene

    def on_receive(self, message: Any) -> Any:
        if message == Flush() and self._scene.discovery_decides:
            self.context.tell(SUPERVISOR, Drained(DISCOVERY, 0))
        return super().on_receive(message)


class Scene:
    """The supervisor with `limit` places, DRAIN_TIMEOUT 20 s, two writers, and phases loaded."""

    def __init__(
        self, *, limit: int = 100, phases: tuple[Phase, ...] = PHASES, **settings: Any
    ) -> None:
        given = {"max_trackers": limit, "postgres_writers": len(WRITERS)} | settings
        self.system = SeededSystem(settings=Settings(**given))
        self.tree = FakeTree(self.system)
        self.tracker_factory = FakeNursery()
        self.book = Book()
        self.shared: list[int] = []
        self.spool_is_locked = False
        self.exit_codes: list[int] = []
        self.discovery_decides = True
        self.clock_offset_us = 0
        self.probes: dict[str, ProbeHandle] = {
            name: self.system.probe(name, reply=f"reply of {name}")
            for name in SYSTEM
            if name != DISCOVERY
        }
        discovery = self.probes[DISCOVERY] = ProbeHandle(DISCOVERY)
        self.system.start(DISCOVERY, lambda context: Decider(context, discovery.messages, self))
        self.state = SupervisorState(
            admission=Admission(limit),
            drain=DrainPlan(timeout_s=20.0),
            started_us=self.system.manual_clock.now_us(),
            phases=phases,
        )
        self._dependencies = dependencies(
            cast("System", self.tree),
            self.tracker_factory,
            self.exit_codes.append,
            routes=WriterRoutes(len(WRITERS)),
            book=self.book,
            share_spool=self._share,
            clock_offset_us=lambda: self.clock_offset_us,
        )
        self.routes = self._dependencies.routes
        self.system.start(SUPERVISOR, self._make_supervisor)

    def _make_supervisor(self, context: Context) -> SupervisorActor:
        self.supervisor = SupervisorActor(
            context, state=self.state, dependencies=self._dependencies, operations=OperatorCommands
        )
        return self.supervisor

    def _share(self, writers: int) -> bool:
        self.shared.append(writers)
        return not self.spool_is_locked

    def tell(self, *messages: Any) -> None:
        for message in messages:
            self.system.tell(SUPERVISOR, message)
            self.system.run()

    def ask(self, message: Any) -> Any:
        """Ask as the API does: what only reads is answered without the supervisor."""
        inspection = Inspection(cast("System", self.tree))
        if inspection.answers(type(message)):
            return inspection.answer(message)
        return self.system.ask(SUPERVISOR, message)

    def tracker(self, mint: Mint) -> ProbeHandle:
        """Have a mint tracked, by a probe."""
        self.tell(track(mint))
        name = f"tracker:{mint}"
        self.probes[name] = self.system.probe(name, reply=f"reply of {name}")
        return self.probes[name]

    def told(self, name: str) -> list[Any]:
        return self.probes[name].messages

    def ends(self, mint: Mint) -> None:
        """Let the tracker of a mint end."""
        name = f"tracker:{mint}"
        del self.tree.states[name]
        if name in self.probes:
            # The runtime of this scene tells the supervisor of the end by itself.
            self.system.stop(name)
        else:
            self.tell(ChildStopped(name, "tracker"))

    def quarantine(self, name: str) -> None:
        self.tree.states[name] = CellState.QUARANTINED
