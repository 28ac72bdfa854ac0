"""The feed and its gaps."""
