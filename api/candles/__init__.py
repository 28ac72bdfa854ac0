"""Rows of coin_metrics."""
