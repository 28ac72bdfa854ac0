"""From one metric's definition to PromQL and a unit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from deploy.grafana.rows import Panel
    from telemetry import Definition

_OURS: Final = '{instance="$instance"}'
_UNITS: Final = {
    "_seconds": "s",
    "_bytes": "bytes",
    "_share": "percentunit",
    "_sol": "suffix: SOL",
    "_timestamp": "dateTimeFromNow",
}
"""Grafana's names, by the end of the metric's name."""
_PER_SECOND: Final = "cps"


class Query(NamedTuple):
    """What is drawn, and what it is called."""

    expression: str
    legend: str


def unit_of(metric: Definition, panel: Panel) -> str:
    """Give Grafana's name of the unit that a panel shows a metric in."""
    if metric.kind == "counter" and not panel.total:
        return _PER_SECOND
    return next((unit for end, unit in _UNITS.items() if metric.name.endswith(end)), "short")


def queries(metric: Definition, panel: Panel) -> list[Query]:
    """Give what a panel draws of one metric.

    Counters as rates, unless it wants them as they stand; histograms as quantiles.
    """
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or _plain(metric.name)
    if metric.kind == "histogram":
        return _quantiles(metric, legend)
    if metric.kind == "counter":
        return [Query(_counter(metric, panel), legend)]
    # Grafana counts in milliseconds.
    scale = " * 1000" if metric.name.endswith("_timestamp") else ""
    present = " == 1" if panel.kind == "state" else ""
    return [Query(f"{metric.name}{_OURS}{scale}{present}", legend)]


def _counter(metric: Definition, panel: Panel) -> str:
    series = f"{metric.name}_total{_OURS}"
    if panel.total:
        return series
    rate = f"rate({series}[$__rate_interval])"
    return f"sum by ({', '.join(metric.labels)}) ({rate})" if metric.labels else rate


def _quantiles(metric: Definition, legend: str) -> list[Query]:
    """Give median and 99th percentile; of a labelled metric the latter alone, to stay legible."""
    groups = ", ".join(("le", *metric.labels))
    buckets = f"sum by ({groups}) (rate({metric.name}_bucket{_OURS}[$__rate_interval]))"
    high = f"histogram_quantile(0.99, {buckets})"
    if metric.labels:
        return [Query(high, legend)]
    return [
        Query(f"histogram_quantile(0.5, {buckets})", "median"),
        Query(high, "99th percentile"),
    ]


def _plain(name: str) -> str:
    return name.partition("_")[2].replace("_", " ")
