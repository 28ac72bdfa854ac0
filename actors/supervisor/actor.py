"""The supervisor: starts and ends trackers, hears of failures, answers for all, ends in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from actors.connection.messages import (
    GetFeed,
    ReleaseJournal,
    RouteMint,
    StartReading,
    StopReading,
    UnrouteMint,
)
from actors.control import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    Drain,
    Drained,
    FeedEnded,
    FeedStateChanged,
    GetActor,
    GetActors,
    GetHealth,
    GetLedger,
    GetLiveCoin,
    HealthReport,
    LedgerReport,
    PhasesLoaded,
    ReadingStopped,
    StreamsLoaded,
    TrackingEnded,
    TrackMint,
    UntrackMint,
    tracker_name,
)
from actors.discovery.messages import RouteClosed
from actors.domain import Mint, Phase
from actors.runtime import (
    Actor,
    ActorReport,
    ChildFailed,
    ChildStopped,
    Context,
    Flush,
    Message,
)
from actors.supervisor.desk import Desk
from actors.supervisor.drain import DrainPlan, Stage
from actors.supervisor.health import health_report
from actors.supervisor.retention import needed_from_us
from actors.supervisor.roster import Roster, Verdict
from actors.tracker.messages import PhasesChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.runtime import ChildSpec, Ref
    from actors.runtime.cell import CellState
    from actors.runtime.dead_letters import DeadLetters

TRACKER: Final = "tracker"
RETENTION_S: Final = 10.0


class Tree(Protocol):
    """What the supervisor asks of the runtime: children come and go under their names."""

    def start_child(self, spec: ChildSpec) -> Ref:
        """Start a child under its name."""

    def stop_child(self, name: str, deadline_s: float) -> bool:
        """Stop a child; True when it is gone by the monotonic `deadline_s`."""

    def revive(self, name: str) -> bool:
        """Give a quarantined child a new instance; False when it is not quarantined."""

    def state_of(self, name: str) -> CellState | None:
        """Tell the state of a child."""

    def restart(self, name: str) -> bool:
        """Have the instance of a running child replaced; False when it is not running."""

    @property
    def dead_letters(self) -> DeadLetters:
        """The messages that nobody handled."""

    def reports(self) -> tuple[ActorReport, ...]:
        """Describe every actor."""

    def report(self, name: str) -> ActorReport | None:
        """Describe one actor."""


class Nursery(Protocol):
    """Where trackers come from."""

    def completed(self, track: TrackMint) -> TrackMint:
        """Add what this process, or its predecessor on disk, knows of the mint's rows."""

    def spec(self, track: TrackMint, phases: tuple[Phase, ...]) -> ChildSpec:
        """Describe the tracker of a mint."""

    def ended(self, mint: Mint) -> None:
        """Hear that a mint's tracker has ended for good."""


class _RetentionDue(Message, frozen=True):
    """It is time to look what the journal is still needed for."""


class _StageOverdue(Message, frozen=True):
    stage: int


@dataclass
class SupervisorState:
    """What outlives an instance of the supervisor."""

    roster: Roster
    drain: DrainPlan
    started_us: int
    phases: tuple[Phase, ...] = ()
    streams_loaded: bool = False
    released_us: int = 0
    """Until when the journal was last let go of."""
    agreed_us: int = 0
    """Until when it could have been at the last look, by what actors said then."""
    quarantined_us: dict[str, int] = field(default_factory=dict)
    """From when on the journal is needed for each tracker in quarantine."""
    revived: set[str] = field(default_factory=set)
    """Trackers that were to end in quarantine and got one more instance for it."""


class SupervisorActor(Actor):
    """See the module's docstring.

    Args:
        context: the runtime's side.
        state: what outlives this instance.
        tree: the runtime, for starting and stopping children.
        nursery: makes the child specs of trackers.
        writers: names of the postgres-writers.
        finished: called once with the exit code when the drain is done; must not block.
    """

    pinned: ClassVar[bool] = True

    def __init__(
        self,
        context: Context,
        *,
        state: SupervisorState,
        tree: Tree,
        nursery: Nursery,
        writers: tuple[str, ...],
        finished: Callable[[int], None],
    ) -> None:
        super().__init__(context)
        self._state = state
        self._tree = tree
        self._nursery = nursery
        self._writers = writers
        self._finished = finished
        self._desk = Desk(context, tree)

    def on_start(self) -> None:
        """Begin to look, every few seconds, what the journal is still needed for.

        A drain that another instance has begun goes on, with a new deadline for its stage.
        """
        self.context.after("retention", RETENTION_S, _RetentionDue())
        if self._state.drain.active and self._state.drain.stage is not Stage.DONE:
            self._arm_stage()

    def on_receive(self, message: Any) -> Any:
        """Handle what the tree reports; questions are answered by `_answer`."""
        match message:
            case TrackMint():
                self._track(message)
            case UntrackMint(mint, reason):
                self._untrack(mint, reason)
            case TrackingEnded(mint, _, reason):
                self._untrack(mint, reason, ended=True)
            case ChildStopped(name, kind):
                self._child_stopped(name, kind)
            case ChildFailed():
                self._child_failed(message)
            case PhasesLoaded(phases):
                self._phases_loaded(phases)
            case StreamsLoaded(count):
                self._streams_loaded(count)
            case _RetentionDue():
                self._release_journal()
            case FeedStateChanged():
                # The connection has logged it, and the health report reads what it publishes.
                pass
            case _:
                return self._ending(message)
        return None

    def _ending(self, message: Any) -> Any:
        match message:
            case FeedEnded(frames):
                self._begin_drain(f"the recording has ended after {frames} frames", 0)
            case Drain(reason):
                self._begin_drain(reason, 0)
            case ReadingStopped():
                self._arrived(CONNECTION)
            case Drained(name, undelivered):
                self._state.drain.undelivered += undelivered
                self._arrived(name)
            case _StageOverdue(stage):
                self._overdue(Stage(stage))
            case _:
                return self._answer(message)
        return None

    def _answer(self, message: Any) -> Any:
        match message:
            case GetHealth():
                return self._health()
            case GetActors():
                return self._tree.reports()
            case GetActor(name):
                return self._tree.report(name)
            case GetLedger():
                return self._ledger()
            case GetFeed():
                self.context.forward(CONNECTION, message)
            case GetLiveCoin(mint):
                self._forward_live(mint, message)
            case _:
                return self._desk.answer(message, self._state.phases)
        return None

    def _forward_live(self, mint: Mint, message: GetLiveCoin) -> None:
        if mint not in self._state.roster:
            self.context.forward(DISCOVERY, message)
        elif not self._is_quarantined(tracker_name(mint)):
            self.context.forward(tracker_name(mint), message)

    # Trackers.

    def _track(self, track: TrackMint) -> None:
        drain = self._state.drain
        if not drain.takes_coins or (drain.active and self._is_quarantined(CONNECTION)):
            # Nobody would open its route, or close it.
            return
        if not self._state.phases:
            waits = self._state.roster.put_off(track)
            self.context.log.error(
                "not_tracked",
                mint=track.mint,
                cause="ref_coin_phases has no regular phase",
                waits=waits,
            )
            return
        match self._state.roster.wish(track):
            case Verdict.START:
                self._start_tracker(track)
            case Verdict.WAIT | Verdict.FULL:
                self.context.log.warning(
                    "tracker_limit",
                    limit=self._state.roster.limit,
                    waiting=self._state.roster.waiting,
                    hint="raise MAX_TRACKERS; coins wait for a free tracker until then",
                )
            case Verdict.KNOWN:
                pass

    def _start_tracker(self, track: TrackMint) -> None:
        track = self._nursery.completed(track)
        self._tree.start_child(self._nursery.spec(track, self._state.phases))
        self.context.tell(CONNECTION, RouteMint(track.mint, track.last_row_us))
        self._count_trackers()
        self.context.log.info(
            "tracking", mint=track.mint, phase=track.phase_id, activated_by=track.by
        )

    def _untrack(self, mint: Mint, reason: str, *, ended: bool = False) -> None:
        if not self._state.roster.end(mint):
            return
        self.context.log.info("tracking_ends", mint=mint, cause=reason)
        self.context.tell(CONNECTION, UnrouteMint(mint, ended))
        self._end_quarantined(tracker_name(mint))

    def _child_stopped(self, name: str, kind: str) -> None:
        if kind == TRACKER:
            mint = Mint(name.partition(":")[2])
            self._nursery.ended(mint)
            self._state.revived.discard(name)
            following = self._state.roster.ended(mint)
            self._count_trackers()
            if following is not None:
                self._track(following)
        if self._state.drain.stage is Stage.TRACKERS:
            self._arrived(name)

    def _count_trackers(self) -> None:
        self.context.telemetry.coins_tracked.set(len(self._state.roster))

    # Failures and news.

    def _child_failed(self, failed: ChildFailed) -> None:
        if failed.decision == "restart":
            self.context.telemetry.restarts.labels(kind=failed.kind).inc()
        elif failed.decision == "escalate":
            self.context.log.error(
                "actor_beyond_saving", failed_actor=failed.name, cause=failed.error
            )
            self._begin_drain(f"{failed.name} failed too often: {failed.error}", 1)
        elif failed.decision == "quarantine":
            self.context.log.error("quarantined", failed_actor=failed.name, cause=failed.error)
            if self._is_to_end(failed.name):
                self._end_quarantined(failed.name)

    def _is_to_end(self, name: str) -> bool:
        leaving = self._state.roster.is_leaving(Mint(name.partition(":")[2]))
        return leaving or self._state.drain.stage is Stage.TRACKERS

    def _end_quarantined(self, name: str) -> None:
        """Let a new instance write what it can; nobody reacts to a closed route in quarantine.

        A tracker that fails for good once more is stopped.
        """
        if not self._is_quarantined(name):
            return
        if name in self._state.revived:
            self._tree.stop_child(name, 0.0)
        else:
            self._state.revived.add(name)
            self._tree.revive(name)

    def _is_quarantined(self, name: str) -> bool:
        return self._tree.state_of(name) == "quarantined"

    def _phases_loaded(self, phases: tuple[Phase, ...]) -> None:
        if not any(phase.is_regular for phase in phases):
            self.context.log.warning("phases_refused", found=len(phases))
            return
        self._state.phases = phases
        self.context.tell(DISCOVERY, PhasesChanged(phases=phases))
        for mint in self._state.roster.mints():
            self.context.tell(tracker_name(mint), PhasesChanged(phases=phases))
        while (track := self._state.roster.next_waiting()) is not None:
            self._track(track)

    def _streams_loaded(self, count: int) -> None:
        self._state.streams_loaded = True
        self.context.log.info("streams_loaded", active=count)
        if not self._state.drain.active:
            self.context.tell(CONNECTION, StartReading())

    def _release_journal(self) -> None:
        self.context.after("retention", RETENTION_S, _RetentionDue())
        feed_us = self.context.feed_us()
        if self._state.drain.active or not self._state.streams_loaded or not feed_us:
            return
        reports = self._tree.reports()
        intervals = [phase.interval_seconds for phase in self._state.phases]
        before_us = needed_from_us(
            feed_us=feed_us,
            longest_interval_s=max(intervals, default=0),
            oldest_message_s=max((report.oldest_age_seconds or 0 for report in reports), default=0),
            held_us=self._held_us(reports, feed_us),
        )
        # By two looks: what has just left one actor may be on its way to the next, and young as a
        # message, while its trades are as old as the cache.
        agreed_us, self._state.agreed_us = min(before_us, self._state.agreed_us), before_us
        self._state.released_us = max(self._state.released_us, agreed_us)
        self.context.tell(CONNECTION, ReleaseJournal(self._state.released_us))

    def _held_us(self, reports: tuple[ActorReport, ...], feed_us: int) -> list[int | None]:
        """List the oldest arrivals that actors hold outside their mailboxes."""
        status = self.context.status_of
        writers = [status(name) for name in self._writers]
        cache, n8n, feed = status(DISCOVERY), status(N8N_WRITER), status(CONNECTION)
        # A broken tracker keeps its open window until it is revived or ended.
        broken = {report.name for report in reports if report.state == "quarantined"}
        since = self._state.quarantined_us
        for name in broken - since.keys():
            since[name] = self._state.released_us or feed_us
        for name in since.keys() - broken:
            del since[name]
        return [
            *(writer.oldest_waiting_us for writer in writers if writer is not None),
            cache.oldest_us if cache else None,
            n8n.needed_from_us if n8n else None,
            feed.parked_from_us if feed else None,
            *since.values(),
        ]

    # The end, see drain.py for the order and its reasons.

    def _begin_drain(self, reason: str, exit_code: int) -> None:
        drain = self._state.drain
        if drain.active:
            drain.exit_code = max(drain.exit_code, exit_code)
            return
        self.context.log.info("draining", cause=reason, deadline_s=drain.timeout_s)
        drain.begin(reason, exit_code, CONNECTION)
        self._arm_stage()
        if self._is_quarantined(CONNECTION) or not self.context.tell(CONNECTION, StopReading()):
            self._close_routes()
            self._arrived(CONNECTION)

    def _arrived(self, name: str) -> None:
        drain = self._state.drain
        if drain.active and drain.stage is not Stage.DONE and drain.arrived(name):
            self._next_stage()

    def _overdue(self, stage: Stage) -> None:
        drain = self._state.drain
        if stage is not drain.stage:
            return
        late = sorted(drain.waiting_for)
        self.context.log.error("drain_overdue", stage=stage.name.lower(), late=late[:10])
        drain.exit_code = max(drain.exit_code, 1)
        if stage is Stage.READING:
            self._close_routes()
        self._next_stage()

    def _close_routes(self) -> None:
        """Tell every tracker to end, in place of a connection that cannot."""
        for mint in self._state.roster.mints():
            self.context.tell(tracker_name(mint), RouteClosed(mint, self.context.feed_us()))

    def _next_stage(self) -> None:
        drain = self._state.drain
        match drain.stage:
            case Stage.READING:
                drain.next((DISCOVERY,))
                if self._is_quarantined(DISCOVERY) or not self.context.tell(DISCOVERY, Flush()):
                    drain.waiting_for.clear()
            case Stage.DECIDING:
                for mint in self._state.roster.mints():
                    self._end_quarantined(tracker_name(mint))
                drain.next(tracker_name(mint) for mint in self._state.roster.mints())
            case Stage.TRACKERS:
                drain.next((*self._writers, N8N_WRITER))
                for name in tuple(drain.waiting_for):
                    if self._is_quarantined(name) or not self.context.tell(name, Flush()):
                        drain.waiting_for.discard(name)
            case _:
                drain.next(())
                self._done()
                return
        self._arm_stage()
        if drain.complete:
            self._next_stage()

    def _arm_stage(self) -> None:
        drain = self._state.drain
        self.context.after("stage", drain.stage_s, _StageOverdue(stage=drain.stage.value))

    def _done(self) -> None:
        drain = self._state.drain
        self.context.cancel("stage")
        self.context.log.info(
            "drained", cause=drain.reason, on_disk=drain.undelivered, exit_code=drain.exit_code
        )
        self._finished(drain.exit_code)

    # Answers.

    def _health(self) -> HealthReport:
        status = self.context.status_of
        return health_report(
            now_us=self.context.now_us(),
            started_us=self._state.started_us,
            feed=status(CONNECTION),
            cache=status(DISCOVERY),
            writers=[found for name in self._writers if (found := status(name)) is not None],
            n8n=status(N8N_WRITER),
            trackers=len(self._state.roster),
            trades_processed=int(self.context.telemetry.value("unified_trades_processed_total")),
            draining=self._state.drain.active,
            streams_loaded=self._state.streams_loaded,
            broken_actors=self._broken(),
        )

    def _broken(self) -> list[str]:
        system = (CONNECTION, DISCOVERY, N8N_WRITER, STREAM_WATCH, *self._writers)
        return [name for name in system if self._tree.state_of(name) not in ("starting", "running")]

    def _ledger(self) -> LedgerReport:
        received, places = self.context.ledger.read()
        balanced = received == sum(places.values()) and min(places.values()) >= 0
        return LedgerReport(received=received, places=places, balanced=balanced)
