"""Two tables of rows side by side: the original's and ours, hour by hour, and why they differ.

Pure: rows come in, findings go out. `db.compare` reads the rows, `cli.compare` asks.
"""
