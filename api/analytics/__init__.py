"""How prices have moved."""
