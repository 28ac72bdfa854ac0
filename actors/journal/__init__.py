"""Frames on disk before anything is done with them, and back again."""
