"""Rows of ref_coin_phases."""
