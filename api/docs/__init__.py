"""Swagger UI, with assets of our own."""
