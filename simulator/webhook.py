"""A webhook receiver that can misbehave on command.

Purpose: stand in for n8n: accept batches, show them, and fail as asked.
Guarantees: memory is bounded (the last batches; the newest 100,000 batch keys); a batch that was
answered with 2xx is counted and in the log, no other one is.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from typing import IO, TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import msgspec

from simulator.http_json import Answer, JsonServer

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.http_json import Request

_KEYS_REMEMBERED = 100_000
_MAX_HANG_S = 120.0
_MODES = "ok, status:CODE, hang, slow:SECONDS, refuse, redirect"


class Batch(msgspec.Struct, frozen=True):
    """One accepted batch: unix seconds, the idempotency key, how it came, what was in it."""

    received_at: float
    idempotency_key: str | None
    method: str
    path: str
    body: object


class _Order(msgspec.Struct):
    """What `POST /control` takes; `times` limits a mode to so many requests (0: no limit)."""

    mode: str
    times: int = 0


class WebhookReceiver:
    """Receives batches on any path but /received and /control. Thread-safe."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        keep: int = 1000,
        log: Path | None = None,
        auth: str | None = None,
    ) -> None:
        """Bind (port 0: any free one).

        Args:
            host: address to bind.
            port: port to bind.
            keep: batches kept in memory.
            log: file to append accepted batches to, one JSON object a line.
            auth: `Name: value` of a header that every batch must carry; else 401.

        Raises:
            OSError: when the port is taken.
        """
        self._lock = threading.Lock()
        self._batches: deque[Batch] = deque(maxlen=keep)
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._totals = {"count": 0, "coins": 0, "duplicates": 0, "attempts": 0, "unauthorized": 0}
        self._mode, self._times = "ok", 0
        self._released = threading.Event()
        self._auth = _header(auth) if auth else None
        self._log: IO[bytes] | None = log.open("ab") if log else None
        self._http = JsonServer(host, port, self._handle)

    @property
    def url(self) -> str:
        """The root of the receiver."""
        return self._http.url

    def start(self) -> None:
        """Begin to receive."""
        self._http.start()

    def stop(self) -> None:
        """Stop receiving and let hanging requests go."""
        self._released.set()
        self._http.stop()
        if self._log:
            self._log.close()

    def received(self, last: int = 100) -> dict[str, object]:
        """Return totals over all accepted batches, and the last of them."""
        with self._lock:
            kept = list(self._batches)
            batches = kept[-last:] if last > 0 else []
            return {**self._totals, "mode": self._mode, "batches": batches}

    def set_mode(self, mode: str, times: int = 0) -> None:
        """Behave differently from now on; requests that hang are let go.

        Raises:
            ValueError: for an unknown mode.
        """
        name, _, value = mode.partition(":")
        plain = name in {"ok", "hang", "refuse", "redirect"} and not value
        valued = (name == "status" and value.isdigit()) or (name == "slow" and _is_seconds(value))
        if not (plain or valued):
            raise ValueError(f"there is no mode {mode!r}; there are: {_MODES}")
        with self._lock:
            self._mode, self._times = mode, times
            released, self._released = self._released, threading.Event()
        released.set()

    def _handle(self, request: Request) -> Answer:
        route = (request.method, urlsplit(request.path).path)
        if route == ("GET", "/received"):
            wanted = parse_qs(urlsplit(request.path).query).get("last", ["100"])[0]
            return Answer(200, self.received(int(wanted) if wanted.isdigit() else 100))
        if route == ("POST", "/control"):
            return self._control(request.body)
        return self._receive(request)

    def _control(self, body: bytes) -> Answer:
        try:
            order = msgspec.json.decode(body, type=_Order)
            self.set_mode(order.mode, order.times)
        except ValueError as error:
            return Answer(400, {"error": str(error)})
        return Answer(200, {"mode": order.mode})

    def _receive(self, request: Request) -> Answer:
        mode, released = self._next_mode()
        name, _, value = mode.partition(":")
        if name == "status":
            return Answer(int(value), {"message": f"answered {value} as told"})
        if name == "refuse":
            return Answer(0, None)
        if name == "redirect":
            return Answer(302, {"message": "moved"}, {"Location": f"{self.url}/moved"})
        if name == "hang":
            released.wait(_MAX_HANG_S)
            return Answer(0, None)
        if name == "slow":
            released.wait(min(_MAX_HANG_S, float(value)))
        return self._accept(request)

    def _next_mode(self) -> tuple[str, threading.Event]:
        with self._lock:
            self._totals["attempts"] += 1
            mode = self._mode
            if self._times:
                self._times -= 1
                if not self._times:
                    self._mode = "ok"
            return mode, self._released

    def _accept(self, request: Request) -> Answer:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if self._auth and headers.get(self._auth[0]) != self._auth[1]:
            with self._lock:
                self._totals["unauthorized"] += 1
            return Answer(401, {"message": "Authorization data is wrong!"})
        try:
            body = msgspec.json.decode(_payload(request))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Answer(400, {"message": "the body is not JSON"})
        key = headers.get("idempotency-key")
        self._keep(Batch(time.time(), key, request.method, urlsplit(request.path).path, body))
        return Answer(200, {"message": "Workflow was started"})

    def _keep(self, batch: Batch) -> None:
        with self._lock:
            self._batches.append(batch)
            self._totals["count"] += 1
            if batch.idempotency_key in self._keys:
                self._totals["duplicates"] += 1
            else:
                self._totals["coins"] += _coins(batch.body)
            self._remember(batch.idempotency_key)
            if self._log:
                self._log.write(msgspec.json.encode(batch) + b"\n")
                self._log.flush()

    def _remember(self, key: str | None) -> None:
        if key is not None:
            self._keys[key] = None
            if len(self._keys) > _KEYS_REMEMBERED:
                self._keys.popitem(last=False)


def _payload(request: Request) -> bytes:
    if request.method != "GET":
        return request.body
    return parse_qs(urlsplit(request.path).query).get("data", [""])[0].encode()


def _coins(body: object) -> int:
    data = body.get("data") if isinstance(body, dict) else None
    return len(data) if isinstance(data, list) else 0


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("a header must be given as `Name: value`")
    return name.strip().lower(), value.strip()


def _is_seconds(text: str) -> bool:
    try:
        return 0 <= float(text) <= _MAX_HANG_S
    except ValueError:
        return False
