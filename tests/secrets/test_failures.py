"""Secrets in what fails: tracebacks, dossiers, services that reach nobody, and the command line."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from typing import TYPE_CHECKING, Any, Literal

import pytest
import structlog

from actors.protocol.operator import ChangeSettings
from actors.runtime import Actor, ArrivalClock, ChildSpec, Message, RestartBudget, System
from actors.runtime.inspection.crash_reports import CrashReports
from settings import load, secret_values
from telemetry import Redactor, Telemetry, configure_logging
from tests.secrets.planted import leaking_files, leaks
from tests.support.service import COMMAND, Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DSN_PASSWORD = "planted-dsn-p@ss/word"
ENVIRON = {
    "DB_DSN": "postgresql://mint:planted-dsn-p%40ss%2Fword@127.0.0.1:1/coins"
    "?sslpassword=planted-ssl-password&scram_client_key=planted-client-key"
    "&oauth_client_secret=planted-oauth-secret&options=-c%20app.any%3Dplanted-option",
    "PUMPPORTAL_API_KEY": "unknown-planted-api-key",
    "N8N_WEBHOOK_URL": "http://u:planted-hook-password@127.0.0.1:1/hook?token=planted-hook-token",
    "N8N_AUTH_HEADER": "Authorization: Bearer planted-header-value",
    "API_TOKEN": "planted-token-0815",
}
SECRETS = (
    DSN_PASSWORD, "unknown-planted-api-key", "planted-hook-password", "planted-hook-token",
    "planted-header-value", "planted-token-0815", "planted-ssl-password", "planted-client-key",
    "planted-oauth-secret", "planted-option", "planted-feed-token", "planted-feed-fragment",
)  # fmt: skip


class Fail(Message, frozen=True):
    text: str


class Failing(Actor):
    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Fail):
            raise ConnectionError(f"cannot connect to {message.text}")
        raise ValueError(f"cannot take {message}")


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def command(*arguments: str, **environ: str) -> bytes:
    """Run the command line with secrets in its environment, and return all that it printed."""
    done = subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": os.environ["PATH"], **ENVIRON, **environ},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_traceback_with_a_secret_is_masked_in_log_and_dossier(
    log_format: Literal["json", "console"], tmp_path: Path
) -> None:
    settings = load({**ENVIRON, "STATE_DIR": str(tmp_path)})
    redactor, stream = Redactor(secret_values(settings)), io.StringIO()
    configure_logging("DEBUG", log_format, stream, redactor)
    dossiers = CrashReports(tmp_path / "dossiers", mask=redactor.text)
    system = System(
        settings=settings, telemetry=Telemetry(), clock=ArrivalClock(), dossiers=dossiers
    )
    system.open()
    system.start_child(
        ChildSpec(
            name="failing", kind="discovery", actor=Failing, make=Failing,
            budget=RestartBudget(intensity=9, period_s=60, first_s=0.001, max_s=0.002),
        )
    )  # fmt: skip
    change = ChangeSettings({"db_dsn": ENVIRON["DB_DSN"], "n8n_timeout": 5}, by="127.0.0.1")

    system.tell("failing", Fail(ENVIRON["DB_DSN"]))
    system.tell("failing", Fail(f"password {DSN_PASSWORD!r}"))
    system.tell("failing", change)
    wait_until(lambda: len(dossiers.all(9)) == 3, what="three dossiers")
    shown = [repr(dossiers.get(line.id)) for line in dossiers.all(9)]
    recent = system.recent("failing")
    system.close(10)

    files = list((tmp_path / "dossiers").iterdir())
    assert len(files) == 3
    assert b"cannot connect to" in b"".join(path.read_bytes() for path in files)
    assert leaking_files(tmp_path, SECRETS) == {}
    assert "Traceback" in stream.getvalue()
    assert leaks(stream.getvalue().encode(), SECRETS) == []
    assert leaks("".join(shown).encode(), SECRETS) == []
    # Of settings that an operator typed, the names alone are shown, whether they are known or not.
    (summary,) = [
        handled.summary for handled in recent or () if handled.message == "ChangeSettings"
    ]
    assert "n8n_timeout" in summary
    assert leaks(summary.encode(), SECRETS) == []


@pytest.mark.timeout(90)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_service_that_reaches_nobody_says_so_without_a_secret(
    log_format: str, tmp_path: Path
) -> None:
    with Service(
        tmp_path / "state",
        WS_URI="ws://127.0.0.1:1/api/data?token=planted-feed-token#planted-feed-fragment",
        LOG_FORMAT=log_format,
        LOG_LEVEL="DEBUG",
        **ENVIRON,
    ) as service:
        service.wait_log("feed_away")
        service.wait_log("database_away")
        answers = b"".join(
            service.get(path).content for path in ("/health", "/feed", "/config", "/readyz")
        )
        service.stop()

    assert b"127.0.0.1:1" in answers
    assert leaks(answers + service.log.encode(), SECRETS) == []
    assert leaking_files(tmp_path, SECRETS) == {}


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (("check",), {}),
        (("check",), {"WS_URI": "ws://h/p?token=planted-feed-token#planted-feed-fragment"}),
        (("check",), {"WS_URI": "http://h/p?token=planted-feed-token#planted-feed-fragment"}),
        (("check",), {"DB_DSN": f"postgresql://u:{DSN_PASSWORD}@h/d"}),
        (("check",), {"N8N_WEBHOOK_URL": "planted-hook-token"}),
        (("check",), {"N8N_AUTH_HEADER": "planted-header-value"}),
        (("run",), {"API_TOKEN": "planted-token-0815 with a blank"}),
        (("status",), {"API_PORT": "1"}),
        (("migrate",), {}),
    ],
    ids=[
        "check", "feed", "bad-feed", "bad-dsn", "bad-webhook", "bad-header", "bad-token", "status",
        "migrate",
    ],
)  # fmt: skip
def test_command_line_prints_no_secret(
    arguments: tuple[str, ...], environ: dict[str, str], tmp_path: Path
) -> None:
    printed = command(*arguments, STATE_DIR=str(tmp_path), **environ)

    assert len(printed) > 40
    assert leaks(printed, SECRETS) == []
