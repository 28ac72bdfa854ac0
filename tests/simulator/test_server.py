"""The server as a process of its own, met by an independent client."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from simulator.process import Running, start_simulator
from simulator.replay import read_recording

RECORDINGS = Path(__file__).parent.parent / "recordings"
MARKET = RECORDINGS / "market.jsonl.gz"
SESSION = RECORDINGS / "session.jsonl.gz"
LIMIT_S = 20.0
KEYS_ACKNOWLEDGED = {"message": "Successfully subscribed to keys."}


@contextmanager
def client(server: Running, key: str | None = "abc") -> Iterator[ClientConnection]:
    uri = f"{server.uri}?api-key={key}" if key else server.uri
    with connect(uri, compression=None, ping_interval=None, max_queue=None) as socket:
        yield socket


def subscribe(socket: ClientConnection, method: str, *keys: str) -> None:
    socket.send(json.dumps({"method": method, "keys": list(keys)} if keys else {"method": method}))


def receive(socket: ClientConnection) -> dict[str, Any]:
    message = json.loads(socket.recv(LIMIT_S))
    assert isinstance(message, dict)
    return message


def receive_until(
    socket: ClientConnection, found: Callable[[dict[str, Any]], bool]
) -> list[dict[str, Any]]:
    seen = [receive(socket)]
    while not found(seen[-1]):
        seen.append(receive(socket))
    return seen


def until_closed(socket: ClientConnection) -> list[bytes]:
    received = []
    with suppress(ConnectionClosed):
        while True:
            received.append(socket.recv(LIMIT_S, decode=False))
    return received


def eventually(server: Running, ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    waiting = threading.Event()
    deadline = time.monotonic() + LIMIT_S
    while not ready(stats := server.stats()):
        assert time.monotonic() < deadline, stats
        waiting.wait(0.02)
    return stats


def market_mints() -> list[str]:
    return sorted({json.loads(r.frame)["mint"] for r in read_recording(MARKET)})


def receive_creates(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    creates: list[dict[str, Any]] = []
    while len(creates) < count:
        message = receive(socket)
        if message.get("txType") == "create":
            creates.append(message)
    return creates


def test_creates_come_after_their_subscription_and_trades_only_for_keys() -> None:
    args = ["simulate", "--coins", "20", "--trades-per-second", "300"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        first = receive(socket)
        mints = [m["mint"] for m in receive_creates(socket, 20)]
        subscribe(socket, "subscribeTokenTrade", mints[3])
        acknowledged = receive(socket)
        trades = [receive(socket) for _ in range(30)]

        assert first == {"message": "Successfully subscribed to token creation events."}
        assert acknowledged == KEYS_ACKNOWLEDGED
        assert {m["mint"] for m in trades} == {mints[3]}
        stats = server.stats()
        assert stats["billed"] >= 30  # type: ignore[operator]  # an integer
        assert stats["subscribed_keys"] == 1


def test_without_a_key_trades_are_refused_and_creates_flow() -> None:
    with (
        start_simulator(["simulate", "--coins", "2", "--trades-per-second", "50"]) as server,
        client(server, key=None) as socket,
    ):
        subscribe(socket, "subscribeTokenTrade", "m")
        refusal = receive(socket)
        subscribe(socket, "subscribeNewToken")
        creates = receive_creates(socket, 2)

        assert "only available when connecting with an API key" in refusal["message"]
        assert len(creates) == 2
        assert server.stats()["billed"] == 0


def test_unknown_key_is_told_in_the_first_frame() -> None:
    with start_simulator(["simulate", "--hold"]) as server, client(server, "unknown") as socket:
        assert receive(socket) == {"errors": "Invalid API key. PumpSwap data will not be streamed."}


def test_other_paths_are_not_found() -> None:
    with start_simulator(["simulate", "--hold"]) as server:
        with pytest.raises(InvalidStatus) as caught:
            connect(server.uri.replace("/api/data", "/elsewhere"))
        assert caught.value.response.status_code == 404


def test_a_second_connection_is_refused_with_403_until_the_first_is_gone() -> None:
    with start_simulator(["simulate", "--hold"]) as server:
        with client(server):
            with pytest.raises(InvalidStatus) as caught:
                connect(server.uri)
            assert caught.value.response.status_code == 403
        eventually(server, lambda stats: not stats["connected"])
        with client(server):
            stats = eventually(server, lambda stats: stats["connections"] == 2)
        assert stats["refused"] == 1


def test_a_ban_refuses_connections_until_it_is_lifted() -> None:
    with start_simulator(["simulate", "--hold"]) as server:
        server.fault("ban", seconds=600)
        with pytest.raises(InvalidStatus) as caught:
            connect(server.uri)
        server.fault("resume")

        assert caught.value.response.status_code == 403
        with client(server):
            assert eventually(server, lambda stats: stats["connected"])["refused"] == 1


def test_the_wallet_can_run_dry_and_be_filled_again() -> None:
    args = ["simulate", "--coins", "3", "--trades-per-second", "200"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        mints = [m["mint"] for m in receive_creates(socket, 3)]
        subscribe(socket, "subscribeTokenTrade", *mints)
        receive_until(socket, lambda m: "tokenAmount" in m)
        server.fault("unfund")
        told = receive_until(socket, lambda m: "errors" in m)[-1]
        billed = server.stats()["billed"]
        subscribe(socket, "subscribeTokenTrade", *mints)
        answer = receive(socket)
        server.fault("fund")
        trade = receive(socket)

        assert told == {"errors": "Minimum balance not met for PumpSwap websocket data."}
        assert answer == told
        assert isinstance(billed, int)
        assert billed > 0
        assert trade["txType"] in ("buy", "sell")


def test_silence_and_zombies_deliver_nothing_until_resumed() -> None:
    args = ["simulate", "--coins", "2", "--trades-per-second", "200"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        mints = [m["mint"] for m in receive_creates(socket, 2)]
        subscribe(socket, "subscribeTokenTrade", *mints)
        receive_until(socket, lambda m: "tokenAmount" in m)

        server.fault("silence", what="keys", keys=[mints[0]])
        server.fault("send", text='{"message":"marker"}')
        receive_until(socket, lambda m: m == {"message": "marker"})
        only_second = {receive(socket)["mint"] for _ in range(30)}
        billed = server.fault("silence", what="trades")["billed"]
        still = server.stats()["billed"]
        server.fault("resume")
        receive_until(socket, lambda m: m.get("mint") == mints[0])

        assert only_second == {mints[1]}
        assert billed == still


@pytest.mark.parametrize("fields", [{}, {"mid_frame": True}, {"reset": True}])
def test_a_drop_has_no_close_frame(fields: dict[str, Any]) -> None:
    with start_simulator(["simulate", "--hold"]) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        receive(socket)

        server.fault("drop", **fields)

        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(LIMIT_S)
        assert caught.value.rcvd is None
        assert not server.stats()["connected"]


def test_a_drop_loses_nothing_that_is_in_the_sent_log(tmp_path: Path) -> None:
    log = tmp_path / "sent.jsonl"
    args = ["simulate", "--coins", "50", "--trades-per-second", "5000", "--sent-log", str(log)]
    received: list[bytes] = []
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        while len(received) < 51:
            received.append(socket.recv(LIMIT_S, decode=False))
        mints = [json.loads(data)["mint"] for data in received[1:]]
        subscribe(socket, "subscribeTokenTrade", *mints)
        while len(received) < 3000:
            received.append(socket.recv(LIMIT_S, decode=False))
        server.fault("drop", mid_frame=True)
        received += until_closed(socket)

    data = [text for text in received if b'"txType"' in text]
    assert [r.frame for r in read_recording(log)] == data


def test_pings_are_answered_or_not() -> None:
    with start_simulator(["simulate", "--hold"]) as server, client(server) as socket:
        answered = socket.ping().wait(LIMIT_S)
        server.fault("pings", answer=False)
        unanswered = socket.ping()
        subscribe(socket, "subscribeNewToken")
        receive(socket)

        assert answered
        assert not unanswered.is_set()


def test_a_slow_reader_is_dropped_when_its_buffer_is_full(tmp_path: Path) -> None:
    args = [
        "simulate", "--coins", "20", "--trades-per-second", "20000", "--max-buffer-mib", "1",
    ]  # fmt: skip
    with start_simulator(args) as server:
        uri = f"{server.uri}?api-key=abc"
        with connect(uri, compression=None, max_queue=1, close_timeout=1) as socket:
            subscribe(socket, "subscribeNewToken")
            mints = [m["mint"] for m in receive_creates(socket, 20)]
            subscribe(socket, "subscribeTokenTrade", *mints)
            stats = eventually(server, lambda stats: not stats["connected"])
        assert stats["connections"] == 1
        assert stats["billed"] > 1000


def test_replay_is_byte_for_byte_and_without_the_recorded_control_frames() -> None:
    expected = [r.frame for r in read_recording(SESSION) if b'"txType"' in r.frame]
    args = ["replay", str(SESSION), "--speed", "0", "--end", "close"]
    with start_simulator(args) as server, client(server, key=None) as socket:
        subscribe(socket, "subscribeNewToken")
        subscribe(socket, "subscribeMigration")
        received = until_closed(socket)

    assert received[:2] == [
        b'{"message":"Successfully subscribed to token creation events."}',
        b'{"message":"Subscribed to \'migration\' events."}',
    ]
    assert received[2:] == expected
    assert len(expected) == 218


def test_player_waits_for_the_keys_and_sends_only_theirs() -> None:
    mints = market_mints()
    wanted = set(mints[::2])
    expected = [r.frame for r in read_recording(MARKET) if json.loads(r.frame)["mint"] in wanted]
    args = ["replay", str(MARKET), "--speed", "0", "--wait-keys", str(len(wanted))]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeTokenTrade", *sorted(wanted)[1:])
        receive(socket)
        before = server.stats()
        subscribe(socket, "subscribeTokenTrade", *wanted)
        receive(socket)
        received = [socket.recv(LIMIT_S, decode=False) for _ in expected]
        stats = eventually(server, lambda stats: stats["state"] == "ended")

    assert before["state"] == "waiting"
    assert received == expected
    assert 0 < len(expected) < 1147
    assert stats["billed"] == len(expected)
    assert stats["connected"]


def test_player_sends_everything_when_told_to() -> None:
    args = ["replay", str(MARKET), "--speed", "0", "--all-trades", "--end", "close"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        receive(socket)
        received = until_closed(socket)

    assert len(received) == 1147


def test_replay_keeps_the_recorded_pace() -> None:
    args = ["replay", str(MARKET), "--speed", "80", "--all-trades"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        receive(socket)
        receive(socket)
        started = time.monotonic()
        for _ in range(1146):
            receive(socket)
        took_s = time.monotonic() - started

    assert 0.7 < took_s < 3


def test_last_frames_are_delivered_again_after_a_reconnect() -> None:
    mints = market_mints()
    args = ["replay", str(MARKET), "--speed", "0", "--wait-keys", str(len(mints))]
    with start_simulator([*args, "--fault", "redeliver=25"]) as server:
        with client(server) as socket:
            subscribe(socket, "subscribeTokenTrade", *mints)
            first = [socket.recv(LIMIT_S, decode=False) for _ in range(1148)]
        with client(server) as socket:
            subscribe(socket, "subscribeTokenTrade", *mints)
            again = [socket.recv(LIMIT_S, decode=False) for _ in range(26)]

    assert again[1:] == first[-25:]


def test_faults_can_be_changed_while_it_runs() -> None:
    args = ["simulate", "--coins", "5", "--trades-per-second", "500"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        mints = [m["mint"] for m in receive_creates(socket, 5)]
        subscribe(socket, "subscribeTokenTrade", *mints)
        server.fault("faults", settings={"not_json": 0.2, "arrays": 0.2})
        texts = [socket.recv(LIMIT_S, decode=False) for _ in range(500)]
        stats = server.fault("faults", settings={})

        assert b'[{"txType":"buy"},1,null]' in texts
        assert b"<html>502</html>" in texts
        assert "broken" in stats["frames_sent_by_kind"]  # type: ignore[operator]  # a dict


def test_a_wrong_command_is_refused_with_the_right_ones() -> None:
    with start_simulator(["simulate", "--hold"]) as server:
        with pytest.raises(ValueError, match=r"there is no command 'explode'.*silence"):
            server.fault("explode")
        with pytest.raises(ValueError, match="there is no fault 'nonsense'"):
            server.fault("faults", settings={"nonsense": 1})


def test_a_held_source_starts_on_command() -> None:
    args = ["simulate", "--coins", "3", "--hold"]
    with start_simulator(args) as server, client(server) as socket:
        subscribe(socket, "subscribeNewToken")
        receive(socket)
        held = server.stats()
        server.fault("start")

        assert held["state"] == "held"
        assert held["frames_sent_by_kind"] == {}
        assert len(receive_creates(socket, 3)) == 3
