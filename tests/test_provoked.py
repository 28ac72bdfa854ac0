"""Every way off the straight way from a frame to a row is provoked by a test, and counted there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from actors.domain import Drop

TESTS = Path(__file__).parent


@cache
def counted() -> tuple[str, ...]:
    """List the assertions of all tests that something was dropped, more often than never."""
    found = []
    for file in TESTS.rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        if "dropped" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assert):
                said = ast.unparse(node)
                if "dropped" in said and not said.endswith("== 0"):
                    found.append(said)
    return tuple(found)


@pytest.mark.parametrize("drop", list(Drop))
def test_reason_is_counted_by_a_test_that_provokes_it(drop: Drop) -> None:
    names = (f"Drop.{drop.name})", f"'{drop.value}'", f'"{drop.value}"')

    assert [said for said in counted() if any(name in said for name in names)]
