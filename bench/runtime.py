"""Actors: stock Pykka with a thread each, against the same handler on the shared dispatcher.

The handler adds a trade to a candle, as a tracker does. Messages go round, one trade each, from one
sending thread; the time runs from the first `tell` until the last message is handled.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pykka

from actors.domain import Mint, Trade, Wallet
from actors.runtime import Actor, ArrivalClock, ChildSpec, Context, System
from actors.tracker.candle import OpenCandle
from bench.figures import Figure
from settings import load
from telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MESSAGES: Final = {10: 100_000, 100: 100_000, 1_000: 60_000, 10_000: 60_000}
"""By number of actors."""
PEER_MESSAGES: Final = {10: 60_000, 100: 60_000, 1_000: 20_000, 10_000: 10_000}
LIMIT_S: Final = 60.0
_WHALE_LAMPORTS: Final = 1_000_000_000


class Latch:
    """Opens when it was counted down so many times. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._count = count
        self._open = threading.Event()

    def count_down(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._open.set()

    def wait(self) -> None:
        if not self._open.wait(LIMIT_S):
            raise RuntimeError(f"the actors were not done within {LIMIT_S} s")


class Handler:
    """What both kinds of actor do with a trade."""

    def __init__(self, expected: int, done: Latch) -> None:
        self._candle = OpenCandle(_WHALE_LAMPORTS)
        self._left = expected
        self._done = done

    def add(self, trade: Trade) -> None:
        self._candle.add(trade)
        self._left -= 1
        if self._left == 0:
            self._done.count_down()


class StockActor(pykka.ThreadingActor):
    def __init__(self, handler: Handler, started: Latch) -> None:
        super().__init__()
        self._handler = handler
        self._started = started

    def on_start(self) -> None:
        self._started.count_down()

    def on_receive(self, message: Any) -> None:
        match message:
            case Trade():
                self._handler.add(message)


class SharedActor(Actor):
    def __init__(self, context: Context, handler: Handler, started: Latch) -> None:
        super().__init__(context)
        self._handler = handler
        self._started = started

    def on_start(self) -> None:
        self._started.count_down()

    def on_receive(self, message: Any) -> None:
        match message:
            case Trade():
                self._handler.add(message)


class Measured:
    """Start cost and rate of one kind of actor."""

    def __init__(self, actors: int, messages: int) -> None:
        self.actors = actors
        self.messages = messages // actors * actors
        self.us_per_start = 0.0
        self.messages_per_s = 0.0

    def run(self, start: Callable[[Latch, Latch], Sequence[Callable[[Trade], object]]]) -> Measured:
        """Start the actors, send the messages, and wait for both."""
        started, done = Latch(self.actors), Latch(self.actors)
        began = time.perf_counter()
        tells = start(started, done)
        started.wait()
        self.us_per_start = (time.perf_counter() - began) / self.actors * 1e6
        trades = [_trade(seq) for seq in range(1_000)]
        began = time.perf_counter()
        for turn in range(self.messages // self.actors):
            trade = trades[turn % 1_000]
            for tell in tells:
                tell(trade)
        done.wait()
        self.messages_per_s = self.messages / (time.perf_counter() - began)
        return self


def run() -> list[Figure]:
    """Measure every number of actors; takes about 20 s."""
    return [figure for actors in MESSAGES for figure in _figures(actors)]


def _figures(actors: int) -> list[Figure]:
    ours, peer = _shared(actors), _stock(actors)
    name = "pykka.ThreadingActor" if peer else "no more threads to be had"
    return [
        Figure(
            f"messages handled, {actors:,} actors",
            "1/s",
            ours.messages_per_s,
            peer.messages_per_s if peer else None,
            name,
        ),
        Figure(
            f"start of an actor, {actors:,} actors",
            "us",
            ours.us_per_start,
            peer.us_per_start if peer else None,
            name,
            more_is_better=False,
        ),
    ]


def _shared(actors: int) -> Measured:
    system = System(settings=load({}, None), telemetry=Telemetry(), clock=ArrivalClock())
    system.open()
    measured = Measured(actors, MESSAGES[actors])

    def start(started: Latch, done: Latch) -> list[Callable[[Trade], object]]:
        expected = measured.messages // actors

        def make(context: Context) -> SharedActor:
            return SharedActor(context, Handler(expected, done), started)

        return [
            system.start_child(
                ChildSpec(f"bench:{index}", "bench", SharedActor, make, capacity=1_000_000)
            ).tell
            for index in range(actors)
        ]

    try:
        return measured.run(start)
    finally:
        system.close(LIMIT_S)


def _stock(actors: int) -> Measured | None:
    """Measure stock Pykka; None when the machine gives no such number of threads."""
    measured = Measured(actors, PEER_MESSAGES[actors])

    def start(started: Latch, done: Latch) -> list[Callable[[Trade], object]]:
        expected = measured.messages // actors
        return [StockActor.start(Handler(expected, done), started).tell for _ in range(actors)]

    try:
        return measured.run(start)
    except RuntimeError:
        return None
    finally:
        pykka.ActorRegistry.stop_all(timeout=LIMIT_S)


def _trade(seq: int) -> Trade:
    return Trade(
        seq=seq,
        arrived_us=1_783_089_923_000_000 + seq,
        mint=Mint("g5nAdAoNfmoemZrnzHKZV3HMUofXM2fPsQ8vLBqqd2Hpump"),
        signature=f"signature {seq}",
        trader=Wallet(f"wallet {seq % 20}"),
        is_buy=seq % 2 == 0,
        sol_lamports=100_000_000 + seq,
        token_units=3_500_000_000_000,
        price_sol=2.8e-8,
        virtual_sol_lamports=30_100_000_000,
        virtual_token_units=1_069_435_215_946_843,
        pool="pump",
    )
