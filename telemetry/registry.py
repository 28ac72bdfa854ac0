"""All metrics of a process, and their exposition.

An attribute of `Telemetry` is the metric's name without `unified_` or `mintwatch_` and `_total`.
Labels have fixed sets of values: any other value is counted as `other`, so no mint, wallet or
error text can ever become a label.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from telemetry.machine import MachineMetrics
from telemetry.market import MarketMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
RENDER_SECONDS: Final = 1.0
"""How long one exposition is handed out again."""


class Telemetry(MarketMetrics, MachineMetrics):
    """Every metric of one process, in a registry of its own. Thread-safe.

    Figures that are cheap to read but dear to keep current (ledger, actors) are set by functions
    given to `on_scrape`, right before an exposition.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # A `_created` series beside each counter would double the exposition and nothing reads it.
        # The library has this switch for the process only.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        super().__init__()
        self._clock = clock
        self._refreshers: tuple[Callable[[], None], ...] = ()
        self._followers: tuple[Callable[[], None], ...] = ()
        # Who renders and who catches up may meet; a follower adds what it has not seen yet.
        self._following = threading.Lock()
        self._rendered: tuple[float, bytes] | None = None
        # Scrapes at the same time share one exposition; who comes meanwhile waits for it.
        self._rendering = threading.Lock()
        ProcessCollector(registry=self.registry)

    def on_scrape(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before each exposition, in the asker's thread.

        It may not block; what it raises fails the scrape.
        """
        self._refreshers = (*self._refreshers, refresh)

    def follow(self, counter: Counter, read: Callable[[], int]) -> None:
        """Bring a counter to a count that is kept elsewhere, before each exposition or reading.

        `read` must never give less than before; may not block.
        """
        seen = 0

        def refresh() -> None:
            nonlocal seen
            now = read()
            counter.inc(now - seen)
            seen = now

        self._followers = (*self._followers, refresh)

    def catch_up(self) -> None:
        """Bring every counter that follows a count to where that is now."""
        with self._following:
            for follow in self._followers:
                follow()

    def follow_share(
        self, gauge: Gauge, busy_s: Callable[[], float], threads: Callable[[], int]
    ) -> None:
        """Set a gauge to the share of their time that threads were busy since the last exposition.

        `busy_s` gives a sum over all threads that only grows; neither may block. A turn that is not
        over yet counts in the exposition after its end, so the share is cut at 1.
        """
        seen_busy_s, seen_s = busy_s(), self._clock()

        def refresh() -> None:
            nonlocal seen_busy_s, seen_s
            now_busy_s, now_s = busy_s(), self._clock()
            had_s = (now_s - seen_s) * max(1, threads())
            if had_s > 0:
                gauge.set(min(1.0, (now_busy_s - seen_busy_s) / had_s))
            seen_busy_s, seen_s = now_busy_s, now_s

        self.on_scrape(refresh)

    def render(self) -> bytes:
        """Write the exposition in Prometheus' text format; at most one second old."""
        with self._rendering:
            now = self._clock()
            if self._rendered is None or now - self._rendered[0] >= RENDER_SECONDS:
                self.catch_up()
                for refresh in self._refreshers:
                    refresh()
                self._rendered = (now, generate_latest(self.registry))
            return self._rendered[1]

    def value(self, name: str, **labels: str) -> float:
        """Read one sample by its name in the exposition, such as `unified_coins_filtered_total`.

        Raises:
            KeyError: There is no such sample.
        """
        value = self.registry.get_sample_value(name, labels)
        if value is None:
            raise KeyError(f"no sample {name} with the labels {labels}")
        return value
