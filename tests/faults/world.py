"""One market, one database and one STATE_DIR that outlive any number of runs of the service.

The journal is read with the standard library alone. What it holds, and what the market says it has
sent, is what the rows are held against.
"""

from __future__ import annotations

import base64
import gzip
import json
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import requests

from simulator.process import start_simulator
from tests.e2e.recordings import NO_FILTER
from tests.e2e.rows import Row, check_health, check_spans, query, rows, stored_trades, streams
from tests.support import independent
from tests.support.independent import Line, Trade, by_mint, figures
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

BEFORE_KILL_US = 100_000
"""What is on its way from the market to the journal may be lost with the process."""
ACTIVATION_MIN_TRADES = 2
DRAIN_TIMEOUT_S = 15
TRADES_PER_SECOND = 400


class Away(NamedTuple):
    """A time in which what the market sent need not have arrived. Microseconds UTC."""

    from_us: int
    until_us: int


class World:
    """Use as a context manager.

    `market` are options of `simulate`, `window_seconds` is the interval of every phase, and the
    rest are settings.
    """

    def __init__(
        self,
        folder: Path,
        dsn: str,
        market: Iterable[str] = ("--coins", "25"),
        *,
        window_seconds: int = 1,
        **settings: object,
    ) -> None:
        query(
            dsn, "UPDATE ref_coin_phases SET interval_seconds = %s WHERE id < 99", (window_seconds,)
        )
        self.dsn = dsn
        self.state_dir = folder / "state"
        self.away: list[Away] = []
        self.stops = 0
        self._folder = folder
        self._sent_log = folder / "sent.jsonl"
        self._starts = 0
        self._stack = ExitStack()
        self._service: Service | None = None
        self.market = self._stack.enter_context(
            start_simulator(
                [
                    *("simulate", "--seed", "5", "--trades-per-second", str(TRADES_PER_SECOND)),
                    *("--sent-log", str(self._sent_log), *market),
                ]
            )
        )
        self._settings: dict[str, object] = {
            "WS_URI": self.market.uri,
            "PUMPPORTAL_API_KEY": "funded",
            "DB_DSN": dsn,
            "WS_RETRY_DELAY": "0.2",
            "WS_MAX_RETRY_DELAY": "1",
            "SUBSCRIBE_BATCH_INTERVAL": "0.2",
            "ACTIVATION": "trades",
            "ACTIVATION_MIN_TRADES": ACTIVATION_MIN_TRADES,
            "DRAIN_TIMEOUT": DRAIN_TIMEOUT_S,
            **NO_FILTER,
            **settings,
        }

    # The service.

    @property
    def service(self) -> Service:
        """The run that is under way, or the last one."""
        assert self._service is not None, "nothing was started"
        return self._service

    def start(self, **settings: object) -> Service:
        """Start the service, behind whatever the last run has left."""
        self._starts += 1
        # Entered on the stack, so that a failing test shows the log of each run.
        self._service = self._stack.enter_context(
            Service(
                self._folder / f"run-{self._starts}",
                **{"STATE_DIR": self.state_dir, **self._settings, **settings},
            )
        )
        return self._service

    def receive(self, trades: int, limit_s: float = 30.0) -> None:
        """Wait until the running service has received so many trades more."""
        goal = trades + int(eventually(self._ledger, limit_s, "the ledger")["received"])
        self.wait_received(goal, limit_s)

    def wait_received(self, goal: int, limit_s: float = 30.0) -> None:
        """Wait until the running service has received so many trades since its start."""

        def is_reached() -> bool:
            ledger = self._ledger()
            return ledger is not None and ledger["received"] >= goal

        eventually(is_reached, limit_s, f"{goal} trades")

    def places(self) -> Counter[str]:
        """Say where the trades of the running service are; empty until it answers."""
        ledger = self._ledger()
        return Counter(ledger["places"] if ledger else {})

    def _ledger(self) -> dict[str, Any] | None:
        with suppress(requests.RequestException):
            return self.service.ledger()
        assert self.service.process.poll() is None, "mintwatch has ended"
        return None

    def kill(self) -> None:
        """End the service with SIGKILL. Until data come again the market speaks to nobody."""
        self.service.kill9()
        self._note_end()

    def stop(self, limit_s: float = DRAIN_TIMEOUT_S + 5) -> None:
        """End the service in order."""
        assert self.service.stop(limit_s) == 0
        self.stops += 1
        self._note_end()

    def _note_end(self) -> None:
        ending_us = self.service.ending_us
        assert ending_us is not None
        self.away.append(Away(ending_us - BEFORE_KILL_US, _now_us()))

    def drop(self, *, mid_frame: bool) -> None:
        """Have the market drop the connection, and wait for the next one."""
        self._reconnect("drop", mid_frame=mid_frame)

    def silence(self) -> None:
        """Have the market say nothing on this connection, and wait for the next one."""
        self._reconnect("silence", what="all")

    def _reconnect(self, kind: str, **fields: object) -> None:
        connections = self.market.stats()["connections"]
        from_us = _now_us()
        self.market.fault(kind, **fields)
        eventually(lambda: self.market.stats()["connections"] != connections, what="a reconnect")
        self.away.append(Away(from_us, _now_us()))

    def interrupt(self) -> None:
        """Ask for an orderly end twice: the second signal ends the service at once."""
        self.service.signal()
        self.service.wait_log("draining")
        self.service.signal()
        assert self.service.wait(5) == 128 + signal.SIGTERM
        self.stops += 1
        self._note_end()

    def finish(self) -> None:
        """Let the market fall silent and the service take everything in; check it; end it."""
        self.market.fault("hold")
        self.rest()
        check_health(self.service)
        self.check_actors()
        self.stop()

    def check_actors(self) -> None:
        """Check that nobody is dead, in quarantine or on the way back."""
        states = Counter(
            (actor["kind"], actor["state"])
            for kind in ("", "?kind=tracker")
            for actor in self.service.json(f"/actors{kind}")["actors"]
        )
        assert {state for _, state in states} == {"running"}, f"not all run: {dict(states)}"

    def rest(self) -> None:
        """Wait until nothing more comes in and nothing queues; the market has to be held."""
        last: list[dict[str, Any]] = []

        def is_quiet() -> bool:
            if self.service.json("/health").get("recovering"):
                return False
            last.append(self.service.ledger())
            return len(last) > 1 and last[-1]["received"] == last[-2]["received"]

        eventually(is_quiet, 40, "quiet")

    # What is held against what.

    def journal(self) -> list[Line]:
        """Read the frames of the journal."""
        return read_journal(self.state_dir / "journal")

    def check_rows(self) -> list[Trade]:
        """Hold the rows against the journal: each trade of a tracked coin in exactly one."""
        lines = self.journal()
        tracked = streams(self.dsn)
        assert due(lines) <= tracked.keys(), "a coin that was due is not tracked"
        expected = [trade for trade in independent.trades(lines) if trade.mint in tracked]
        found = rows(self.dsn)
        assert len({(row.mint, row.end_us) for row in found}) == len(found)
        rows_of: dict[str, list[Row]] = {}
        for row in found:
            rows_of.setdefault(row.mint, []).append(row)
        creators = independent.creators(lines)
        trades_of = by_mint(expected)
        assert rows_of.keys() == trades_of.keys()
        for mint, mine in rows_of.items():
            check_spans(mine, self.stops)
            left = check_figures(mine, trades_of[mint], creators.get(mint))
            assert not left or (tracked[mint].is_graduated and left[0].at_us >= mine[-1].end_us), (
                f"{len(left)} of {len(trades_of[mint])} trades of {mint} are in no candle"
            )
        return expected

    def check_sent(self) -> None:
        """Hold the journal against what was sent: only what was on its way at an end is missing."""
        kept = Counter(_key(line.frame) for line in self.journal())
        sent_us: dict[tuple[str, ...], list[int]] = {}
        for line in independent.read(self._sent_log):
            sent_us.setdefault(_key(line.frame), []).append(line.at_us)
        for key, times_us in sent_us.items():
            # Of a frame that was sent again, either may be the one that is missing.
            excused = sum(self._was_away(at_us) for at_us in times_us)
            assert kept[key] + excused >= len(times_us), (
                f"{key}, sent at {times_us}, is {kept[key]} times in the journal; "
                f"nobody listened {self.away}"
            )

    def _was_away(self, at_us: int) -> bool:
        return any(gap.from_us <= at_us <= gap.until_us for gap in self._gaps())

    def _gaps(self) -> list[Away]:
        """Allow for what the market sends until it has seen the end of the connection."""
        return [Away(away.from_us, away.until_us + 200_000) for away in self.away]

    def check(self) -> list[Trade]:
        """Check everything, once the service has ended."""
        assert "Traceback" not in self.service.log
        expected = self.check_rows()
        self.check_sent()
        if "STORE_TRADES" in self._settings:
            self.check_stored(expected)
        return expected

    def check_stored(self, expected: list[Trade]) -> None:
        """Hold the stored trades against the journal and the candles."""
        times = {trade.identity: trade.at_us for trade in expected}
        stored = [(trade.identity, trade.at_us) for trade in stored_trades(self.dsn)]
        assert len({identity for identity, _ in stored}) == len(stored)
        assert dict(stored).items() <= times.items()
        in_rows = sum(row.figures.num_buys + row.figures.num_sells for row in rows(self.dsn))
        assert len(stored) == in_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


def eventually(condition: Callable[[], Any], limit_s: float = 20.0, what: str = "") -> Any:
    """Wait as `wait_until` does, but look less often: looking must not be the load."""
    pause = threading.Event()

    def look() -> Any:
        return condition() or pause.wait(0.05)

    return wait_until(look, limit_s, what)


def read_journal(folder: Path) -> list[Line]:
    """Read the frames of a journal, in the order they arrived; facts are left out."""
    lines: list[Line] = []
    for path in sorted(folder.glob("journal-*.jsonl*")):
        if path.name.endswith((".torn", ".tmp")):
            continue
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        lines += [line for text in data.splitlines() if (line := _line(text)) is not None]
    return lines


def _line(text: bytes) -> Line | None:
    try:
        record = json.loads(text, parse_float=Decimal)
    except ValueError:
        return None  # half a line, where the disk was full
    if "fact" in record:
        return None
    at_us = int(record["received_at"] * 1_000_000)
    if "raw" in record:
        with suppress(ValueError):
            frame = json.loads(base64.b64decode(record["raw"]), parse_float=Decimal)
            return Line(at_us, frame) if isinstance(frame, dict) else None
        return None
    frame = record["message"]
    return Line(at_us, frame) if isinstance(frame, dict) else None


def due(lines: list[Line]) -> set[str]:
    """Find the coins that had enough trades to be tracked, before they left the curve if so."""
    left_us: dict[str, int] = {}
    for line in lines:
        if line.frame.get("txType") == "migrate":
            left_us.setdefault(line.frame["mint"], line.at_us)
    created = independent.creates(lines)
    counts = Counter(
        trade.mint
        for trade in independent.trades(lines)
        if trade.at_us < left_us.get(trade.mint, trade.at_us + 1)
    )
    return {mint for mint in created if counts[mint] >= ACTIVATION_MIN_TRADES}


def check_figures(mine: list[Row], trades: list[Trade], creator: str | None) -> list[Trade]:
    """Compare each candle of a mint with the trades of its span; give the trades of no span."""
    left: list[Trade] = []
    place = 0
    for row in mine:
        while place < len(trades) and trades[place].at_us < row.start_us:
            left.append(trades[place])
            place += 1
        inside = []
        while place < len(trades) and trades[place].at_us < row.end_us:
            inside.append(trades[place])
            place += 1
        wanted = figures(inside, creator)
        assert row.figures == wanted, (
            f"{row.mint} at {row.end_us}: {row.figures} instead of {wanted}, of {inside}"
        )
    return left + trades[place:]


def _key(frame: dict[str, Any]) -> tuple[str, ...]:
    names = ("txType", "signature", "mint", "traderPublicKey", "tokenAmount", "name")
    return tuple(str(frame.get(name)) for name in names)


def _now_us() -> int:
    return time.time_ns() // 1000
