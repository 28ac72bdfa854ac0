"""Values as short lines: bounded, harmless, and without what an operator typed."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.inspection.preview import summary_of
from actors.runtime.messages import Batch, Message


class Said(Message, frozen=True):
    word: str
    n: int = 0


class Many(Batch, frozen=True):
    events: tuple[Any, ...]


class Change(Message, frozen=True):
    changes: dict[str, Any]


class Colour(Enum):
    RED = "#f00"


class Opaque:
    def __repr__(self) -> str:
        return "hunter2"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "None"),
        (True, "True"),
        (7, "7"),
        (0.5, "0.5"),
        ("a'b", '"a\'b"'),
        (b"12345", "5 bytes"),
        (Colour.RED, "RED"),
        (Said("hi"), "Said(word='hi', n=0)"),
        (
            Many((Said("a"), Said("b", 2))),
            "Many(events=(Said(word='a', n=0), Said(word='b', n=2)))",
        ),
        (tuple(range(11)), "(0, 1, 2, 3, 4, 5, 6, 7, and 3 more)"),
        (Opaque(), "Opaque"),
        (2**300, "a very long integer"),
        (((((((1,),),),),),), "(((((...)))))"),
    ],
)
def test_value_is_described(value: Any, line: str) -> None:
    assert summary_of(value) == line


def test_values_of_mappings_are_not_shown_unless_asked() -> None:
    change = Change({"api_key": "hunter2", "db_dsn": None})
    assert summary_of(change) == "Change(changes={'api_key', 'db_dsn'})"
    assert summary_of({"open": 3}, values=True) == "{'open': 3}"


def test_control_characters_and_half_surrogates_are_spelled_out() -> None:
    line = summary_of(Said("\x1b[31m\x00\ud800\u202e"))
    assert line == "Said(word='\\x1b[31m\\x00\\ud800\\u202e', n=0)"
    assert line.isprintable()


def test_long_text_is_cut_and_says_so() -> None:
    assert summary_of("x" * 200) == "'" + "x" * 120 + "'..."


values = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=12).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


@given(values, st.integers(3, 500), st.booleans())
def test_summary_is_never_longer_than_asked_and_always_printable(
    value: Any, limit: int, values: bool
) -> None:
    line = summary_of(value, limit, values=values)
    assert len(line) <= limit
    assert line.isprintable()


def test_a_huge_message_is_described_without_looking_at_all_of_it() -> None:
    looked: list[int] = []

    class Counted(msgspec.Struct, frozen=True):
        n: int

        @property
        def __struct_fields__(self) -> tuple[str, ...]:  # type: ignore[override]
            looked.append(self.n)
            return ("n",)

    summary_of(Many(tuple(Counted(n) for n in range(10_000))))
    assert len(looked) <= 8
