"""The n8n-writer on real threads, with a real spool and a real receiver."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from actors.domain import Mint
from actors.n8n_writer.actor import N8nWriterActor
from actors.n8n_writer.client import HttpTransport
from actors.n8n_writer.state import N8nState
from actors.n8n_writer.store import SpooledBatches
from actors.protocol.discovery import CoinsDelivered
from actors.protocol.n8n_writer import CoinDiscovered, N8nStatus
from actors.runtime import ArrivalClock, ChildSpec, System
from actors.runtime.simulation import Probe
from actors.spool.store import Spool
from settings import Secret, Settings
from telemetry import Telemetry
from tests.discovery.builders import coin
from tests.n8n_writer.receiver import LIMIT_S, Receiver, drip_headers, hang
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from actors.runtime import Context


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@contextmanager
def running(url: str, folder: Path, **changes: Any) -> Iterator[tuple[System, list[Any]]]:
    """A system with an n8n-writer and a probe for discovery; gives the probe's messages."""
    settings = Settings(n8n_webhook_url=Secret(url), batch_size=2, **changes)
    clock = ArrivalClock()
    system = System(settings=settings, telemetry=Telemetry(), clock=clock, threads=1)
    state, messages = N8nState(), list[Any]()

    def make(context: Context) -> N8nWriterActor:
        spool = Spool(folder / "spool.db", 10_000_000)
        store = SpooledBatches(spool, context.name, clock.now_us)
        return N8nWriterActor(context, state, store, HttpTransport(), jitter=lambda: 1.0)

    system.open()
    probe = ChildSpec("discovery", "discovery", Probe, lambda c: Probe(c, messages, None))
    system.start_child(probe)
    system.start_child(ChildSpec("n8n-writer", "n8n-writer", N8nWriterActor, make))
    try:
        yield system, messages
    finally:
        assert system.close(LIMIT_S) == []


def discover(system: System, *mints: str) -> None:
    for mint in mints:
        assert system.tell("n8n-writer", CoinDiscovered(coin(mint)))


def state_of(system: System) -> str:
    status = system.status_of("n8n-writer")
    return status.state if isinstance(status, N8nStatus) else "none"


def waiting_in(system: System) -> int:
    status = system.status_of("n8n-writer")
    return status.waiting if isinstance(status, N8nStatus) else 0


def test_coins_arrive_and_discovery_hears_of_it(tmp_path: Path) -> None:
    with Receiver() as receiver, running(receiver.url, tmp_path) as (system, told):
        discover(system, "A", "B", "C", "D")
        first, second = receiver.next(), receiver.next()
        wait_until(lambda: len(told) == 2)

    assert [row["mint"] for row in first.body["data"]] == ["A", "B"]
    assert [row["mint"] for row in second.body["data"]] == ["C", "D"]
    assert told == [
        CoinsDelivered((Mint("A"), Mint("B"))),
        CoinsDelivered((Mint("C"), Mint("D"))),
    ]


@pytest.mark.parametrize("behaviour", [500, 404, hang, drip_headers])
def test_batch_comes_again_under_its_id(
    tmp_path: Path, behaviour: Callable[[Any], None] | int
) -> None:
    with (
        Receiver(behaviour) as receiver,
        running(receiver.url, tmp_path, n8n_timeout=0.3) as (system, told),
    ):
        discover(system, "A", "B")
        first, second = receiver.next(), receiver.next()
        wait_until(lambda: len(told) == 1)

    assert first.body == second.body
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_batch_keeps_its_id_over_a_restart(tmp_path: Path) -> None:
    with Receiver(500) as receiver:
        with running(receiver.url, tmp_path) as (system, _):
            discover(system, "A", "B")
            first = receiver.next()
        with running(receiver.url, tmp_path) as (_, told):
            second = receiver.next()
            wait_until(lambda: len(told) == 1)

    assert first.body == second.body


def test_coins_of_a_stopped_writer_are_delivered_by_the_next(tmp_path: Path) -> None:
    with Receiver() as receiver:
        with running(receiver.url, tmp_path) as (system, _):
            discover(system, "A")
            wait_until(lambda: waiting_in(system) == 1)
        assert receiver.requests.empty()
        with running(receiver.url, tmp_path) as (_, told):
            assert [row["mint"] for row in receiver.next().body["data"]] == ["A"]
            wait_until(lambda: len(told) == 1)


def test_large_batch_arrives_in_halves(tmp_path: Path) -> None:
    with Receiver(413) as receiver, running(receiver.url, tmp_path) as (system, told):
        discover(system, "A", "B")
        whole, first, second = (receiver.next().body for _ in range(3))
        wait_until(lambda: len(told) == 2)

    assert whole["count"] == 2
    assert [row["mint"] for row in first["data"] + second["data"]] == ["A", "B"]
    assert first["batch_id"] == f"{whole['batch_id']}.1"


def test_refused_credentials_stop_the_writer(tmp_path: Path) -> None:
    with Receiver(401) as receiver, running(receiver.url, tmp_path) as (system, _):
        discover(system, "A", "B")
        wait_until(lambda: state_of(system) == "stopped")


def test_refused_connection_is_retried(tmp_path: Path) -> None:
    with Receiver() as receiver:
        port = receiver.port
    with running(f"http://127.0.0.1:{port}/webhook", tmp_path) as (system, _):
        discover(system, "A", "B")
        wait_until(lambda: state_of(system) == "retrying")
        assert waiting_in(system) == 2


def test_batch_arrives_by_get(tmp_path: Path) -> None:
    with (
        Receiver() as receiver,
        running(receiver.url, tmp_path, n8n_webhook_method="GET") as (system, told),
    ):
        discover(system, "A", "B")
        received = receiver.next()
        wait_until(lambda: len(told) == 1)

    assert received.method == "GET"
    assert [row["mint"] for row in received.body["data"]] == ["A", "B"]


def test_hanging_request_does_not_delay_the_stop(tmp_path: Path) -> None:
    with Receiver(hang) as receiver:
        with running(receiver.url, tmp_path) as (system, _):
            discover(system, "A", "B")
            receiver.next()
            started = time.monotonic()
        assert time.monotonic() - started < 5


def test_secrets_of_the_address_reach_no_log_and_no_status(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Receiver(401) as receiver:
        url = receiver.url.replace("//", "//user:password-secret@") + "?token=query-secret"
        with running(url, tmp_path, n8n_auth_header=Secret("X-T: header-secret")) as (system, _):
            discover(system, "A", "B")
            wait_until(lambda: state_of(system) == "stopped")
            shown = repr(system.status_of("n8n-writer")) + repr(system.dead_letters.all())

    out, err = capfd.readouterr()
    assert "secret" not in shown + out + err
