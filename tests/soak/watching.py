"""Looks at a running service from outside, again and again: /proc, the API, the metrics."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.support.service import Service

EVERY_S = 5.0
_TROUBLES = (
    "mintwatch_late_trades_total",
    "mintwatch_dead_letters_total",
    "mintwatch_restarts_total",
    "mintwatch_trades_parked_total",
)


class Sample(NamedTuple):
    """The service at one moment, so many seconds after the beginning."""

    at_s: float
    rss_kib: int
    threads: int
    files: int
    cpu_s: float
    depth: int
    """Events waiting in all mailboxes."""
    oldest_s: float
    """Age of the oldest waiting message."""
    received: int
    balanced: bool
    trouble: dict[str, float]
    """Counters that have to stay at 0 and have not."""


def watch(service: Service, seconds: float) -> list[Sample]:
    """Take a sample every few seconds for so long."""
    pause = threading.Event()
    began = time.monotonic()
    samples = [sample(service, 0.0)]
    while (at_s := time.monotonic() - began) < seconds:
        pause.wait(min(EVERY_S, seconds - at_s))
        samples.append(sample(service, time.monotonic() - began))
    return samples


def sample(service: Service, at_s: float) -> Sample:
    """Take one sample; asks the API four times."""
    process = Path("/proc") / str(service.process.pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    actors = actors_of(service)
    ledger = service.json("/ledger")
    metrics = service.metrics()
    return Sample(
        at_s=at_s,
        rss_kib=int(status["VmRSS"].split()[0]),
        threads=int(status["Threads"]),
        files=len(list((process / "fd").iterdir())),
        cpu_s=_cpu_s(process),
        depth=sum(actor["mailbox_depth"] for actor in actors),
        oldest_s=max(actor["oldest_age_seconds"] or 0.0 for actor in actors),
        received=ledger["received"],
        balanced=ledger["balanced"],
        trouble={
            name: value for name, value in metrics.items() if value and name.startswith(_TROUBLES)
        },
    )


def actors_of(service: Service) -> list[dict[str, Any]]:
    """Describe every actor, as the API does; one answer holds at most 1,000."""
    first: list[dict[str, Any]] = service.json("/actors")["actors"]
    trackers: list[dict[str, Any]] = service.json("/actors?kind=tracker")["actors"]
    return [actor for actor in first if actor["kind"] != "tracker"] + trackers


def peaks(service: Service) -> dict[str, tuple[int, float]]:
    """Give, by kind of actor, the highest mailbox ever and the share of its bound."""
    found: dict[str, tuple[int, float]] = {}
    for actor in actors_of(service):
        peak = actor["mailbox_peak"]
        share = peak / actor["mailbox_capacity"]
        found[actor["kind"]] = max(found.get(actor["kind"], (0, 0.0)), (peak, share))
    return found


def slope(samples: list[Sample]) -> float:
    """Give the growth of the resident memory in KiB a second, by least squares."""
    times = [each.at_s for each in samples]
    sizes = [each.rss_kib for each in samples]
    mean_s, mean_kib = sum(times) / len(times), sum(sizes) / len(sizes)
    spread = sum((at - mean_s) ** 2 for at in times)
    return (
        sum((at - mean_s) * (kib - mean_kib) for at, kib in zip(times, sizes, strict=True)) / spread
    )


def _cpu_s(process: Path) -> float:
    """Read user and system time together; the command's name may hold blanks."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
