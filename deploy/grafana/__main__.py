"""Write the dashboard anew: `python -m deploy.grafana`."""

from __future__ import annotations

from deploy.grafana import FILE, as_text, build
from telemetry import Telemetry

FILE.write_text(as_text(build(Telemetry())), encoding="utf-8")
