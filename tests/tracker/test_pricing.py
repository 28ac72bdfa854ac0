from __future__ import annotations

import math
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.pricing import price_sol


class Figures(TypedDict):
    v_sol: float | None
    v_tokens: float | None
    sol_in_pool: float | None
    tokens_in_pool: float | None
    is_amm_pool: bool
    market_cap_sol: float | None
    sol_amount: float | None
    token_amount: float | None


NOTHING: Figures = {
    "v_sol": None,
    "v_tokens": None,
    "sol_in_pool": None,
    "tokens_in_pool": None,
    "is_amm_pool": False,
    "market_cap_sol": None,
    "sol_amount": None,
    "token_amount": None,
}
EVERYTHING: Figures = {
    "v_sol": 30.0,
    "v_tokens": 1_073_000_000.0,
    "sol_in_pool": 84.0,
    "tokens_in_pool": 210_000_000.0,
    "is_amm_pool": True,
    "market_cap_sol": 300.0,
    "sol_amount": 0.5,
    "token_amount": 1_000_000.0,
}


def test_fresh_curve_costs_what_its_reserves_say() -> None:
    assert price_sol(**EVERYTHING) == pytest.approx(2.7958993476e-8, rel=1e-10)


def test_without_a_curve_an_amm_pool_gives_the_price() -> None:
    assert price_sol(**EVERYTHING | {"v_sol": None}) == pytest.approx(4e-7)


def test_reserves_of_another_pool_are_no_price() -> None:
    bonk = EVERYTHING | {"v_sol": None, "v_tokens": None, "is_amm_pool": False}
    assert price_sol(**bonk) == pytest.approx(3e-7)


def test_a_trade_of_a_hundredth_sol_gives_its_own_price() -> None:
    own = NOTHING | {"sol_amount": 0.01, "token_amount": 100_000.0}
    assert price_sol(**own) == pytest.approx(1e-7)


def test_a_smaller_trade_gives_none() -> None:
    assert price_sol(**NOTHING | {"sol_amount": 0.00999, "token_amount": 100_000.0}) is None


def test_nothing_gives_none() -> None:
    assert price_sol(**NOTHING) is None


@pytest.mark.parametrize("rubbish", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e300, 10**400])
def test_rubbish_is_passed_over_for_the_next_figure(rubbish: float) -> None:
    assert price_sol(**EVERYTHING | {"v_sol": rubbish}) == pytest.approx(4e-7)
    assert price_sol(**EVERYTHING | {"v_tokens": rubbish}) == pytest.approx(4e-7)


_figure = st.none() | st.floats() | st.integers()


@given(st.tuples(_figure, _figure, _figure, _figure, _figure, _figure, _figure), st.booleans())
def test_no_figures_give_a_dishonest_price(
    figures: tuple[float | None, ...], is_amm_pool: bool
) -> None:
    v_sol, v_tokens, sol_in_pool, tokens_in_pool, market_cap, amount, tokens = figures
    price = price_sol(
        v_sol=v_sol,
        v_tokens=v_tokens,
        sol_in_pool=sol_in_pool,
        tokens_in_pool=tokens_in_pool,
        is_amm_pool=is_amm_pool,
        market_cap_sol=market_cap,
        sol_amount=amount,
        token_amount=tokens,
    )
    assert price is None or 0 < price < 1e9
