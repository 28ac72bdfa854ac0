"""No secret leaves the service: through no answer, log line, metric, file or error."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import requests
from psycopg.conninfo import make_conninfo

from db.migrate import migrate
from settings.model import Settings
from simulator.process import start_simulator, start_webhook
from tests.secrets.planted import leaking_files, leaks
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.timeout(150)

DSN = "planted-dsn-p@ss/word"
NEW_DSN = "planted-new-dsn-p@ss"
API_KEY = "planted-api-key-4711"
NEW_API_KEY = "planted-new-api-key-0042"
FEED_TOKEN = "planted-feed-t0ken"
FEED_FRAGMENT = "planted-feed-fragment"
NEW_FEED_TOKEN = "planted-new-feed-t0ken"
TOKEN = "planted-token-0815"
HOOK_PASSWORD = "planted-hook-p@ss"
HOOK_TOKEN = "planted-hook-token"
HEADER = "planted-header-value"
NEW_HOOK_PASSWORD = "planted-new-hook-password"
NEW_HOOK_TOKEN = "planted-new-hook-token"
NEW_HEADER = "planted-new-header-value"
REFUSED = "planted-in-a-refused-change"
SECRETS = (
    DSN, NEW_DSN, API_KEY, TOKEN, HOOK_PASSWORD, HOOK_TOKEN, HEADER, NEW_HOOK_PASSWORD,
    NEW_HOOK_TOKEN, NEW_HEADER, REFUSED, NEW_API_KEY, FEED_TOKEN, FEED_FRAGMENT, NEW_FEED_TOKEN,
)  # fmt: skip
CLOSED = "http://planted-user:{password}@127.0.0.1:1/hook?token={token}"
"""Nobody listens there: what a library says of it holds the address."""
ENDLESS = re.compile(r"/tap$|/stream$")
FIRST_BYTES = 20_000
_LIMIT_S = 10.0
_PATIENCE_S = 1.0
"""With a stream that may have nothing to say."""


class Interfaces:
    """Everything that a service can be asked, and all that it has answered."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.asked: list[str] = []
        self.leaking: dict[str, list[str]] = {}

    def ask(
        self, method: str, path: str, body: object = None, token: str | None = TOKEN
    ) -> requests.Response:
        """Ask, and search status line, headers and body of the answer."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with requests.request(
            method,
            f"http://127.0.0.1:{self._service.port}{path}",
            json=body,
            headers=headers,
            stream=True,
            timeout=_PATIENCE_S if ENDLESS.search(path) else _LIMIT_S,
        ) as answer:
            content = _beginning(answer) if ENDLESS.search(path) else answer.content
        self.asked.append(f"{method} {path} {answer.status_code}")
        everything = f"{answer.reason} {answer.headers}".encode() + content
        if found := leaks(everything, SECRETS):
            self.leaking[self.asked[-1]] = found
        return answer

    def walk(self) -> None:
        """Ask every question there is, with the token, with a wrong one and without."""
        described = self.ask("GET", "/openapi.json").json()
        values = self._values()
        for template, operations in described["paths"].items():
            if "get" not in operations:
                continue
            path = re.sub(r"{(\w+)}", lambda found: values.get(found[1], "1"), template)
            for token in (TOKEN, "wrong", None):
                self.ask("GET", path, token=token)

    def trackers(self) -> list[str]:
        """Name the mints that are tracked."""
        actors = self.ask("GET", "/actors?kind=tracker").json()["actors"]
        return [actor["name"].partition(":")[2] for actor in actors]

    def _values(self) -> dict[str, str]:
        return {"mint": next(iter(self.trackers()), "1"), "name": "supervisor"}


def _beginning(answer: requests.Response) -> bytes:
    """Read what an endless answer begins with, if it does in time."""
    with suppress(requests.ConnectionError):
        return next(answer.iter_content(FIRST_BYTES), b"")
    return b""


def with_password(dsn: str, password: str) -> str:
    return make_conninfo(dsn, password=password)


@pytest.fixture
def database(own_postgres: PostgresServer) -> str:
    dsn = own_postgres.dsn("mintwatch")
    migrate(dsn)
    return with_password(dsn, DSN)


def change_settings(interfaces: Interfaces) -> None:
    """Change secrets for others, and have changes with secrets refused."""
    changed = interfaces.ask(
        "PUT",
        "/config",
        {
            "n8n_webhook_url": CLOSED.format(password=NEW_HOOK_PASSWORD, token=NEW_HOOK_TOKEN),
            "n8n_auth_header": f"X-Key: {NEW_HEADER}",
        },
    )
    assert changed.status_code == 200, changed.text
    refused: tuple[object, ...] = (
        {"api_token": REFUSED},
        {"db_dsn": [REFUSED]},
        {"db_dsn": {"password": REFUSED}},
        {"db_dsn": f"postgresql://u:{REFUSED}@h:port/d"},
        {"db_dsn": f"postgresql://u:a@{REFUSED}@h/d"},
        {"n8n_webhook_url": f"ftp://u:{REFUSED}@h/"},
        {"n8n_auth_header": REFUSED},
        {"n8n_auth_header": f"X: {REFUSED}\r\nY: 1"},
        {"pumpportal_api_key": f"{REFUSED} with a blank"},
        {"ws_uri": f"wss://h/?api-key={REFUSED}"},
        {"ws_uri": f"http://u:{REFUSED}@h/"},
    )
    for body in refused:
        answer = interfaces.ask("PUT", "/config", body)
        assert answer.status_code == 400, (body, answer.text)
    for name in Settings.model_fields:
        for value in ([REFUSED], {"password": REFUSED}):
            answer = interfaces.ask("PUT", "/config", {name: value})
            assert answer.status_code == 400, (name, answer.text)
    for name in ("password", "sslpassword", "scram_client_key", "oauth_client_secret"):
        nobody_there = {"db_dsn": f"postgresql://u@127.0.0.1:1/d?{name}={REFUSED}"}
        interfaces.ask("PUT", "/config?dry_run=true", nobody_there)
    nobody_there = {"db_dsn": f"postgresql://127.0.0.1:1/d?options=-c%20app.any%3D{REFUSED}"}
    interfaces.ask("PUT", "/config?dry_run=true", nobody_there)
    interfaces.ask("PUT", "/config?dry_run=true", {"ws_uri": f"wss://h/?token={REFUSED}"})


def cause_trouble(interfaces: Interfaces, service: Service, server: PostgresServer) -> None:
    """Have the webhook refuse and the database die, and ask everything meanwhile."""
    service.wait_log("n8n_failed", 40)
    server.kill()
    wait_until(
        lambda: not interfaces.ask("GET", "/health").json()["db_connected"], what="an outage"
    )
    interfaces.walk()
    server.start()
    wait_until(
        lambda: interfaces.ask("GET", "/health").json()["db_connected"], 40, "the database's return"
    )


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_leaves_a_service_in_trouble(
    log_format: str, own_postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    # Coins go on being created, so that the webhook is asked whenever it is another one.
    creates = ["--coins", "400", "--create-rate", "2"]
    with (
        start_simulator(["simulate", *creates, "--trades-per-second", "50"]) as market,
        start_webhook() as receiver,
        Service(
            state,
            WS_URI=f"{market.uri}?token={FEED_TOKEN}#{FEED_FRAGMENT}",
            PUMPPORTAL_API_KEY=API_KEY,
            DB_DSN=database,
            N8N_WEBHOOK_URL=receiver.url.replace("//", f"//u:{HOOK_PASSWORD.replace('@', '%40')}@")
            + f"?token={HOOK_TOKEN}",
            N8N_AUTH_HEADER=f"X-Key: {HEADER}",
            API_TOKEN=TOKEN,
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=0,
            BATCH_SIZE=1,
            LOG_LEVEL="DEBUG",
            LOG_FORMAT=log_format,
        ) as service,
    ):
        interfaces = Interfaces(service)
        service.wait_ready()
        wait_until(interfaces.trackers, what="a tracker")
        interfaces.walk()
        change_settings(interfaces)
        cause_trouble(interfaces, service, own_postgres)
        market.fault("drop")
        service.wait_log("feed_away")
        interfaces.walk()
        moved = interfaces.ask(
            "PUT",
            "/config",
            {
                "db_dsn": with_password(own_postgres.dsn("mintwatch"), NEW_DSN),
                "pumpportal_api_key": NEW_API_KEY,
                "ws_uri": f"{market.uri}?token={NEW_FEED_TOKEN}",
            },
        )
        assert moved.status_code == 200, moved.text
        service.wait_log("settings changed: db_dsn", 40)
        service.wait_ready(60)
        interfaces.walk()
        history = interfaces.ask("GET", "/config/history").json()["changes"]
        service.stop(40)

    assert interfaces.leaking == {}
    assert len({line.split()[1] for line in interfaces.asked}) > 25
    assert [sorted(change["changed"]) for change in history] == [
        ["db_dsn", "pumpportal_api_key", "ws_uri"],
        ["n8n_auth_header", "n8n_webhook_url"],
    ]
    assert leaks(service.log.encode(), SECRETS) == []
    kept = state / "settings.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert leaking_files(state, SECRETS, but=["settings.json"]) == {}
    # The search would have found them: there they are meant to be.
    assert set(leaks(kept.read_bytes(), SECRETS)) == {
        NEW_DSN, NEW_HOOK_PASSWORD, NEW_HOOK_TOKEN, NEW_HEADER, NEW_API_KEY, NEW_FEED_TOKEN,
    }  # fmt: skip
