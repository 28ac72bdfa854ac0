"""Real connection, discovery, trackers and supervisor, seeded; a script is the feed.

Every line of a script is one slice of frames with the arrival time of each. Between two slices
anything may run: the scheduler decides by its seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from actors.connection import ConnectionActor, ConnectionState
from actors.connection.partition import RawFrame
from actors.discovery.actor import DiscoveryActor
from actors.discovery.state import DiscoveryState
from actors.domain import Candle, Mint, Phase, Place, Trade
from actors.operator.operations import OperatorCommands
from actors.protocol.partitioner import WriterRoutes
from actors.protocol.postgres_writer import CandleClosed
from actors.protocol.supervisor import (
    CONNECTION,
    DISCOVERY,
    N8N_WRITER,
    STREAM_WATCH,
    SUPERVISOR,
    Drain,
    Drained,
    FeedEnded,
    PhasesLoaded,
    StreamsLoaded,
    TrackMint,
)
from actors.protocol.trade_count import trades_in
from actors.runtime import Actor, ChildSpec, Context, Exceeded, Flush, Message, RestartType
from actors.runtime.simulation import SeededSystem
from actors.supervisor import Dependencies, SupervisorActor, SupervisorState
from actors.supervisor.admission import Admission
from actors.supervisor.shutdown_plan import DrainPlan
from actors.tracker import TrackerActor, TrackerState, rules_of, tracker_state
from settings import Settings
from tests.supervisor.dependencies import dependencies

if TYPE_CHECKING:
    import random

    from actors.journal.records import Record

T0_US = 1_700_000_040_000_000
"""A multiple of 60 s, so that windows begin here."""
SLICE_S = 0.01
"""What a slice takes on the arrival clock, however far the feed clock goes."""
CELL_US = 5_000_000
POISONER = "poisoner"
PHASES = (Phase(1, "Baby Zone", 5, 0, 10), Phase(99, "Finished", 0, 1440, 1440))

Slice = tuple[RawFrame, ...]
Script = Sequence["Slice | Tell"]


class Tell(msgspec.Struct, frozen=True):
    """A line of a script at which somebody else tells the supervisor something."""

    message: Any


class _NextSlice(Message, frozen=True):
    pass


class _Reader:
    """Hands the script on, one line for each message to oneself."""

    def __init__(self, actor: ScriptedConnection) -> None:
        self._actor = actor

    def start(self) -> None:
        self._actor.context.tell_self(_NextSlice())

    resume = start

    def turn(self) -> None:
        raise AssertionError("a scripted connection is not polled")

    def stop(self) -> None:
        pass

    def release(self) -> None:
        pass

    def cover(self, mint: Mint) -> None:
        pass


class MemoryJournal:
    """A journal and its reader in one, without a disk."""

    state = "ok"

    def __init__(self) -> None:
        self._records: list[Record] = []

    def append(self, records: Sequence[Record]) -> None:
        self._records.extend(records)

    def release_before(self, us: int) -> None:
        self._records = [record for record in self._records if record.at_us >= us]

    def records(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record]:
        for record in list(self._records):
            if record.at_us >= since_us and (before_seq is None or record.seq < before_seq):
                yield record

    def steps(
        self, *, since_us: int = 0, before_seq: int | None = None, mint: Mint | None = None
    ) -> Iterator[Record | None]:
        for record in self.records(since_us=since_us, before_seq=before_seq, mint=mint):
            yield None
            yield record


class ScriptedConnection(ConnectionActor):
    """The connection with its own dispatch and routes; only where frames come from is different."""

    def __init__(
        self,
        context: Context,
        state: ConnectionState,
        lines: list[Any],
        journal: MemoryJournal,
        *,
        says_end: bool,
    ) -> None:
        super().__init__(context, state, journal, journal)
        self._lines = lines
        self._says_end = says_end

    def _make_reader(self) -> _Reader:
        return _Reader(self)

    def on_receive(self, message: Any) -> Any:
        if not isinstance(message, _NextSlice):
            return super().on_receive(message)
        match self._lines.pop(0) if self._lines else None:
            case None:
                if self._says_end:
                    self.context.tell(SUPERVISOR, FeedEnded(0))
                return None
            case Tell(message=told):
                self.context.tell(SUPERVISOR, told)
            case frames:
                self._hand_on(frames)
        self.context.tell_self(_NextSlice())
        return None

    def _hand_on(self, frames: Slice) -> None:
        self.context._system.clock.advance(SLICE_S)  # type: ignore[attr-defined]  # manual clock
        self._pipeline.advance(frames[0].at_us)
        stamped = [RawFrame(self._pipeline.stamp_as(item.at_us), item.frame) for item in frames]
        batch = self._pipeline.partition(stamped)
        self._pipeline.journal(batch)
        lists: list[list[Any]] = [batch.unrouted, *batch.routed.values()]
        for events in lists:
            events[:] = [_poisoned(event) for event in events]
        self._pipeline.route(batch)
        self._pipeline.advance(stamped[-1].at_us + 1)


def _poisoned(event: Any) -> Any:
    """Make a trade of the poisoner one that a tracker cannot handle; no frame decodes to such."""
    if not (isinstance(event, Trade) and event.trader == POISONER):
        return event
    return msgspec.structs.replace(event, price_sol=-1.0)


class StandInWriter(Actor):
    """Keeps what it is told, and has always delivered everything."""

    def __init__(self, context: Context, messages: list[Any]) -> None:
        super().__init__(context)
        self._messages = messages

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Flush):
            self.context.tell(SUPERVISOR, Drained(self.context.name, 0))
        else:
            self._messages.append(message)


class RealTrackers:
    """A factory of real trackers; a mint that is tracked again goes on behind its last span."""

    def __init__(self, settings: Settings, routes: WriterRoutes | None = None) -> None:
        self._settings = settings
        self._routes = routes or WriterRoutes(1)
        self._states: dict[Mint, TrackerState] = {}

    def completed(self, track: TrackMint) -> TrackMint:
        known = self._states.get(track.mint)
        if known is None:
            return track
        return msgspec.structs.replace(track, last_row_us=known.covered_until_us)

    def spec(self, track: TrackMint, phases: tuple[Phase, ...], *, pinned: bool) -> ChildSpec:
        state = tracker_state(self.completed(track), phases, rules_of(self._settings))
        state.life.pinned = pinned
        self._states[track.mint] = state
        return ChildSpec(
            name=f"tracker:{track.mint}",
            kind="tracker",
            actor=TrackerActor,
            make=lambda context: TrackerActor(context, state, self._routes),
            restart=RestartType.TRANSIENT,
            exceeded=Exceeded.QUARANTINE,
        )

    def ended(self, mint: Mint) -> int:
        candle = self._states[mint].candle
        return 0 if candle is None else candle.num_trades


class House:
    """The tree, from the connection to the writers, about one script.

    The drain begins with the script's end while much is under way, or, with `rests`, when nobody
    has anything left to do. Frames are journalled in memory, so that parked trades come back.
    """

    def __init__(self, seed: int, script: Script, *, rests: bool = False, **settings: Any) -> None:
        self.system = SeededSystem(seed=seed, settings=Settings(**settings), now_us=T0_US)
        self._rests = rests
        self.exit_codes: list[int] = []
        self.written: list[Any] = []
        system = self.system
        system.on_dead_letter = lambda letter: system.ledger.move(
            Place.QUEUED, Place.DEAD, trades_in(letter.message)
        )
        state = self.supervisor = SupervisorState(Admission(100), DrainPlan(timeout_s=20.0), T0_US)
        routes = WriterRoutes(system.settings.postgres_writers)
        tracker_factory = RealTrackers(system.settings, routes)
        acts_through = self._dependencies(tracker_factory, routes)
        system.start(
            SUPERVISOR,
            lambda context: SupervisorActor(
                context, state=state, dependencies=acts_through, operations=OperatorCommands
            ),
        )
        for name in routes.names:
            system.start_child(acts_through.writer_spec(name, None))
        system.start(N8N_WRITER, lambda context: StandInWriter(context, self.written))
        self.stream_watch = system.probe(STREAM_WATCH)
        cache = DiscoveryState(system.settings)
        system.start(DISCOVERY, lambda context: DiscoveryActor(context, cache, routes))
        connection, journal = ConnectionState(system.settings), MemoryJournal()
        lines = list(script)
        system.start(
            CONNECTION,
            lambda context: ScriptedConnection(
                context, connection, lines, journal, says_end=not rests
            ),
        )

    def _dependencies(self, tracker_factory: RealTrackers, routes: WriterRoutes) -> Dependencies:
        return dependencies(
            self.system,
            tracker_factory,
            self.exit_codes.append,
            routes=routes,
            writer_spec=self._writer,
        )

    def _writer(self, name: str, _awaiting_epoch: int | None) -> ChildSpec:
        return ChildSpec(
            name, "writer", StandInWriter, lambda context: StandInWriter(context, self.written)
        )

    def play(self) -> None:
        """Let the script happen, and everything end in order."""
        self.system.tell(SUPERVISOR, PhasesLoaded(PHASES))
        self.system.tell(SUPERVISOR, StreamsLoaded(0))
        self._pass_time(5)
        if self._rests:
            self.system.tell(SUPERVISOR, Drain("rest"))
        self._pass_time(30)

    def _pass_time(self, seconds: int) -> None:
        """Give those who wait for it time: a restart, or an answer that does not come."""
        self.system.run()
        for _ in range(seconds):
            if not self.exit_codes:
                self.system.advance(1.0)

    def candles(self) -> list[Candle]:
        return [message.candle for message in self.written if isinstance(message, CandleClosed)]

    def places(self) -> dict[str, int]:
        return {place: trades for place, trades in self.system.ledger.read()[1].items() if trades}


# Frames.


def create(mint: str, at_us: int, lamports: int = 0) -> RawFrame:
    buy = {"initialBuy": lamports / 1e3, "solAmount": lamports / 1e9}
    return _frame(
        at_us, txType="create", mint=mint, signature=f"create {mint}", traderPublicKey="creator",
        name=f"Coin {mint}", symbol=mint, uri="", pool="pump", bondingCurveKey="curve",
        vSolInBondingCurve=30.0, vTokensInBondingCurve=1_073_000_000.0, **buy,
    )  # fmt: skip


def trade(
    mint: str, at_us: int, number: int, lamports: int, *, kind: str = "buy", trader: str = "alice"
) -> RawFrame:
    """Make a trade without reserves; its price comes from its market cap."""
    return _frame(
        at_us, txType=kind, mint=mint, signature=f"trade {number}", traderPublicKey=trader,
        tokenAmount=1.0 + number, solAmount=lamports / 1e9, marketCapSol=100.0, pool="bonk",
    )  # fmt: skip


def sliced(frames: Sequence[RawFrame], chance: random.Random) -> list[Slice]:
    """Cut frames into slices of 1 to 6."""
    slices: list[Slice] = []
    left = list(frames)
    while left:
        size = chance.randint(1, 6)
        slices.append(tuple(left[:size]))
        del left[:size]
    return slices


def _frame(at_us: int, **fields: Any) -> RawFrame:
    return RawFrame(at_us, msgspec.json.encode(fields))
