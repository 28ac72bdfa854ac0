"""An operator who steers the running service over its API, and believes nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.rows import streams
from tests.faults.world import eventually

if TYPE_CHECKING:
    from tests.faults.world import World

_RESUME_S = 120.0
"""What is parked of 100 coins is read from the journal coin by coin, while more arrives."""


class Operator:
    """Does one thing after the other; each has to be answered with what was asked for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def writers(self, instances: int) -> None:
        """Spread the coins over so many writers."""
        found = self._ask("PATCH", "/actors/postgres-writer", {"instances": instances})
        assert instances in found["after"].values()
        names = {f"postgres-writer:{index}" for index in range(instances)}
        eventually(lambda: self._names("postgres-writer") == names, what=f"{instances} writers")

    def threads(self, threads: int) -> None:
        """Have so many threads share the trackers."""
        found = self._ask("PATCH", "/actors/dispatcher", {"threads": threads})
        assert threads in found["after"].values()
        eventually(
            lambda: self._metrics()["mintwatch_dispatcher_threads"] == threads, what="the threads"
        )

    def pause(self, trackers: int) -> list[str]:
        """Pause trackers, see that their trades are parked, and say whose they are."""
        mints = sorted(self._running())[:trackers]
        assert len(mints) == trackers
        for mint in mints:
            self._ask("POST", f"/trackers/{mint}/pause")
        eventually(lambda: self._world.places()["parked"], what="parked trades")
        return mints

    def resume(self, mints: list[str]) -> None:
        """Let trackers go on, and see that nothing stays parked."""
        for mint in mints:
            self._ask("POST", f"/trackers/{mint}/resume")
        eventually(lambda: not self._world.places()["parked"], _RESUME_S, "the end of the parking")

    def window(self, seconds: int) -> None:
        """Change how often the youngest coins are written."""
        found = self._ask("PUT", "/database/phases/1", {"interval_seconds": seconds})
        assert found["phase"]["interval_seconds"] == seconds

    def refuse_names(self, pattern: str) -> None:
        """Change which names are bad."""
        self._ask("PUT", "/config", {"bad_names_pattern": pattern})
        assert self._ask("GET", "/config")["bad_names_pattern"] == pattern

    def refused(self) -> float:
        """Count the coins that were refused for their name."""
        return self._metrics()['unified_coins_filtered_total{reason="bad_name"}']

    def _running(self) -> set[str]:
        tracked = (mint for mint, stream in streams(self._world.dsn).items() if stream.is_active)
        alive = self._names("tracker")
        return {mint for mint in tracked if f"tracker:{mint}" in alive}

    def _names(self, kind: str) -> set[str]:
        return {actor["name"] for actor in self._ask("GET", f"/actors?kind={kind}")["actors"]}

    def _metrics(self) -> dict[str, float]:
        return self._world.service.metrics()

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        response = self._world.service.ask(method, path, body)
        assert response.ok, f"{method} {path}: {response.status_code} {response.text}"
        found: dict[str, Any] = response.json()
        return found
