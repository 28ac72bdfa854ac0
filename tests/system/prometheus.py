"""A real Prometheus server on a free port, with the shipped configuration."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any, Self

import requests

from tests.support.waiting import wait_until
from tests.system import needs

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_HTTP_LIMIT_S = 10.0
_STOP_LIMIT_S = 10.0
_ADDRESS = re.compile(r'msg="Listening on" address=127\.0\.0\.1:(\d+)')
_TARGET = '"127.0.0.1:8000"'
_INTERVAL = "interval: 15s"


def promtool(*arguments: str | Path, text: str = "") -> tuple[int, str]:
    """Run promtool; return its exit code and all that it said."""
    done = subprocess.run(
        [needs.command("promtool", "prometheus"), *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """Scrapes one address every second. A context manager; it ends with the `with`.

    Args:
        shipped: The folder with the configuration, which is copied and not changed.
        folder: For the copy, the data and the log.
        port: Where the service is.
    """

    def __init__(self, shipped: Path, folder: Path, port: int) -> None:
        config = (shipped / "prometheus.yml").read_text()
        assert _TARGET in config
        assert config.count(_INTERVAL) == 2
        adapted = config.replace(_TARGET, f'"127.0.0.1:{port}"').replace(_INTERVAL, "interval: 1s")
        folder.mkdir()
        (folder / "prometheus.yml").write_text(adapted)
        (folder / "rules.yml").write_text((shipped / "rules.yml").read_text())
        self._folder = folder
        self._log = folder / "log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    needs.command("prometheus", "prometheus"),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )
        try:
            port: str = wait_until(self._port, what="the address of Prometheus")
            self._home = f"http://127.0.0.1:{port}"
            wait_until(lambda: self._get("/-/ready").ok, what="readiness of Prometheus")
        except BaseException as error:
            self._end()
            error.add_note(f"Prometheus' log:\n{self._log.read_text()[-4000:]}")
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def value(self, query: str) -> float | None:
        """Evaluate a query that gives at most one series; None: it gives none."""
        found = self.series(query)
        assert len(found) < 2, f"{query} gives {len(found)} series"
        return float(found[0]["value"][1]) if found else None

    def wait_value(self, query: str, limit_s: float = 20.0) -> float:
        """Wait until a query, which should have a condition, gives a figure."""
        return float(wait_until(lambda: self.series(query), limit_s, query)[0]["value"][1])

    def series(self, query: str) -> list[dict[str, Any]]:
        """Evaluate a query now."""
        found: list[dict[str, Any]] = self._data("/api/v1/query", query=query)["result"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        """List what is scraped, and how the last scrape went."""
        found: list[dict[str, Any]] = self._data("/api/v1/targets")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """List the rules of all groups, and how their last evaluation went."""
        return [rule for group in self._data("/api/v1/rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> set[str]:
        """Name the alerts whose condition is met, whether or not they wait for it to last."""
        return {alert["labels"]["alertname"] for alert in self._data("/api/v1/alerts")["alerts"]}

    def own_metrics(self) -> dict[str, float]:
        """Read Prometheus' figures about itself."""
        lines = self._get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def _data(self, path: str, **parameters: str) -> Any:
        answer = self._get(path, parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def _get(self, path: str, parameters: dict[str, str] | None = None) -> requests.Response:
        return requests.get(f"{self._home}{path}", params=parameters, timeout=_HTTP_LIMIT_S)

    def _port(self) -> str | None:
        assert self._process.poll() is None, "Prometheus has ended"
        found = _ADDRESS.search(self._log.read_text())
        return found[1] if found else None

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_LIMIT_S)
