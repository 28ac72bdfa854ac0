"""What the role of DB_DSN has to be allowed for the service to run; less than its migration needs.

| object | rights | when |
|---|---|---|
| `coin_metrics` | SELECT, INSERT, DELETE | always; DELETE moves rows of the future aside |
| `coin_metrics_ahead`, `coin_metrics_conflicts` | SELECT, INSERT, UPDATE | always |
| `coin_streams` | SELECT, UPDATE | always |
| `discovered_coins`, `ref_coin_phases` | SELECT | always |
| `feed_gaps` | SELECT, INSERT, UPDATE | always |
| `mintwatch_migrations`, `mintwatch_migration_version` | SELECT | always |
| the database | TEMPORARY | always: rows go through a table of the session |
| `coin_streams`, its sequence | INSERT, USAGE | ACTIVATION=trades |
| `discovered_coins` | INSERT, UPDATE | ACTIVATION=trades |
| `coin_transactions` | SELECT, INSERT | STORE_TRADES |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from db.errors import RightsMissingError
from db.pool import connect

if TYPE_CHECKING:
    from db.pool import Connection

ALWAYS: Final = {
    "coin_metrics": ("SELECT", "INSERT", "DELETE"),
    "coin_metrics_ahead": ("SELECT", "INSERT", "UPDATE"),
    "coin_metrics_conflicts": ("SELECT", "INSERT", "UPDATE"),
    "coin_streams": ("SELECT", "UPDATE"),
    "discovered_coins": ("SELECT",),
    "ref_coin_phases": ("SELECT",),
    "feed_gaps": ("SELECT", "INSERT", "UPDATE"),
    "mintwatch_migrations": ("SELECT",),
    "mintwatch_migration_version": ("SELECT",),
}
TO_START_STREAMS: Final = {
    "coin_streams": ("INSERT",),
    "discovered_coins": ("INSERT", "UPDATE"),
}
TO_STORE_TRADES: Final = {"coin_transactions": ("SELECT", "INSERT")}

_MISSING: Final = """
    SELECT needed.relation, string_agg(needed.privilege, ', ' ORDER BY needed.place)
    FROM unnest(%(relations)s::text[], %(rights)s::text[])
        WITH ORDINALITY AS needed (relation, privilege, place)
    WHERE to_regclass(needed.relation) IS NOT NULL
      AND NOT has_table_privilege(to_regclass(needed.relation), needed.privilege)
    GROUP BY needed.relation ORDER BY min(needed.place)
"""
_SEQUENCE: Final = """
    SELECT sequence FROM pg_get_serial_sequence('coin_streams', 'id') AS sequence
    WHERE sequence IS NOT NULL AND NOT has_sequence_privilege(sequence, 'USAGE')
"""
_WHO: Final = """
    SELECT quote_ident(current_user), quote_ident(current_database()),
        has_database_privilege(current_database(), 'TEMPORARY')
"""


def check_rights(dsn: str, *, starts_streams: bool, stores_trades: bool) -> None:
    """Make sure that the role may do what the service does on the tables that are there.

    Args:
        dsn: The database.
        starts_streams: Coins become streams by their trades (ACTIVATION=trades).
        stores_trades: Each trade is stored (STORE_TRADES).

    Raises:
        RightsMissingError: It may not; the text has the statements that grant what is missing.
        psycopg.OperationalError: The server cannot be reached.
    """
    with connect(dsn, application_name="mintwatch rights", autocommit=True) as conn:
        grants = missing_grants(conn, starts_streams=starts_streams, stores_trades=stores_trades)
        ((role, _, _),) = conn.execute(_WHO).fetchall()
    if grants:
        raise RightsMissingError(
            f"The role {role} of DB_DSN lacks rights: have the owner of the tables run "
            f"{'; '.join(grants)}; then start again."
        )


def missing_grants(conn: Connection, *, starts_streams: bool, stores_trades: bool) -> list[str]:
    """Give the statements that grant what the session's role lacks."""
    needed = [*ALWAYS.items()]
    if starts_streams:
        needed += TO_START_STREAMS.items()
    if stores_trades:
        needed += TO_STORE_TRADES.items()
    pairs = [(relation, right) for relation, rights in needed for right in rights]
    ((role, database, may_stage),) = conn.execute(_WHO).fetchall()
    missing = conn.execute(
        _MISSING,
        {"relations": [pair[0] for pair in pairs], "rights": [pair[1] for pair in pairs]},
    ).fetchall()
    grants = [f"GRANT {rights} ON {relation} TO {role}" for relation, rights in missing]
    if starts_streams and conn.execute("SELECT to_regclass('coin_streams')").fetchone() != (None,):
        grants += [
            f"GRANT USAGE ON SEQUENCE {sequence} TO {role}"
            for (sequence,) in conn.execute(_SEQUENCE).fetchall()
        ]
    if not may_stage:
        grants.append(f"GRANT TEMPORARY ON DATABASE {database} TO {role}")
    return grants
