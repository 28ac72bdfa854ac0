"""One secret a place and a spelling, looked for in everything that shows a setting."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote

import pytest
import structlog
from click.testing import CliRunner
from psycopg import pq

from actors.connection.address import FeedAddress, SessionLostError
from api.config.views import config_of, settings_of
from cli.service import check, places
from db.dsn import parse_dsn
from db.errors import DsnError
from db.probe import try_database
from settings import (
    Settings,
    SettingsError,
    changed,
    describe,
    load,
    mask_dsn,
    mask_url,
    secret_values,
)
from settings.masking import is_masked_dsn
from settings.store import Change, SettingsStore
from telemetry import Redactor, configure_logging
from tests.secrets.planted import (
    DSN_FORMS,
    DSN_SECRETS,
    FEED_ADDRESSES,
    FEED_PLANTED,
    HOOK_ADDRESSES,
    PLANTED,
    dsn_with,
    leaks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACES = [
    *(("DB_DSN", dsn_with(place, form)) for place in DSN_SECRETS for form in DSN_FORMS),
    ("DB_DSN", f"postgresql://mint:{quote(PLANTED, safe='')}@127.0.0.1:1/coins"),
    *(("WS_URI", address) for address in FEED_ADDRESSES.values()),
    *(("N8N_WEBHOOK_URL", address) for address in HOOK_ADDRESSES.values()),
]
IDS = [
    *(f"{place} in {form}" for place in DSN_SECRETS for form in DSN_FORMS),
    "password of user",
    *(f"feed {place}" for place in FEED_ADDRESSES),
    *(f"webhook {place}" for place in HOOK_ADDRESSES),
]
everywhere = pytest.mark.parametrize(("name", "value"), PLACES, ids=IDS)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def found_in(text: object) -> list[str]:
    # Written without any encoding, too: a value that stands in an address as it is.
    return leaks(str(text).encode("utf-8", "backslashreplace"), FEED_PLANTED)


def raise_connection_error(address: str) -> None:
    raise ConnectionError(f"cannot connect to {address}")


def refusal(settings: Settings, changes: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        changed(settings, {}, changes)
    return str(caught.value)


def said_of_change(settings: Settings, changes: dict[str, Any]) -> str:
    """Give what differs, or why the change is refused: not every parameter may be changed."""
    try:
        return str(changed(settings, {}, changes)[1])
    except SettingsError as error:
        return str(error)


@everywhere
def test_check_prints_no_secret_and_the_rest(name: str, value: str, tmp_path: Path) -> None:
    environ = {name: value, "STATE_DIR": str(tmp_path)}

    printed = CliRunner().invoke(check, env=environ)

    assert printed.exit_code == 0, printed.output
    assert found_in(printed.output) == []
    # Where it leads is still to be seen, in the list of settings and in the lines below it.
    assert printed.output.count("127.0.0.1") >= 3
    if name == "DB_DSN":
        assert printed.output.count("coins") >= 2
        assert "mint" in printed.output
    if "statement" in value:
        assert "timeout" in printed.output


THEIRS = {"DB_DSN": "DATABASE_URL", "N8N_WEBHOOK_URL": "N8N_FIND_WEBHOOK_URL"}


@pytest.mark.parametrize("ours_wins", [False, True])
@pytest.mark.parametrize(("name", "value"), [place for place in PLACES if place[0] in THEIRS])
def test_check_prints_no_secret_that_stands_under_a_name_of_the_successor(
    name: str, value: str, ours_wins: bool, tmp_path: Path
) -> None:
    ours = {"DB_DSN": "postgresql://mint@h/d", "N8N_WEBHOOK_URL": "http://h"}
    environ = {THEIRS[name]: value, "STATE_DIR": str(tmp_path)} | (ours if ours_wins else {})

    printed = CliRunner().invoke(check, env=environ)

    assert printed.exit_code == 0, printed.output
    assert found_in(printed.output) == []
    assert f"  # the environment{'' if ours_wins else f' ({THEIRS[name]})'}\n" in printed.output
    said = f"has no effect, because {name} is" if ours_wins else f"is read as {name}"
    assert printed.output.count(f"warning: {THEIRS[name]} in the environment {said}") == 1


@everywhere
def test_start_lines_and_api_show_no_secret(name: str, value: str, tmp_path: Path) -> None:
    settings = load({name: value, "STATE_DIR": str(tmp_path)})
    dsn = settings.db_dsn

    shown = [
        places(settings, mask_dsn(dsn.get_secret_value()) if dsn else "", 8000),
        describe(settings),
        config_of(settings),
        settings_of(settings),
        settings,
        repr(settings),
    ]

    assert found_in(shown) == []


@everywhere
def test_refusals_show_no_secret(name: str, value: str, tmp_path: Path) -> None:
    # Given a service that uses the secret, and one that is asked to
    with_it = load({name: value, "STATE_DIR": str(tmp_path)})
    without = load({"STATE_DIR": str(tmp_path)})

    said = [
        refusal(with_it, {name.lower(): "nonsense***"}),
        refusal(without, {name.lower(): f"{value}***"}),
        refusal(without, {name.lower(): f" x{value}"}),
        refusal(without, {"batch_size": value}),
        refusal(without, {"activation": value}),
        said_of_change(without, {name.lower(): value}),
        said_of_change(with_it, {name.lower(): None}),
    ]
    with pytest.raises(SettingsError) as caught:
        load({name: value, "FEED": value, "API_HOST": value, "BATCH_SIZE": "x"})

    assert found_in(said) == []
    assert found_in(caught.value) == []


@pytest.mark.parametrize("form", DSN_FORMS)
@pytest.mark.parametrize("place", DSN_SECRETS)
def test_database_that_is_away_is_named_without_a_secret(place: str, form: str) -> None:
    trouble = try_database(dsn_with(place, form))

    assert trouble is not None
    assert "127.0.0.1" in trouble
    assert found_in(trouble) == []


@pytest.mark.parametrize("log_format", ["json", "console"])
@everywhere
def test_log_and_traceback_show_no_secret(
    name: str, value: str, log_format: Literal["json", "console"], tmp_path: Path
) -> None:
    settings = load({name: value, "STATE_DIR": str(tmp_path)})
    stream = io.StringIO()
    configure_logging("DEBUG", log_format, stream, Redactor(secret_values(settings)))
    log = structlog.get_logger("mintwatch")
    # One address holds only a part of it.
    secret = PLANTED if PLANTED in unquote(unquote(value)) else FEED_PLANTED[1]

    try:
        raise_connection_error(value)
    except ConnectionError:
        log.exception("failed", address=value, deep=[{"in": value.encode()}])
    for spelled in (secret, quote(secret, safe=""), quote(secret), quote(secret).lower()):
        log.info("said", text=f"what is {spelled}?")

    assert "Traceback" in stream.getvalue()
    assert found_in(stream.getvalue()) == []


@everywhere
def test_history_of_changes_holds_no_secret(name: str, value: str, tmp_path: Path) -> None:
    store = SettingsStore(tmp_path)

    store.append(Change(at_us=1, by="127.0.0.1", changed={name.lower(): (None, value)}))

    assert found_in(store.history(1)) == []
    assert [path for path in tmp_path.iterdir() if found_in(path.read_text())] == []


@everywhere
def test_what_was_masked_is_refused_when_it_is_set_back(
    name: str, value: str, tmp_path: Path
) -> None:
    settings = load({name: value, "STATE_DIR": str(tmp_path)})
    shown = str(describe(settings)[name])
    encoded = shown.replace("***", "%2A%2a*")

    assert "instead of ***" in refusal(settings, {name.lower(): shown}) or name == "WS_URI"
    assert f"{name} is " in refusal(settings, {name.lower(): shown})
    if name != "DB_DSN" or shown.startswith("postgresql://"):
        assert "***" in refusal(settings, {name.lower(): encoded})
    if name == "DB_DSN":
        with pytest.raises(DsnError, match=r"holds \*\*\*"):
            parse_dsn(shown)


def test_every_parameter_that_libpq_hides_is_masked() -> None:
    names = [each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar == b"*"]

    shown = {name: mask_dsn(f"host=h {name}={PLANTED}") for name in names}

    assert {"password", "sslpassword"} <= set(names)
    assert [name for name, text in shown.items() if found_in(text)] == []


def test_parameters_that_are_shown_are_listed_here() -> None:
    # A new parameter of libpq is masked until somebody has looked at it and adds it here.
    names = {each.keyword.decode() for each in pq.Conninfo.get_defaults()} - {"port", "options"}

    masked = {name for name in names if mask_dsn(f"{name}=word") != f"{name}=word"}

    assert masked >= {
        "password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret",
    }  # fmt: skip
    assert masked - {
        "password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret",
        "oauth_issuer", "authtype", "tty",
    } == set()  # fmt: skip


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (
            "postgresql://bob@h:5432/c?sslmode=prefer&sslrootcert=/ca.pem&application_name=a@b",
            "postgresql://bob@h:5432/c?application_name=a%40b&sslmode=prefer&sslrootcert=%2Fca.pem",
        ),
        (
            "host=h options='-c statement_timeout=7 --Work-Mem=4MB -c search_path=a,b'",
            "host=h options='-c statement_timeout=7 --Work-Mem=4MB -c search_path=a,b'",
        ),
        (
            r"host=h options='-c app.key=two\\ words -c jit=off'",
            "host=h options='-c app.key=*** -c jit=off'",
        ),
        ("host=h options='-S 64 app'", "host=h options='*** *** ***'"),
        ("host=h dbname=postgresql://u:pw@x/d", "dbname=*** host=h"),
        ("host=u:pw@h dbname=d", "dbname=d host=***"),
        ("postgresql://u:p?w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p?a@b@h/d", "***"),
        ("postgresql://u@h/d?oauth_issuer=https://i/x", "postgresql://u@h/d?oauth_issuer=https%3A%2F%2Fi%2Fx"),
        ("host=h next_years_parameter=pw", "***"),
    ],
)  # fmt: skip
def test_dsn_keeps_what_is_harmless(dsn: str, shown: str) -> None:
    assert mask_dsn(dsn) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://pumpportal.fun/api/data", "wss://pumpportal.fun/api/data"),
        ("wss://[::1]:80/p?a=b&c=d#f", "wss://[::1]:80/p?a=***&c=***#***"),
        ("https://token@h/p", "https://***@h/p"),
        ("https://h/p?c2VjcmV0==", "https://h/p?***"),
        ("https://h:5678/p?mail=me@x", "https://h:5678/p?mail=***"),
        ("https://u:12/w@h/p", "***"),
        ("https://u:12?w@h", "***"),
        ("https://u:1#w@h", "***"),
        ("https://u:pw/x", "***"),
    ],
)
def test_address_keeps_what_is_harmless(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_masked_dsn_is_recognised_in_every_spelling() -> None:
    assert is_masked_dsn("host=h password=***")
    assert is_masked_dsn("postgresql://u:%2A%2a*@h/d")
    assert not is_masked_dsn("postgresql://u:%2A%2a@h/d")


def test_words_of_json_stay_in_the_log() -> None:
    settings = load({"N8N_WEBHOOK_URL": "http://n8n/h?wait=true&key=hunter2-word"})

    text = Redactor(secret_values(settings)).text('{"ok": true, "key": "hunter2-word"}')

    assert text == '{"ok": true, "key": "***"}'


@pytest.mark.parametrize("cut_at", range(4, len(PLANTED) + 1))
def test_words_of_the_feed_are_masked_wherever_they_were_cut(cut_at: int) -> None:
    address = FeedAddress("wss://feed.example/api/data", PLANTED)
    for spelled in (PLANTED, quote(PLANTED, safe="")):
        text = f"{'x' * (300 - cut_at)} {spelled}"

        shown = address.describe(SessionLostError(text))
        ended = address.redact(text[:301])

        assert PLANTED[:4] not in shown
        assert PLANTED[:4] not in ended
