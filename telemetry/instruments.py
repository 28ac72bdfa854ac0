"""How metrics are made: in one registry, with fixed sets of label values."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from telemetry.labels import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping

FAST_SECONDS: Final = (
    0.00001, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
)  # fmt: skip
SLOW_SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
)
ROWS: Final = (1, 5, 10, 50, 100, 500, 1000, 2000, 5000, 10_000, 50_000)

M = TypeVar("M", bound=MetricWrapperBase)


class Labelled(Generic[M]):
    """A metric with fixed sets of label values; every combination is there from the start."""

    def __init__(self, metric: M, values: Mapping[str, tuple[str, ...]]) -> None:
        self._metric = metric
        self._values = values
        self._children = {key: metric.labels(*key) for key in itertools.product(*values.values())}

    def labels(self, **labels: str) -> M:
        """Give the series of these label values; values outside the sets share the series `other`.

        Raises:
            KeyError: A label is missing.
        """
        key = tuple(labels[name] for name in self._values)
        child = self._children.get(key)
        return self._of_unknown(key) if child is None else child

    def read(self) -> dict[tuple[str, ...], float]:
        """Give what every series of a counter or gauge is at, by its label values."""
        return _read(self._metric)

    def _of_unknown(self, key: tuple[str, ...]) -> M:
        pairs = zip(key, self._values.values(), strict=True)
        return self._metric.labels(*(value if value in known else OTHER for value, known in pairs))


def read(counter: Counter) -> float:
    """Give what a counter without labels is at."""
    return sum(_read(counter).values())


def _read(metric: MetricWrapperBase) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in metric.collect()
        for sample in family.samples
    }


class Definition(NamedTuple):
    """What a metric is, for whoever draws it."""

    name: str
    """As it was defined: a counter's without `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    """HELP."""
    labels: tuple[str, ...]


class Instruments:
    """Makes metrics in a registry of its own, and keeps what each of them is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.definitions: dict[str, Definition] = {}
        """By attribute: the name without its prefix."""

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        self._define(name, "counter", text, labels)
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        self._define(name, "gauge", text, ())
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        self._define(name, "histogram", text, ())
        return Histogram(name, text, registry=self.registry, buckets=buckets)

    def _counters(self, name: str, text: str, **values: tuple[str, ...]) -> Labelled[Counter]:
        return Labelled(self._counter(name, text, tuple(values)), values)

    def _gauges(self, name: str, text: str, **values: tuple[str, ...]) -> Labelled[Gauge]:
        self._define(name, "gauge", text, tuple(values))
        return Labelled(Gauge(name, text, list(values), registry=self.registry), values)

    def _histograms(
        self, name: str, text: str, buckets: tuple[float, ...], **values: tuple[str, ...]
    ) -> Labelled[Histogram]:
        self._define(name, "histogram", text, tuple(values))
        metric = Histogram(name, text, list(values), registry=self.registry, buckets=buckets)
        return Labelled(metric, values)

    def _define(
        self,
        name: str,
        kind: Literal["counter", "gauge", "histogram"],
        text: str,
        labels: tuple[str, ...],
    ) -> None:
        self.definitions[name.partition("_")[2]] = Definition(name, kind, text, labels)
