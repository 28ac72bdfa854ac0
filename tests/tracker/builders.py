"""Short ways to write trades, coins and states down. Times are seconds since a round instant."""

from __future__ import annotations

from actors.domain import AllTimeHigh, Coin, Migration, Mint, Phase, Trade, Wallet
from actors.tracker.candle import Thresholds
from actors.tracker.rules import TrackerRules
from actors.tracker.state import TrackerState

MINT = Mint("So1anaMint")
CREATOR = Wallet("creator")
T0_US = 1_700_000_040_000_000
"""A multiple of 60 s, so that the cells of every phase begin here."""

BABY = Phase(1, "Baby Zone", 5, 0, 10)
SURVIVAL = Phase(2, "Survival Zone", 30, 10, 60)
MATURE = Phase(3, "Mature Zone", 60, 60, 1440)
FINISHED = Phase(99, "Finished", 0, 1440, 1440)
PHASES = (BABY, SURVIVAL, MATURE, FINISHED)

RULES = TrackerRules(
    thresholds=Thresholds.of_sol(30.0, 85.0, 1.0, 200.0),
    age_offset_us=0,
    ath_interval_us=5_000_000,
    watchdog_seconds=600.0,
    keep_trades=False,
)


def at(seconds: float) -> int:
    """Give the instant so many seconds after the round one."""
    return T0_US + round(seconds * 1_000_000)


def sol(amount: float) -> int:
    """Give lamports."""
    return round(amount * 1_000_000_000)


def trade(
    seconds: float = 0.0,
    *,
    seq: int | None = None,
    is_buy: bool = True,
    amount: float | None = 0.5,
    price: float | None = 1e-7,
    trader: str = "alice",
    tokens: int = 1_000,
    reserves: tuple[int | None, int | None] = (None, None),
    signature: str | None = None,
    mint: Mint = MINT,
    pool: str = "pump",
) -> Trade:
    """Make a trade; unless told otherwise its sequence number is its millisecond."""
    number = round(seconds * 1000) + 1_000_000 if seq is None else seq
    return Trade(
        seq=number,
        arrived_us=at(seconds),
        mint=mint,
        signature=f"sig-{number}" if signature is None else signature,
        trader=Wallet(trader),
        is_buy=is_buy,
        sol_lamports=None if amount is None else sol(amount),
        token_units=tokens,
        price_sol=price,
        virtual_sol_lamports=reserves[0],
        virtual_token_units=reserves[1],
        pool=pool,
    )


def coin(seconds: float = 0.0, *, buy: Trade | None = None, is_mayhem: bool = False) -> Coin:
    """Make a create of the coin."""
    return Coin(
        seq=1,
        arrived_us=at(seconds),
        mint=MINT,
        creator=CREATOR,
        signature="create",
        name="Coin",
        symbol="COIN",
        uri="",
        pool="pump",
        bonding_curve_key="curve",
        is_mayhem=is_mayhem,
        price_sol=2.8e-8,
        virtual_sol_lamports=sol(30),
        virtual_token_units=1_073_000_000_000_000,
        market_cap_sol=28.0,
        social_count=None,
        buy=buy,
        frame=b"{}",
    )


def migration(seconds: float) -> Migration:
    """Make the coin leave its curve."""
    return Migration(round(seconds * 1000), at(seconds), MINT, "migrate", "pump-amm")


def state(
    *,
    settled: bool = True,
    phases: tuple[Phase, ...] = PHASES,
    phase_id: int = 1,
    started: float = 0.0,
    created: float | None = None,
    last_row: float | None = None,
    rows_seq: int = 0,
    ath: AllTimeHigh | None = None,
    rules: TrackerRules = RULES,
    creator: Wallet | None = None,
) -> TrackerState:
    """Make a state; its hand-over is over unless told otherwise."""
    made = TrackerState(
        mint=MINT,
        phases=phases,
        phase_id=phase_id,
        started_us=at(started),
        rules=rules,
        created_us=None if created is None else at(created),
        creator=creator,
        ath=ath,
        last_row_us=None if last_row is None else at(last_row),
        rows_seq=rows_seq,
    )
    if settled:
        made.finish_hand_over(None)
        made.settle()
    return made
