"""Rows of coin_streams."""
