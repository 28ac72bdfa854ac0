"""SQL and connections: one module a table. Knows no actors, only their values."""
