"""Between Python's values and PostgreSQL's."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.values import clean, exact, jsonable, sol, to_datetime, to_us, tokens


@given(st.integers(-(10**15), 10**17))
def test_times_survive_the_way_to_a_datetime_and_back(us: int) -> None:
    assert to_us(to_datetime(us)) == us


@given(st.text(st.characters(), max_size=30), st.integers(0, 20))
def test_cleaned_text_can_be_stored_and_fits(text: str, limit: int) -> None:
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert b"\0" not in cleaned.encode("utf-8")
    assert clean(cleaned, limit) == cleaned


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_reads_back_as_the_same_float(value: float) -> None:
    assert float(exact(value) or 0) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_number_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        exact(value)


def test_amounts_are_exact() -> None:
    assert sol(1) == Decimal("0.000000001")
    assert sol(9_223_372_036_854_775_807) == Decimal("9223372036.854775807")
    assert tokens(1) == Decimal("0.000001")
    assert sol(None) is None


def test_rows_become_fit_for_json() -> None:
    noon_in_berlin = datetime(2025, 10, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    assert jsonable(
        {
            "amount": Decimal("1.5"),
            "nothing": Decimal("NaN"),
            "endless": float("inf"),
            "flag": True,
            "at": noon_in_berlin,
            "utc": datetime(2025, 10, 1, tzinfo=UTC),
            "list": [1, "a"],
            "bytes": b"x",
        }
    ) == {
        "amount": 1.5,
        "nothing": None,
        "endless": None,
        "flag": True,
        "at": "2025-10-01T12:00:00+00:00",
        "utc": "2025-10-01T00:00:00+00:00",
        "list": [1, "a"],
        "bytes": "b'x'",
    }
