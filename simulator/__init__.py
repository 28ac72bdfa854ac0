"""A PumpPortal server on this machine: a market, its faults, recordings and their replay."""
