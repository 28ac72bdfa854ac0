"""SQL and connections: one module a table. Knows no actors, only their values."""

from db.migrate import migrate
from db.pool import create_pool

__all__ = ["create_pool", "migrate"]
