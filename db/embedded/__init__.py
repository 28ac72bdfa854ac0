"""The PostgreSQL in the box."""
