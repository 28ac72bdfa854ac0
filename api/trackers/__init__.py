"""One coin: its tracker, its story, its frames."""
