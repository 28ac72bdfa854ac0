"""The Grafana dashboard, made from the definitions of the metrics."""

from __future__ import annotations

from deploy.grafana.dashboard import FILE, as_text, build

__all__ = ["FILE", "as_text", "build"]
