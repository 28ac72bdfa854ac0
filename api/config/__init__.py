"""The settings of the running service."""
