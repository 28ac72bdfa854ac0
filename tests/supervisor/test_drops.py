"""The table of what leaves the straight way: complete, and the same in the operators' page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from actors.domain import Drop
from actors.supervisor.drops import RULES
from telemetry import PROBLEM_KINDS

if TYPE_CHECKING:
    from actors.supervisor.drops import Rule

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def line_of(rule: Rule) -> str:
    """Write a rule as the page has it."""
    cells = (
        f"`{rule.drop.value}`", rule.unit, rule.right, rule.bound_text, rule.kind or "-",
        rule.do or "-",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def test_every_reason_has_its_rule_in_the_domain_s_order() -> None:
    assert [rule.drop for rule in RULES] == list(Drop)


def test_rule_is_a_problem_with_a_kind_and_advice_or_never() -> None:
    for rule in RULES:
        if rule.bound is not None:
            assert rule.kind in PROBLEM_KINDS, rule.drop
            assert rule.says, rule.drop
            assert rule.do, rule.drop
        assert rule.right.endswith("."), rule.drop


def test_page_for_operators_has_the_same_table() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## What leaves the straight way\n")[2]
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]

    assert table == [line_of(rule) for rule in RULES]
