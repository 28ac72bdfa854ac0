"""Connection strings: reading and refusing. `settings.masking` knows what may be shown of one."""

from __future__ import annotations

from db.errors import DsnError
from settings.masking import is_masked_dsn, read_dsn


def parse_dsn(dsn: str) -> dict[str, str]:
    """Read a connection string, as a URL or as `key=value` pairs, into libpq's parameters.

    Raises:
        DsnError: It is empty, cannot be read, or holds `***` where a secret was masked.
    """
    if not dsn.strip():
        raise DsnError(
            "DB_DSN is empty: leave it unset for the embedded PostgreSQL, or give a connection "
            "string."
        )
    if is_masked_dsn(dsn):
        raise DsnError(
            "DB_DSN holds ***, which is a masked password: give the connection string with the "
            "real one."
        )
    found = read_dsn(dsn)
    if found is None:
        raise DsnError(
            "DB_DSN cannot be read: expected postgresql://user:password@host:5432/database "
            "or key=value pairs; escape special characters of a password in a URL as %XX."
        )
    return found
