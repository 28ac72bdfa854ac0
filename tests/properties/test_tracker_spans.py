from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain import Candle, Phase, Trade
from actors.tracker.dedupe import MEMORY_US
from actors.tracker.effects import Arm, Effect, Mark, TimerKey, WindowClosed
from tests.tracker.builders import MINT, RULES, at, state, trade

STORED = msgspec.structs.replace(RULES, keep_trades=True)
TABLES = (
    (Phase(1, "a", 5, 0, 1), Phase(2, "b", 30, 1, 5), Phase(3, "c", 60, 5, 100_000)),
    (Phase(1, "a", 7, 0, 2), Phase(3, "c", 11, 2, 100_000)),
    (Phase(2, "b", 1, 0, 3), Phase(3, "c", 3, 0, 100_000)),
)


class World:
    """One mint through trackers, instances and time; keeps every candle it was given."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.seq = 0
        self.timers: dict[TimerKey, int] = {}
        self.candles: list[Candle] = []
        self.written: list[Trade] = []
        self.sent: list[Trade] = []
        self.marks: list[Mark] = []
        self.table: tuple[Phase, ...] = TABLES[0]
        self.tracker = state(phases=self.table, rules=STORED)

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, WindowClosed):
                self.candles.append(self.tracker.candle_of(effect))
                self.written.extend(effect.candle.kept_trades)
            elif isinstance(effect, Arm):
                self.timers[effect.timer] = effect.at_us
            elif isinstance(effect, Mark):
                self.marks.append(effect)

    def step(self, seconds: float) -> None:
        self.seconds = round(self.seconds + seconds, 6)

    def trade(self) -> None:
        self.step(0.000001)
        self.seq += 1
        one = trade(self.seconds, seq=self.seq)
        self.sent.append(one)
        self.take(self.tracker.add(one))

    def repeat(self, back: int) -> None:
        if self.sent:
            old = self.sent[-1 - back % min(len(self.sent), 5)]
            self.step(0.000001)
            self.seq += 1
            again = msgspec.structs.replace(old, seq=self.seq, arrived_us=at(self.seconds))
            # A trade that an earlier tracker wrote is unknown to this one; both would count it. So
            # is one that was forgotten, after ten minutes.
            is_remembered = old.arrived_us >= at(self.seconds) - MEMORY_US
            if is_remembered and old.arrived_us >= self.tracker.life.started_us:
                self.take(self.tracker.add(again))

    def fire(self) -> None:
        now_us = at(self.seconds)
        for timer, due_us in sorted(self.timers.items(), key=lambda item: item[1]):
            if due_us <= now_us:
                del self.timers[timer]
                self.take(self.tracker.due(timer, due_us, now_us))

    def restart(self) -> None:
        self.timers.clear()
        self.take(self.tracker.timers(at(self.seconds)))

    def cut(self) -> None:
        self.step(0.000001)
        self.take(self.tracker.cut(at(self.seconds)))
        self.timers.clear()
        last_us = self.tracker.covered_until_us
        phase_id = self.tracker.life.phase_id
        self.tracker = state(
            phases=self.table,
            phase_id=phase_id,
            started=self.seconds,
            rules=STORED,
            last_row=(last_us - at(0)) / 1e6 if last_us else None,
        )
        self.restart()

    def change_phases(self, table: int) -> None:
        self.table = TABLES[table]
        self.take(self.tracker.change_phases(self.table, at(self.seconds)))

    def set_phase(self, phase_id: int) -> None:
        self.take(self.tracker.set_phase(phase_id, at(self.seconds))[1])


_moves = st.lists(
    st.one_of(
        st.tuples(st.just("trade")),
        st.tuples(st.just("trade")),
        st.tuples(st.just("repeat"), st.integers(0, 4)),
        st.tuples(st.just("step"), st.sampled_from([0.000001, 0.4, 1.0, 4.999, 5.0, 31.0, 250.0])),
        st.tuples(st.just("fire")),
        st.tuples(st.just("restart")),
        st.tuples(st.just("cut")),
        st.tuples(st.just("change_phases"), st.integers(0, 2)),
        st.tuples(st.just("set_phase"), st.integers(1, 4)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(_moves)
def test_spans_never_overlap_and_every_trade_is_in_exactly_one(
    moves: list[tuple[str, *tuple[float, ...]]],
) -> None:
    world = World()
    for move, *arguments in moves:
        getattr(world, move)(*arguments)
    world.cut()

    spans = [(candle.window_start_us, candle.timestamp_us) for candle in world.candles]
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert sorted(one.signature for one in world.written) == [
        one.signature for one in sorted(world.sent, key=lambda one: one.signature)
    ]
    assert sum(candle.num_trades for candle in world.candles) == len(world.sent)
    assert all(candle.num_trades > 0 for candle in world.candles)
    assert {candle.mint for candle in world.candles} <= {MINT}
    assert Mark.LATE not in world.marks
    assert Mark.ORPHAN not in world.marks


@settings(max_examples=200, deadline=None)
@given(_moves)
def test_every_trade_lies_in_the_span_of_its_candle_and_every_span_ends_on_the_grid(
    moves: list[tuple[str, *tuple[float, ...]]],
) -> None:
    world = World()
    cuts = set()
    for move, *arguments in moves:
        getattr(world, move)(*arguments)
        if move == "cut":
            cuts.add(at(world.seconds))
    world.cut()
    cuts.add(at(world.seconds))

    placed = 0
    for candle in world.candles:
        inside = [
            one
            for one in world.written
            if candle.window_start_us <= one.arrived_us < candle.timestamp_us
        ]
        assert len(inside) == candle.num_trades
        placed += len(inside)
        on_grid = candle.timestamp_us % (candle.interval_seconds * 1_000_000) == 0
        assert on_grid or candle.timestamp_us in cuts
    assert placed == len(world.sent)
