"""Discovered coins."""
