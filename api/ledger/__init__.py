"""Where every trade is."""
