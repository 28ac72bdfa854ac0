"""A day of the market on the manual clock leaves nothing behind but what is to be remembered."""

from __future__ import annotations

import click
import pytest

from actors.domain import Place
from simulator.market import MarketConfig
from tests.soak.day import LONGEST_LIFE_S, WHY_KEEP_HOURS, Day, Traces

REMEMBERED_BLOCKS = 12
"""What a coin may leave: that it was created, where its last span ended, and its wallets' names in
the market; measured: 9.
"""
SPARE_BLOCKS = 10_000
"""Tables that grow once; a trade that stays would leave 10 blocks for each of 70,000 an hour."""
MARKET = MarketConfig()


@pytest.mark.parametrize(
    "hours", [2, pytest.param(24, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])]
)
def test_hours_of_market_leave_no_actor_thread_timer_or_file_behind(hours: int) -> None:
    day = Day(seed=3, config=MARKET)
    before = first_rest(day)
    coins = day.coins
    day.trade(hours)
    busy = day.traces()
    day.rest(LONGEST_LIFE_S)
    day.rest(WHY_KEEP_HOURS * 3_600 + 600)
    after = day.traces()

    show(day, before, busy, after)
    assert len(busy.actors) > len(before.actors)
    assert busy.timelines > 0
    assert after.actors == before.actors
    assert after.registered == before.registered
    assert after.threads == before.threads
    assert after.files == before.files
    assert after.timers == before.timers
    assert after.timelines == 0
    assert after.objects - before.objects == {}
    allowed = (day.coins - coins) * REMEMBERED_BLOCKS + SPARE_BLOCKS
    assert after.blocks - before.blocks <= allowed
    check_books(day)


def first_rest(day: Day) -> Traces:
    """Let everything happen once that happens at all, so that tables have their first size."""
    day.trade(0.25)
    day.rest(LONGEST_LIFE_S)
    day.rest(WHY_KEEP_HOURS * 3_600 + 600)
    return day.traces()


def check_books(day: Day) -> None:
    """Every trade has come to its end, and nothing has failed on the way."""
    places = day.places()
    ends = {Place.COMMITTED, Place.ORPHAN, Place.DUPLICATE, Place.EXPIRED, Place.FILTERED}
    assert places.keys() <= ends | {Place.EVICTED}, f"trades are still on their way: {places}"
    assert places[Place.COMMITTED] > 0
    assert day.system.letters() == []
    assert day.system.telemetry.value("mintwatch_late_trades_total") == 0


def show(day: Day, before: Traces, busy: Traces, after: Traces) -> None:
    """Say what was measured; `-s` lets it through."""
    click.echo(f"\n{day.frames:,} frames of {day.coins:,} coins, {day.rows:,} rows")
    for name, each in (("before", before), ("busy", busy), ("after", after)):
        click.echo(
            f"{name}: {len(each.actors)} actors, {each.registered} registered, {each.threads} "
            f"threads, {each.files} files, {each.timers} timers, {each.timelines} timelines, "
            f"{each.objects.total():,} objects, {each.blocks:,} blocks"
        )
