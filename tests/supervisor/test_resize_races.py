"""Writers come and go, trackers are paused and restarted, under every interleaving of 100 seeds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from actors.domain import Candle, Mint
from actors.postgres_writer import PostgresWriterActor, WriterState
from actors.postgres_writer.database import BatchOutcome
from actors.postgres_writer.spool_recovery import reassign_spool
from actors.postgres_writer.state import ParkedMints
from actors.protocol.operator import (
    PauseTracker,
    ResizeDispatcher,
    ResizeWriters,
    RestartTracker,
    ResumeTracker,
)
from actors.protocol.supervisor import writer_of
from actors.runtime import ChildSpec
from actors.spool.store import Spool
from tests.runtime.seeds import try_each
from tests.supervisor.dependencies import dependencies
from tests.supervisor.scripted import House, Script, Slice, Tell, sliced
from tests.supervisor.test_handover import MINTS, SEEDS, Market, check_spans, expected, volumes

if TYPE_CHECKING:
    from pathlib import Path

    from actors.postgres_writer.batch import Contents
    from actors.protocol.partitioner import WriterRoutes
    from actors.supervisor import Dependencies
    from tests.supervisor.scripted import RealTrackers


class CommitLog:
    """A database that writes down who committed what, in order, and is away now and then."""

    def __init__(self, chance: random.Random, away_share: float) -> None:
        self._chance = chance
        self._away_share = away_share
        self.candles: list[tuple[str, Candle]] = []

    def write(self, writer: str, contents: Contents) -> BatchOutcome:
        if self._chance.random() < self._away_share:
            raise ConnectionError("the database is away")
        known = {(candle.mint, candle.timestamp_us) for _, candle in self.candles}
        new = [each for each in contents.candles if (each.mint, each.timestamp_us) not in known]
        self.candles += [(writer, candle) for candle in new]
        return BatchOutcome(len(new), len(contents.candles) - len(new))


class Session:
    """One writer's way to the log."""

    def __init__(self, writer: str, log: CommitLog) -> None:
        self._writer = writer
        self._log = log

    def write(self, contents: Contents, limit_s: float | None) -> BatchOutcome:
        return self._log.write(self._writer, contents)

    def mark_whales(self, lamports: int) -> None:
        pass

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


class WritingHouse(House):
    """A house with real postgres-writers about a spool on disk."""

    def __init__(
        self, seed: int, script: Script, folder: Path, *, away_share: float = 0.0, **settings: Any
    ) -> None:
        self._path = folder / f"spool-{seed}.sqlite"
        self._parking = ParkedMints()
        self.log = CommitLog(random.Random(seed), away_share)
        super().__init__(seed, script, **settings)

    def _spool(self) -> Spool:
        return Spool(self._path, 1 << 26)

    def _dependencies(self, tracker_factory: RealTrackers, routes: WriterRoutes) -> Dependencies:
        return dependencies(
            self.system, tracker_factory, self.exit_codes.append,
            routes=routes, writer_spec=self._writer, share_spool=self._share,
        )  # fmt: skip

    def _share(self, writers: int) -> bool:
        spool = self._spool()
        spool.open()
        reassign_spool(spool, writers)
        spool.close()
        return True

    def _writer(self, name: str, awaiting_epoch: int | None) -> ChildSpec:
        state = WriterState(
            adopt=awaiting_epoch is None, awaiting_epoch=awaiting_epoch, parking=self._parking
        )
        return ChildSpec(
            name,
            "postgres-writer",
            PostgresWriterActor,
            lambda context: PostgresWriterActor(
                context, state=state, spool=self._spool(), database=Session(name, self.log)
            ),
        )

    def play(self) -> None:
        super().play()
        for name in self.system.names():
            # Their spools are open files.
            self.system.stop(name)

    def candles(self) -> list[Candle]:
        return [candle for _, candle in self.log.candles]


def with_commands(market: Market, commands: list[Any]) -> Script:
    """Put commands between the slices of a market, in their order."""
    script: list[Slice | Tell] = list(sliced(market.frames, market.chance))
    places = sorted(market.chance.sample(range(1, len(script)), len(commands)), reverse=True)
    for place, command in zip(places, reversed(commands), strict=True):
        script.insert(place, Tell(command))
    return script


def play(house: House, market: Market, seed: int) -> None:
    house.play()
    assert house.system.letters() == [], f"seed {seed}: dead letters"
    assert house.system.ledger.balanced, f"seed {seed}: the books do not balance"
    assert house.exit_codes == [0], f"seed {seed}: the end was not in order"
    assert house.system.telemetry.value("mintwatch_late_trades_total") == 0, f"seed {seed}: late"
    check_spans(house.candles(), seed)
    assert volumes(house.candles()) == expected(market.cells), f"seed {seed}: candles differ"


def test_each_row_is_committed_once_and_in_order_while_writers_come_and_go(tmp_path: Path) -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        sizes = [market.chance.randrange(1, 9) for _ in range(3)]
        script = with_commands(market, [ResizeWriters(size) for size in sizes])
        house = WritingHouse(
            seed, script, tmp_path,
            activation="trades", activation_min_trades=0, spam_burst_threshold=100,
        )  # fmt: skip
        play(house, market, seed)
        assert house.places() == {"committed": market.trades, "duplicate": market.repeated}, seed

    try_each(scenario, SEEDS)


def test_a_database_that_comes_and_goes_during_a_resize_changes_nothing(tmp_path: Path) -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script = with_commands(market, [ResizeWriters(4), ResizeWriters(1)])
        house = WritingHouse(
            seed, script, tmp_path, away_share=0.3, rests=True,
            activation="trades", activation_min_trades=0, spam_burst_threshold=100,
        )  # fmt: skip
        house.play()
        assert house.system.letters() == [], f"seed {seed}: dead letters"
        places = house.places()
        stored = places.get("committed", 0) + places.get("spooled", 0)
        assert stored == market.trades, f"seed {seed}: {places}"
        check_spans(house.candles(), seed)

    try_each(scenario, SEEDS)


def test_a_mint_keeps_its_writer_between_two_moves(tmp_path: Path) -> None:
    market = Market(0)
    house = WritingHouse(
        0, sliced(market.frames, market.chance), tmp_path, postgres_writers=4,
        activation="trades", activation_min_trades=0, spam_burst_threshold=100,
    )  # fmt: skip
    play(house, market, 0)
    writers = {(candle.mint, writer) for writer, candle in house.log.candles}
    assert writers == {(Mint(mint), writer_of(Mint(mint), 4)) for mint in MINTS}


def test_pauses_and_restarts_of_a_coin_cost_no_trade() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        coin = Mint("A")
        steps = [PauseTracker(coin), RestartTracker(coin), ResumeTracker(coin)]
        script = with_commands(market, [*steps, RestartTracker(coin), *steps])
        house = House(
            seed, script, rests=True,
            activation="trades", activation_min_trades=0, spam_burst_threshold=100,
        )  # fmt: skip
        play(house, market, seed)

    try_each(scenario, SEEDS)


def test_threads_that_come_and_go_are_no_matter_to_a_single_thread() -> None:
    def scenario(seed: int) -> None:
        market = Market(seed)
        script = with_commands(market, [ResizeDispatcher(8), ResizeDispatcher(2)])
        house = House(
            seed, script,
            activation="trades", activation_min_trades=0, spam_burst_threshold=100,
        )  # fmt: skip
        play(house, market, seed)

    try_each(scenario, SEEDS)
