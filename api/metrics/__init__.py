"""The exposition for Prometheus."""
