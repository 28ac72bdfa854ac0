"""Actors: what they do, how large they are, how they failed."""
