"""A few rows in both databases for each reason, which has the name of the function."""

from __future__ import annotations

from tests.compare.databases import at, execute, insert


def same(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=2)
    insert(ours, "A", 5, 0, buys=2)


def rounding(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, volume_sol="1.234567890", buy_volume_sol="1.234567890")
    insert(ours, "A", 5, 0, volume_sol="1.234567890", buy_volume_sol="1.234567890")


def windows(theirs: str, ours: str) -> None:
    """Two trades of the hour are in their window over its end."""
    insert(theirs, "A", 3_597, buys=4)
    insert(theirs, "A", 3_602, buys=5)
    insert(ours, "A", 3_595, 3_590, buys=4)
    insert(ours, "A", 3_600, 3_595, buys=2)
    insert(ours, "A", 3_605, 3_600, buys=3)


def lost(theirs: str, ours: str) -> None:
    for end_s, buys in ((1_002, 4), (1_012, 4), (1_017, 1)):
        insert(theirs, "A", end_s, buys=buys)
    for start_s, buys in ((995, 4), (1_000, 3), (1_005, 4), (1_010, 2)):
        insert(ours, "A", start_s + 5, start_s, buys=buys)


def early_graduation(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4, virtual_sol_reserves=80)
    insert(ours, "A", 1_000, 995, buys=4, virtual_sol_reserves=80)
    insert(ours, "A", 1_005, 1_000, buys=3, virtual_sol_reserves=86, price_high=4e-8)
    insert(ours, "A", 2_005, 2_000, buys=3, virtual_sol_reserves=99, price_high=5e-8)


def creators_buy(theirs: str, ours: str) -> None:
    insert(theirs, "A", 122, buys=3)
    insert(ours, "A", 5, 0, buys=2, price_low=2.8e-8)
    insert(ours, "A", 120, 115, buys=2)
    execute(
        ours,
        "INSERT INTO discovered_coins (token_address, discovered_at, initial_buy_sol)"
        " VALUES ('A', %s, 1)",
        (at(1),),
    )


def gap(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4)
    insert(theirs, "A", 1_007, buys=4)
    insert(ours, "A", 1_000, 995, buys=4)
    execute(
        ours,
        "INSERT INTO feed_gaps (started_at, ended_at, reason) VALUES (%s, %s, 'restart')",
        (at(1_001), at(1_006)),
    )


def only_theirs(theirs: str, ours: str) -> None:
    insert(theirs, "A", 1_002, buys=4)


def only_ours(theirs: str, ours: str) -> None:
    insert(ours, "A", 1_002, 997, buys=4)


def other(theirs: str, ours: str) -> None:
    insert(theirs, "A", 5, buys=3)
    insert(ours, "A", 5, 0, buys=2)
