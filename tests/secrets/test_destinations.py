"""A real service: who may change settings cannot have its secrets sent to himself."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.support.service import PLANTED, Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

KEY = "planted-key-of-the-feed"
MARKET = ["simulate", "--seed", "5", "--trades-per-second", "50", "--coins", "20"]


class Listener:
    """Takes every connection to a port of its own and keeps what arrives; answers nothing."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.heard = b""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._is_over.is_set():
            try:
                peer, _ = self._socket.accept()
            except TimeoutError:
                continue
            with peer:
                peer.settimeout(1.0)
                self.heard += peer.recv(65_536)


def test_header_and_key_do_not_follow_a_changed_address(dsn: str, tmp_path: Path) -> None:
    with (
        start_simulator(MARKET) as market,
        Listener() as listener,
        Service(
            tmp_path,
            WS_URI=market.uri,
            PUMPPORTAL_API_KEY=KEY,
            DB_DSN=dsn,
            BATCH_SIZE=1,
            **FROM_CREATE,
            **NO_FILTER,
        ) as service,
    ):
        service.wait_ready()
        webhook = {"n8n_webhook_url": f"http://127.0.0.1:{listener.port}/x"}
        feed = {"ws_uri": f"ws://127.0.0.1:{listener.port}/x"}
        for changes in (webhook, feed, webhook | {"n8n_auth_header": None}):
            refused = service.ask("PUT", "/config", changes)
            assert refused.status_code == 400
            assert "give it again with this change" in refused.text
        assert listener.heard == b""

        without = service.ask("PUT", "/config", webhook | {"n8n_auth_header": ""})
        assert without.status_code == 200
        wait_until(lambda: listener.heard, what="a coin")
        assert b"POST /x" in listener.heard
        assert PLANTED.encode() not in listener.heard
        assert KEY.encode() not in listener.heard


def test_settings_are_changed_under_the_built_in_market(dsn: str, tmp_path: Path) -> None:
    with Service(tmp_path, FEED="simulator", DB_DSN=dsn) as service:
        service.wait_ready()

        changed = service.ask("PUT", "/config", {"batch_size": 20})
        moved = service.ask("PUT", "/config", {"ws_uri": "ws://127.0.0.1:7/"})

        assert changed.status_code == 200, changed.text
        assert moved.status_code == 400
        assert "PUMPPORTAL_API_KEY was given for" in moved.text
