"""Ready-made items for the writer's tests."""

from __future__ import annotations

from actors.domain import AllTimeHigh, Candle, Coin, Mint, Trade, Wallet
from actors.protocol.postgres_writer import AthReached, CandleClosed, StreamStarted

START_US = 1_700_000_000_000_000
CELL_US = 5_000_000
TRADES_PER_CANDLE = 5


def a_candle(mint: str, cell: int) -> Candle:
    """Make a candle of five trades in the cell with this number, 5 s each."""
    return Candle(
        mint=Mint(mint),
        window_start_us=START_US + cell * CELL_US,
        timestamp_us=START_US + (cell + 1) * CELL_US,
        phase_id=1,
        interval_seconds=5,
        pool="pump",
        price_open=2.8e-8,
        price_high=3.1e-8,
        price_low=2.7e-8,
        price_close=3.0e-8,
        market_cap_close_sol=30.0,
        bonding_curve_pct=1.25,
        virtual_sol_lamports=31_062_500_000,
        is_koth=False,
        volatility_pct=14.285714285714286,
        volume_lamports=1_500_000_001,
        buy_volume_lamports=1_000_000_001,
        sell_volume_lamports=500_000_000,
        num_buys=3,
        num_sells=2,
        unique_wallets=4,
        num_micro_trades=1,
        dev_sold_lamports=0,
        max_single_buy_lamports=900_000_000,
        max_single_sell_lamports=300_000_000,
        whale_buy_volume_lamports=0,
        whale_sell_volume_lamports=0,
        num_whale_buys=0,
        num_whale_sells=0,
        covered_us=CELL_US,
        chain_breaks=0,
        last_seq=cell,
    )


def a_trade(mint: str, seq: int) -> Trade:
    return Trade(
        seq=seq,
        arrived_us=START_US + seq,
        mint=Mint(mint),
        signature=f"signature-{seq}",
        trader=Wallet("trader"),
        is_buy=True,
        sol_lamports=100_000_000,
        token_units=3_500_000_000_000,
        price_sol=2.8e-8,
        virtual_sol_lamports=30_100_000_000,
        virtual_token_units=1_069_435_215_946_843,
        pool="pump",
    )


def a_coin(mint: str) -> Coin:
    return Coin(
        seq=1,
        arrived_us=START_US,
        mint=Mint(mint),
        creator=Wallet("creator"),
        signature="create-signature",
        name="A coin",
        symbol="COIN",
        uri="https://example.org/coin.json",
        pool="pump",
        bonding_curve_key="curve",
        is_mayhem=False,
        price_sol=2.8e-8,
        virtual_sol_lamports=30_000_000_000,
        virtual_token_units=1_073_000_000_000_000,
        market_cap_sol=28.0,
        social_count=None,
        buy=None,
        frame=b'{"mint":"' + mint.encode() + b'","x":"\xe2\x82\xac"}',
    )


def closed(mint: str, cell: int) -> CandleClosed:
    return CandleClosed(a_candle(mint, cell))


def ath(mint: str, price_sol: float) -> AthReached:
    return AthReached(AllTimeHigh(Mint(mint), price_sol, START_US))


def started(mint: str) -> StreamStarted:
    return StreamStarted(coin=a_coin(mint), phase_id=1, started_us=START_US)
