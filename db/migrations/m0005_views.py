"""Make the views on discovered coins that the original and its successor have.

A relation of one of these names is somebody's own, or theirs, and stays as it is. A later step that
changes the type of one of the columns used here has to drop the views first and make them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from yoyo import step

from db.adopt import copy_privileges, ensure_view

if TYPE_CHECKING:
    from db.pool import Connection

__depends__ = {"m0004_numbered_rows"}

_COMPUTED: Final = (
    "open_market_cap_sol - market_cap_sol AS distance_to_graduation_sol",
    # Cast, as adopted columns may be floats, which are not rounded to digits. Without an open
    # market cap there is no progress, and no division by zero for whoever reads the view.
    (
        "round((market_cap_sol / nullif(open_market_cap_sol, 0) * 100)::numeric, 2)"
        " AS graduation_progress_pct"
    ),
)
_FIRST: Final = (
    *("token_address", "name", "symbol", "market_cap_sol", "open_market_cap_sol"),
    *_COMPUTED,
)
_ACTIVE: Final = "FROM discovered_coins WHERE is_active"
_NEAR: Final = (
    f"{_ACTIVE} AND NOT is_graduated AND market_cap_sol > 0"
    " ORDER BY graduation_progress_pct DESC NULLS LAST"
)

VIEWS: Final = {
    "discovered_coins_graduation": ((*_FIRST, "is_graduated", "discovered_at"), _ACTIVE),
    "discovered_coins_active": (("discovered_coins.*", *_COMPUTED), _ACTIVE),
    "discovered_coins_near_graduation": (
        (*_FIRST, "discovered_at", "trader_public_key", "initial_buy_sol"),
        _NEAR,
    ),
}
"""By name: columns, and what they are of."""


def add_views(conn: Connection) -> None:
    """Make the views that are missing; who may read the coins may read them."""
    for name, (columns, rest) in VIEWS.items():
        if ensure_view(conn, name, columns, rest):
            copy_privileges(conn, "discovered_coins", name, only=["SELECT"])


step(add_views)
