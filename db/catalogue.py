"""Writes down, as SQL, what stands on columns of a table: views, rules, triggers, policies.

Relies on an empty search_path, under which PostgreSQL writes every name with its schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import sql
from psycopg.rows import namedtuple_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from db.pool import Connection


class Written(NamedTuple):
    """One object, as statements."""

    name: str
    """What it is and what it is called, for people."""
    relation: str
    """The view itself, or the table that it belongs to, as SQL."""
    drop: str
    make: tuple[str, ...]
    privileges: tuple[str, ...] | None = None
    """Every privilege that there is, as grants; None: those of the moment it is made."""
    to_refill: str | None = None
    """The materialised view, as SQL, when it held rows."""


_VIEW: Final = "v"

_FAMILY: Final = """
    WITH RECURSIVE family AS (
        SELECT %(table)s::oid AS oid
        UNION SELECT i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid
    )
    SELECT a.attrelid::bigint, a.attnum FROM family JOIN pg_attribute a ON a.attrelid = family.oid
    WHERE a.attname = ANY(%(columns)s) AND NOT a.attisdropped
"""
_STANDING_ON: Final = """
    SELECT DISTINCT d.objid::bigint FROM pg_depend d
    JOIN unnest(%(relations)s::bigint[], %(columns)s::int[]) AS base (relation, attnum)
      ON d.refobjid = base.relation::oid AND d.refobjsubid = base.attnum
    WHERE d.classid = %(catalogue)s::regclass AND d.refclassid = 'pg_class'::regclass
"""
_VIEWS_ON: Final = """
    SELECT DISTINCT r.ev_class::bigint FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = ANY(%(views)s::bigint[]::oid[]) AND r.ev_class <> d.refobjid
      AND r.rulename = '_RETURN'
"""
_RULES_ON: Final = """
    SELECT r.oid::bigint FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND (
        r.ev_class = ANY(%(views)s::bigint[]::oid[]) OR r.oid = ANY(%(rules)s::bigint[]::oid[])
        OR EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
              AND d.refclassid = 'pg_class'::regclass
              AND d.refobjid = ANY(%(views)s::bigint[]::oid[])))
    ORDER BY 1
"""

_RULES: Final = """
    SELECT r.rulename AS name, r.ev_class::regclass::text AS relation,
        pg_get_ruledef(r.oid) AS definition, r.ev_enabled AS enabled,
        obj_description(r.oid, 'pg_rewrite') AS comment
    FROM pg_rewrite r WHERE r.oid = ANY(%s::bigint[]::oid[]) ORDER BY r.oid
"""
_TRIGGERS: Final = """
    SELECT t.tgname AS name, t.tgrelid::regclass::text AS relation,
        pg_get_triggerdef(t.oid) AS definition, t.tgenabled AS enabled,
        obj_description(t.oid, 'pg_trigger') AS comment
    FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgparentid = 0
      AND (t.oid = ANY(%(triggers)s::bigint[]::oid[]) OR t.tgrelid = %(view)s::bigint::oid)
    ORDER BY t.oid
"""
_POLICIES: Final = """
    SELECT p.polname AS name, p.polrelid::regclass::text AS relation,
        CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS sort,
        CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
            WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
        (SELECT string_agg(CASE WHEN role = 0 THEN 'PUBLIC' ELSE role::regrole::text END, ', ')
         FROM unnest(p.polroles) AS role) AS roles,
        pg_get_expr(p.polqual, p.polrelid) AS condition,
        pg_get_expr(p.polwithcheck, p.polrelid) AS checked,
        obj_description(p.oid, 'pg_policy') AS comment
    FROM pg_policy p WHERE p.oid = ANY(%s::bigint[]::oid[]) ORDER BY p.oid
"""
_RELATION: Final = """
    SELECT c.oid::regclass::text AS name, c.relkind AS kind, pg_get_viewdef(c.oid) AS definition,
        coalesce(c.reloptions, '{}') AS options, c.relowner::regrole::text AS owner,
        c.relowner::regrole::text = quote_ident(current_user) AS is_ours,
        obj_description(c.oid, 'pg_class') AS comment, c.relispopulated AS is_filled,
        (SELECT quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = c.reltablespace) AS space,
        (SELECT quote_ident(amname) FROM pg_am m WHERE m.oid = c.relam) AS method
    FROM pg_class c WHERE c.oid = %s::bigint::oid
"""
_COLUMNS: Final = """
    SELECT quote_ident(a.attname) AS name, col_description(a.attrelid, a.attnum) AS comment,
        pg_get_expr(d.adbin, d.adrelid) AS default
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
_PRIVILEGES: Final = """
    WITH held AS (
        SELECT '' AS of_column, acl.*
        FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) acl
        WHERE c.oid = %(view)s::bigint::oid
        UNION ALL
        SELECT ' (' || quote_ident(a.attname) || ')', acl.*
        FROM pg_attribute a, aclexplode(a.attacl) acl
        WHERE a.attrelid = %(view)s::bigint::oid AND NOT a.attisdropped
    )
    SELECT privilege_type || of_column AS privilege,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee,
        bool_or(is_grantable) AS with_option
    FROM held GROUP BY 1, 2 ORDER BY 2, 1
"""
_INDEXES: Final = """
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition,
        quote_ident(c.relname) AS short, i.indisclustered AS is_clustered,
        obj_description(i.indexrelid, 'pg_class') AS comment,
        (SELECT quote_ident(spcname) FROM pg_tablespace s WHERE s.oid = c.reltablespace) AS space
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %s::bigint::oid AND i.indisvalid ORDER BY i.indexrelid
"""
_STATISTICS: Final = """
    SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxrelid = %s::bigint::oid
    ORDER BY oid
"""


def write_down(conn: Connection, table: int, columns: list[str]) -> list[Written]:
    """Write down everything that stands on columns of a table, in the order to drop it.

    To be made again in the opposite order.

    Args:
        conn: With an open transaction and an empty search_path.
        table: The table's oid.
        columns: Names of columns.
    """
    bases = conn.execute(_FAMILY, {"table": table, "columns": columns}).fetchall()
    rules = _standing_on(conn, bases, "pg_rewrite")
    views = _views_on(conn, rules)
    rules = _oids(conn, _RULES_ON, views=list(views), rules=rules)
    # A rule or policy may name a view: it goes before the views do, and comes after them.
    written = _policies(conn, _standing_on(conn, bases, "pg_policy"))
    written += _triggers(conn, _standing_on(conn, bases, "pg_trigger"))
    written += _rules(conn, rules)
    highest_first = sorted(views, key=lambda view: (-views[view], -view))
    written += [_relation(conn, view) for view in highest_first]
    return written


# What stands on what.


def _standing_on(conn: Connection, bases: Iterable[tuple[Any, ...]], catalogue: str) -> list[int]:
    relations, attnums = zip(*bases, strict=True)
    return _oids(
        conn,
        _STANDING_ON,
        relations=list(relations),
        columns=list(attnums),
        catalogue=f"pg_catalog.{catalogue}",
    )


def _views_on(conn: Connection, rules: list[int]) -> dict[int, int]:
    """Give the views that some rules make, and all that stand on them, with their heights."""
    heights: dict[int, int] = {}
    found = _oids(
        conn,
        "SELECT DISTINCT ev_class::bigint FROM pg_rewrite"
        " WHERE rulename = '_RETURN' AND oid = ANY(%(rules)s::bigint[]::oid[])",
        rules=rules,
    )
    height = 0
    while found:
        # Met again, a view is higher than it seemed. There is no circle of views.
        heights.update(dict.fromkeys(found, height))
        found = _oids(conn, _VIEWS_ON, views=found)
        height += 1
    return heights


def _oids(conn: Connection, query: str, **values: object) -> list[int]:
    return [oid for (oid,) in conn.execute(query, values).fetchall()]


# Each kind, as SQL.


def _rows(
    conn: Connection, query: str, values: Sequence[object] | Mapping[str, object]
) -> Sequence[Any]:
    with conn.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query, values).fetchall()


def _policies(conn: Connection, oids: list[int]) -> list[Written]:
    written = []
    for row in _rows(conn, _POLICIES, (oids,)):
        name = _identifier(conn, row.name)
        using = f" USING ({row.condition})" if row.condition else ""
        check = f" WITH CHECK ({row.checked})" if row.checked else ""
        create = (
            f"CREATE POLICY {name} ON {row.relation} AS {row.sort} FOR {row.command}"
            f" TO {row.roles}{using}{check}"
        )
        written.append(
            Written(
                f"policy {row.name} of {row.relation}",
                row.relation,
                f"DROP POLICY {name} ON {row.relation}",
                (create, *_comment(conn, f"POLICY {name} ON {row.relation}", row.comment)),
            )
        )
    return written


def _triggers(conn: Connection, oids: list[int]) -> list[Written]:
    return [
        Written(
            f"trigger {row.name} of {row.relation}",
            row.relation,
            f"DROP TRIGGER {_identifier(conn, row.name)} ON {row.relation}",
            _of_event(conn, "TRIGGER", row),
        )
        for row in _rows(conn, _TRIGGERS, {"triggers": oids, "view": 0})
    ]


def _rules(conn: Connection, oids: list[int]) -> list[Written]:
    return [
        Written(
            f"rule {row.name} of {row.relation}",
            row.relation,
            f"DROP RULE {_identifier(conn, row.name)} ON {row.relation}",
            _of_event(conn, "RULE", row),
        )
        for row in _rows(conn, _RULES, (oids,))
    ]


def _of_event(conn: Connection, kind: str, row: Any) -> tuple[str, ...]:
    """Make a trigger or a rule, with its state and comment."""
    name = _identifier(conn, row.name)
    state = {"D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(row.enabled)
    return (
        row.definition,
        *([f"ALTER TABLE {row.relation} {state} {kind} {name}"] if state else []),
        *_comment(conn, f"{kind} {name} ON {row.relation}", row.comment),
    )


def _relation(conn: Connection, oid: int) -> Written:
    """Write down a view or a materialised view, with all that it owns."""
    (row,) = _rows(conn, _RELATION, (oid,))
    is_view = row.kind == _VIEW
    kind = "VIEW" if is_view else "MATERIALIZED VIEW"
    body = row.definition.rstrip().rstrip(";")
    options = ", ".join(_option(conn, option) for option in row.options)
    make = [
        f"CREATE {kind} {row.name}"
        + (f" USING {row.method}" if row.method else "")
        + (f" WITH ({options})" if options else "")
        + (f" TABLESPACE {row.space}" if row.space else "")
        + f" AS {body}"
        + ("" if is_view else " WITH NO DATA")
    ]
    make += _columns(conn, oid, row.name)
    make += _comment(conn, f"{kind} {row.name}", row.comment)
    make += [
        statement
        for trigger in _rows(conn, _TRIGGERS, {"triggers": [], "view": oid})
        for statement in _of_event(conn, "TRIGGER", trigger)
    ]
    if not is_view:
        make += _indexes(conn, oid, row.name)
        make += [text for (text,) in conn.execute(_STATISTICS, (oid,)).fetchall()]
    if not row.is_ours:
        make.append(f"ALTER {kind} {row.name} OWNER TO {row.owner}")
    grants = tuple(
        f"GRANT {held.privilege} ON {row.name} TO {held.grantee}"
        + (" WITH GRANT OPTION" if held.with_option and held.grantee != "PUBLIC" else "")
        for held in _rows(conn, _PRIVILEGES, {"view": oid})
    )
    return Written(
        f"{'view' if is_view else 'materialised view'} {row.name}",
        row.name,
        f"DROP {kind} {row.name}",
        tuple(make),
        grants,
        row.name if not is_view and row.is_filled else None,
    )


def _columns(conn: Connection, oid: int, relation: str) -> list[str]:
    statements = []
    for column in _rows(conn, _COLUMNS, (oid,)):
        if column.default is not None:
            statements.append(
                f"ALTER VIEW {relation} ALTER COLUMN {column.name} SET DEFAULT {column.default}"
            )
        statements += _comment(conn, f"COLUMN {relation}.{column.name}", column.comment)
    return statements


def _indexes(conn: Connection, oid: int, relation: str) -> list[str]:
    statements = []
    for index in _rows(conn, _INDEXES, (oid,)):
        statements.append(index.definition)
        if index.space:
            statements.append(f"ALTER INDEX {index.name} SET TABLESPACE {index.space}")
        if index.is_clustered:
            statements.append(f"ALTER MATERIALIZED VIEW {relation} CLUSTER ON {index.short}")
        statements += _comment(conn, f"INDEX {index.name}", index.comment)
    return statements


def _comment(conn: Connection, of: str, text: str | None) -> list[str]:
    return [] if text is None else [f"COMMENT ON {of} IS {_literal(conn, text)}"]


def _option(conn: Connection, option: str) -> str:
    name, _, value = option.partition("=")
    return f"{name}={_literal(conn, value)}"


def _identifier(conn: Connection, name: str) -> str:
    return sql.Identifier(name).as_string(conn)


def _literal(conn: Connection, text: str) -> str:
    return sql.Literal(text).as_string(conn)
