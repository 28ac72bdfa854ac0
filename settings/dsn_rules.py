"""What a connection string may hold that comes over the API: an address, a login, no more. Pure.

Some of libpq's parameters read files, write files (`sslkeylogfile`), run what a service file says,
or go to another address than the name says (`hostaddr`); and libpq learns new ones. So this is a
list of what is allowed. The environment and the `.env` file may use every one of them.
"""

from __future__ import annotations

from typing import Final

from settings.masking import Secret, read_dsn

ALLOWED: Final = frozenset(
    {
        "user", "password", "host", "port", "dbname",
        "application_name", "options", "target_session_attrs",
        "sslmode", "channel_binding",
        "connect_timeout", "tcp_user_timeout",
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    }
)  # fmt: skip
_MOST_HOSTS: Final = 4
"""Each is tried for its own time."""
_LONGEST_TIMEOUT_S: Final = 30


def refused_dsn(dsn: Secret | None) -> str | None:
    """Say what a connection string from outside may not hold, without any of its values."""
    given = None if dsn is None else read_dsn(dsn.get_secret_value())
    if given is None:
        return None
    strange = sorted(given.keys() - ALLOWED)
    if strange:
        return _refusal(f"holds {', '.join(strange)}", f"only {', '.join(sorted(ALLOWED))}")
    if not _are_hosts(given.get("host", "")):
        return _refusal(
            "does not say where the database is",
            f"as host one to {_MOST_HOSTS} names of machines, or folders of their sockets,",
        )
    timeout = given.get("connect_timeout", "1")
    if not (timeout.isdecimal() and 1 <= int(timeout) <= _LONGEST_TIMEOUT_S):
        return _refusal(
            "holds a connect_timeout without an end", f"1 to {_LONGEST_TIMEOUT_S} seconds"
        )
    return None


def _are_hosts(text: str) -> bool:
    hosts = text.split(",")
    # An empty one stands for whatever libpq finds, an @ for a socket that anybody may have made.
    return len(hosts) <= _MOST_HOSTS and all(host and not host.startswith("@") for host in hosts)


def _refusal(found: str, expected: str) -> str:
    return (
        f"DB_DSN {found}, but {expected} may be changed while the service runs: take that out, or "
        "set DB_DSN in the environment or the .env file, and start mintwatch again."
    )
