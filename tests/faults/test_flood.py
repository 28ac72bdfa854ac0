"""Clients that want the API for themselves, all at once: probes answer, trades stay exact."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from tests.faults.world import World, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.service import Service

FLOOD_S = 8.0
PROBE_S = 4.0
"""A probe is answered within a second; the rest is for a machine that does other things as well."""
MORE_BYTES = 100 << 20
UNREAD = b"GET /metrics HTTP/1.1\r\n\r\n" * 327
HALF_HEAD = b"GET /actors HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HALF_BODY = (
    b"PUT /config HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 60000\r\n\r\n{"batch_size":'
)
FLOOD = ((60, UNREAD), (60, HALF_HEAD), (60, HALF_BODY), (500, b""))
"""How many connections hold what they have sent, and read nothing."""


def connections(service: Service) -> Iterator[socket.socket]:
    """Open one connection after the other; some are refused or ended meanwhile."""
    for count, sent in FLOOD:
        for _ in range(count):
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            plain.settimeout(0.2)
            with suppress(OSError):
                plain.connect(("127.0.0.1", service.port))
                plain.send(sent)
            yield plain


def resident_bytes(service: Service) -> int:
    fields = Path(f"/proc/{service.process.pid}/statm").read_text().split()
    return int(fields[1]) * 4_096


def livez(service: Service) -> int:
    answer = requests.get(f"http://127.0.0.1:{service.port}/livez", timeout=PROBE_S)
    return answer.status_code


def test_flood_of_clients_that_do_not_read_costs_no_probe_and_no_trade(
    dsn: str, tmp_path: Path
) -> None:
    with World(tmp_path, dsn) as world, ExitStack() as held:
        service = world.start()
        world.receive(100)
        mint = eventually(lambda: tracked(service), what="a tracker")
        before = resident_bytes(service)
        taps = f"http://127.0.0.1:{service.port}/trackers/{mint}/tap"
        for _ in range(8):
            held.enter_context(requests.get(taps, stream=True, timeout=PROBE_S))

        until, probes = time.monotonic() + FLOOD_S, list[int]()
        for number, plain in enumerate(connections(service)):
            held.enter_context(closing(plain))
            if number % 40 == 0:
                probes.append(livez(service))
        while time.monotonic() < until:
            probes.append(livez(service))
        assert set(probes) == {200}
        assert resident_bytes(service) - before < MORE_BYTES
        world.receive(100)
        held.close()

        world.finish()
        world.check()


def tracked(service: Service) -> str | None:
    trackers = service.json("/actors?kind=tracker")["actors"]
    return trackers[0]["name"].partition(":")[2] if trackers else None
