"""`mintwatch compare` on two real databases: each reason, and what is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli import compare as command
from tests.compare import cases
from tests.compare.databases import ask, insert, run

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("build", "exit_code"),
    [
        (cases.same, 0),
        (cases.rounding, 0),
        (cases.windows, 0),
        (cases.lost, 4),
        (cases.early_graduation, 4),
        (cases.creators_buy, 4),
        (cases.gap, 4),
        (cases.only_theirs, 4),
        (cases.only_ours, 4),
        (cases.other, 4),
    ],
)
def test_each_reason_is_told_from_the_tables(
    build: Callable[[str, str], None], exit_code: int, theirs: str, ours: str
) -> None:
    build(theirs, ours)

    answer = ask(theirs, ours)

    assert answer.reasons == {build.__name__: 1}
    assert answer.exit_code == exit_code


def test_json_has_both_sides_of_an_hour_and_the_totals(theirs: str, ours: str) -> None:
    cases.windows(theirs, ours)

    answer = ask(theirs, ours)

    assert answer.found == {
        "since": "2025-10-01T12:00:00.000000Z",
        "until": "2025-10-01T13:00:00.000000Z",
        "coins": 1,
        "hours": 1,
        "differing": 0,
        "reasons": {
            **dict.fromkeys(answer.found["reasons"], 0),
            "windows": 1,
        },
        "theirs": totals(1, 4),
        "ours": totals(2, 6),
        "notes": [],
        "left_out": 0,
        "differences": [
            {
                "mint": "A",
                "from": "2025-10-01T12:00:00.000000Z",
                "to": "2025-10-01T13:00:00.000000Z",
                "reason": "windows",
                "says": "windows over the hour's ends: 2 buys fewer, 2 SOL less",
                "theirs": {
                    **totals(1, 4),
                    "price_high": 3e-8,
                    "price_low": 3e-8,
                    "first": "2025-10-01T12:59:57.000000Z",
                    "last": "2025-10-01T12:59:57.000000Z",
                },
                "ours": {
                    **totals(2, 6),
                    "price_high": 3e-8,
                    "price_low": 3e-8,
                    "first": "2025-10-01T12:59:55.000000Z",
                    "last": "2025-10-01T13:00:00.000000Z",
                },
            }
        ],
    }


def totals(rows: int, buys: int) -> dict[str, float]:
    return {
        "rows": rows,
        "trades": buys,
        "buys": buys,
        "sells": 0,
        "volume_sol": buys,
        "buy_volume_sol": buys,
        "sell_volume_sol": 0,
    }


def test_people_see_the_largest_difference_first_and_the_totals(theirs: str, ours: str) -> None:
    insert(theirs, "Small", 5, buys=3)
    insert(ours, "Small", 5, 0, buys=2)
    insert(theirs, "Large", 5, buys=9)
    insert(theirs, "Agrees", 6, buys=1_000)
    insert(ours, "Agrees", 5, 0, buys=1_000)

    done = run(theirs, ours)

    assert done.exit_code == 4
    assert (
        done.stdout
        == """\
reason       mint    hour               rows   trades         SOL                    why
only_theirs  Large   2025-10-01T12:00Z  1 / 0  9 / 0          9.000 / 0.000          \
we have no row of it in this hour: 9 buys more, 9 SOL more
other        Small   2025-10-01T12:00Z  1 / 1  3 / 2          3.000 / 2.000          \
nothing explains it: 1 buy more, 1 SOL more
windows      Agrees  2025-10-01T12:00Z  1 / 1  1,000 / 1,000  1,000.000 / 1,000.000  \
all figures are equal, the rows lie otherwise

        theirs     ours
rows    3          2
trades  1,012      1,002
buys    1,012      1,002
sells   0          0
SOL     1,012.000  1,002.000

compared          3 hours of 3 coins
from              2025-10-01T12:00:00.000000Z
to                2025-10-01T13:00:00.000000Z
same              0
rounding          0
windows           1
early_graduation  0
creators_buy      0
lost              0
only_ours         0
gap               0
only_theirs       1
other             1
"""
    )


def test_what_does_not_fit_on_a_screen_is_counted(
    theirs: str, ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LINES", 2)
    for buys, mint in enumerate("ABCD", 1):
        insert(theirs, mint, 5, buys=buys)

    lines = run(theirs, ours).stdout.splitlines()

    assert [line.split()[1] for line in lines[1:3]] == ["D", "C"]
    assert lines[3] == (
        "... and 2 more; --json has up to 10,000 that differ, and --mint MINT shows those of one "
        "coin."
    )


def test_one_coin_alone_is_compared(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=3)
    insert(theirs, "B", 5, buys=3)

    answer = ask(theirs, ours, "--mint", "B")

    assert answer.by_coin == {"B": ["only_theirs"]}


def test_only_rows_of_the_time_asked_for_count(theirs: str, ours: str) -> None:
    """A row belongs to the hour that its window ends in; one that ends at 13:00 to the first."""
    for end_s in (0, 1, 3_600, 3_601):
        insert(theirs, "A", end_s)

    assert ask(theirs, ours).found["theirs"]["rows"] == 2
    assert (
        ask(theirs, ours, since="2025-10-01T11:00", until="2025-10-01T14:00").found["theirs"][
            "rows"
        ]
        == 4
    )
