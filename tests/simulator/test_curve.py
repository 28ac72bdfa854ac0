import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import curve

SOL = 1_000_000_000
TOKEN = 1_000_000
START = 1_073_000_000 * TOKEN


def test_fresh_curve_prints_30_sol_and_the_start_market_cap() -> None:
    tokens, sol, market_cap = curve.printed_reserves(START)

    assert (tokens, sol, market_cap) == (1_073_000_000, 30, 27.958993476234856)
    assert isinstance(tokens, int)
    assert isinstance(sol, int)


def test_full_curve_prints_115_sol_and_the_end_market_cap() -> None:
    tokens, sol, market_cap = curve.printed_reserves(279_900_000 * TOKEN)

    assert tokens == 279_900_000
    assert sol == pytest.approx(115.005359057, abs=1e-9)
    assert market_cap == pytest.approx(410.88016812, abs=1e-6)


@pytest.mark.parametrize(
    ("real_sol", "v_sol", "sold_pct"),
    [(30, 60.0, 67.6), (55, 85.0, 87.5), (70, 100.0, 94.7)],
)
def test_buying_from_the_start_reaches_the_known_points(
    real_sol: int, v_sol: float, sold_pct: float
) -> None:
    fill = curve.buy(START, real_sol * SOL)

    _, printed_sol, _ = curve.printed_reserves(fill.reserve_tokens)
    assert printed_sol == pytest.approx(v_sol, abs=1e-6)
    assert fill.tokens / (793_100_000 * TOKEN) * 100 == pytest.approx(sold_pct, abs=0.05)


def test_a_creators_buy_of_one_and_a_half_sol_gives_the_tokens_seen_on_the_feed() -> None:
    fill = curve.buy(START, 1_500_000_000)

    assert fill.tokens == pytest.approx(51_095_238_095_238, abs=1)
    assert curve.printed_reserves(fill.reserve_tokens)[1] == pytest.approx(31.5, abs=1e-9)


def test_last_buy_is_clamped_to_the_tokens_left() -> None:
    fill = curve.buy(START, 1_000 * SOL)

    assert fill == (793_100_000 * TOKEN, 85_005_359_057, 279_900_000 * TOKEN)


def test_printed_sol_is_the_invariant_divided_by_printed_tokens_bit_for_bit() -> None:
    tokens, sol, market_cap = curve.printed_reserves(1_042_288_935_124_880)

    assert tokens == 1042288935.12488
    assert sol == 32190000000 / 1042288935.12488
    assert market_cap == sol / tokens * 1e9


@pytest.mark.parametrize(
    ("units", "expected", "kind"),
    [(2_000_000_000, 2, int), (0, 0, int), (100_000_001, 0.100000001, float)],
)
def test_round_amounts_print_as_integers(units: int, expected: float, kind: type) -> None:
    shown = curve.printed(units, SOL)

    assert shown == expected
    assert type(shown) is kind


@given(lamports=st.lists(st.integers(1, 20 * SOL), min_size=1, max_size=20))
def test_selling_everything_back_never_gains_and_restores_the_curve(lamports: list[int]) -> None:
    reserve, spent, held = START, 0, 0
    for amount in lamports:
        fill = curve.buy(reserve, amount)
        reserve, spent, held = fill.reserve_tokens, spent + fill.lamports, held + fill.tokens

    back = curve.sell(reserve, held)

    assert back.reserve_tokens == START
    assert back.lamports <= spent
    assert spent - back.lamports <= 2 * len(lamports)


@given(reserve=st.integers(279_900_000 * TOKEN + 1, START), lamports=st.integers(1, 200 * SOL))
def test_a_buy_moves_exactly_its_tokens_and_leaves_the_pools_share(
    reserve: int, lamports: int
) -> None:
    fill = curve.buy(reserve, lamports)

    assert fill.reserve_tokens == reserve - fill.tokens
    assert fill.reserve_tokens >= 279_900_000 * TOKEN
    assert 0 < fill.lamports <= lamports + 1


@given(lamports=st.integers(1, 500 * SOL))
def test_pool_keeps_its_product(lamports: int) -> None:
    pool = curve.Pool()

    fill, after = curve.pool_buy(pool, lamports)
    _, back = curve.pool_sell(after, fill.tokens)

    assert after.tokens * after.lamports >= pool.tokens * pool.lamports
    assert back.tokens == pool.tokens
    assert back.lamports >= pool.lamports
