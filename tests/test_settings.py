"""What the service may be configured with, and what it says about mistakes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic
import pytest

from settings import (
    NAMES,
    Secret,
    Settings,
    SettingsError,
    describe,
    environment,
    load,
    mask_dsn,
    mask_url,
    secret_values,
    sources,
    suggest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DSN = "postgresql://mint:pa%40ss-word@db:5432/coins"


def errors_of(environ: dict[str, str], env_file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(environ, env_file)
    return caught.value.errors


def write(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("feed", "pumpportal"),
        ("ws_uri", "wss://pumpportal.fun/api/data"),
        ("pumpportal_api_key", None),
        ("ws_retry_delay", 3.0),
        ("ws_max_retry_delay", 60.0),
        ("ws_connection_timeout", 60.0),
        ("ws_ping_interval", 20.0),
        ("ws_ping_timeout", 5.0),
        ("ws_close_timeout", 10.0),
        ("subscribe_batch_size", 50),
        ("subscribe_batch_interval", 2.0),
        ("db_dsn", None),
        ("db_refresh_interval", 10),
        ("db_pool_min", 1),
        ("db_pool_max", 10),
        ("db_statement_timeout", 30.0),
        ("db_batch_size", 2000),
        ("db_batch_timeout_ms", 200),
        ("n8n_webhook_url", None),
        ("n8n_webhook_method", "POST"),
        ("n8n_auth_header", None),
        ("n8n_timeout", 10.0),
        ("batch_size", 10),
        ("batch_timeout", 30),
        ("coin_cache_seconds", 120),
        ("coin_cache_max", 5000),
        ("bad_names_pattern", "test|bot|rug|scam|cant|honey|faucet"),
        ("spam_burst_window", 30),
        ("spam_burst_threshold", 3),
        ("activation", "external"),
        ("activation_min_trades", 3),
        ("max_trackers", 20_000),
        ("sol_reserves_initial", 30.0),
        ("sol_reserves_full", 85.0),
        ("whale_threshold_sol", 1.0),
        ("koth_market_cap_sol", 200.0),
        ("age_calculation_offset_min", 0),
        ("ath_flush_interval", 5.0),
        ("watchdog_seconds", 600.0),
        ("stall_seconds", 5.0),
        ("drain_timeout", 20.0),
        ("why_keep_hours", 24.0),
        ("quarantine_seconds", 600.0),
        ("postgres_writers", 1),
        ("dispatcher_threads", 1),
        ("journal_fsync", "second"),
        ("journal_max_mb", 5120),
        ("journal_max_hours", 24.0),
        ("spool_max_mb", 1024),
        ("api_host", "127.0.0.1"),
        ("api_port", 8000),
        ("api_token", None),
        ("api_allowed_hosts", ()),
        ("api_prefix", None),
        ("store_trades", False),
        ("log_level", "INFO"),
        ("log_format", "console"),
    ],
)
def test_default_stands_without_an_environment(attribute: str, expected: object) -> None:
    assert getattr(load({}), attribute) == expected


def test_state_folder_is_the_users_own_by_default() -> None:
    assert load({}).state_dir.name == "mintwatch"


def test_keyword_settings_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_SIZE", "77")

    assert Settings().batch_size == 10


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Settings().batch_size = 5


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("BATCH_SIZE", " 25 ", 25),
        ("WS_PING_INTERVAL", "0", 0.0),
        ("N8N_WEBHOOK_METHOD", "get", "GET"),
        ("ACTIVATION", "Trades", "trades"),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("STORE_TRADES", "true", True),
        ("STATE_DIR", "~/mint", Path.home() / "mint"),
        ("API_ALLOWED_HOSTS", "Mint.Example, other ,", ("mint.example", "other")),
        ("FEED", "simulator", "simulator"),
        ("BATCH_SIZE", "", 10),
    ],
)
def test_text_of_the_environment_becomes_a_value(name: str, text: str, expected: object) -> None:
    assert getattr(load({name: text}), name.lower()) == expected


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "COIN_CACHE_SECONDS",
            "5",
            (
                "COIN_CACHE_SECONDS is '5', but a whole number from 10 to 3600 is expected: "
                "correct it, or leave it out for 120."
            ),
        ),
        (
            "BATCH_SIZE",
            "many",
            (
                "BATCH_SIZE is 'many', but a whole number from 1 to 100 is expected: correct it, "
                "or leave it out for 10."
            ),
        ),
        (
            "SOL_RESERVES_FULL",
            "nan",
            (
                "SOL_RESERVES_FULL is 'nan', but a number above 0 and up to 1000000000 is "
                "expected: correct it, or leave it out for 85.0."
            ),
        ),
        (
            "STORE_TRADES",
            "maybe",
            (
                "STORE_TRADES is 'maybe', but true or false is expected: correct it, or leave it "
                "out for False."
            ),
        ),
        (
            "ACTIVATION",
            "auto",
            (
                "ACTIVATION is 'auto', but external or trades is expected: correct it, or leave it "
                "out for external."
            ),
        ),
        (
            "WS_URI",
            "https://pumpportal.fun/api/data",
            (
                "WS_URI is 'https://pumpportal.fun/api/data', but an address that begins with "
                "wss:// or ws:// and names a host is expected: correct it, or leave it out for "
                "wss://pumpportal.fun/api/data."
            ),
        ),
        (
            "FEED",
            "replay:/nowhere/day.jsonl",
            (
                "FEED is 'replay:/nowhere/day.jsonl', but replay: followed by the path of a "
                "recording that exists is expected: correct it, or leave it out for pumpportal."
            ),
        ),
        (
            "BAD_NAMES_PATTERN",
            "(?=x)",
            (
                "BAD_NAMES_PATTERN is '(?=x)', but a regular expression of RE2 (no look-around, no "
                "back-references) is expected: correct it, or leave it out for "
                "test|bot|rug|scam|cant|honey|faucet."
            ),
        ),
        (
            "DB_DSN",
            "postgresql://mint:***@db/coins",
            (
                "DB_DSN is ***, but the real password instead of *** is expected: correct it, or "
                "leave it out."
            ),
        ),
    ],
)
def test_mistake_is_one_sentence_that_says_what_to_do(name: str, text: str, sentence: str) -> None:
    assert errors_of({name: text}) == (sentence,)


@pytest.mark.parametrize("pattern", ["", "   ", "test|", "x*"])
def test_pattern_that_would_filter_every_coin_is_refused(pattern: str) -> None:
    assert len(errors_of({"BAD_NAMES_PATTERN": pattern})) == 1


def test_every_mistake_is_told_at_once() -> None:
    errors = errors_of(
        {
            "BATCH_SIZE": "0",
            "API_PORT": "70000",
            "DB_POOL_MIN": "20",
            "API_HOST": "0.0.0.0",
            "WS_RETRY_DELAY": "90",
        }
    )

    assert [error.split()[0] for error in errors] == [
        "BATCH_SIZE",
        "API_PORT",
        "DB_POOL_MIN",
        "WS_RETRY_DELAY",
        "API_HOST",
    ]


@pytest.mark.parametrize(
    "environ",
    [
        {"DB_DSN": "postgresql://mint:hunter2@db:port/coins"},
        {"DB_DSN": "hunter2@db"},
        {"DB_DSN": "postgresql://mint:a@hunter2@db/coins"},
        {"DB_DSN": "postgresql://mint:a/hunter2@db/coins"},
        {"N8N_WEBHOOK_URL": "https://***:hunter2@n8n/hook"},
        {"N8N_AUTH_HEADER": "Authorization: Bearer \u0436hunter2"},
        {"API_TOKEN": "***hunter2"},
        {"N8N_WEBHOOK_URL": "mint:hunter2@n8n"},
        {"N8N_WEBHOOK_URL": "ftp://mint:hunter2@n8n/hook"},
        {"N8N_AUTH_HEADER": "hunter2"},
        {"API_TOKEN": "hunter2 with blank"},
        {"PUMPPORTAL_API_KEY": "hunter2\u00e9"},
        {"WS_URI": "wss://host/api?api-key=hunter2"},
        {"WS_URI": "http://host/api?api-key=hunter2"},
        {"WS_URI": "wss:mint:hunter2@host"},
        {"API_HOST": "0.0.0.0", "PUMPPORTAL_API_KEY": "hunter2"},
    ],
)
def test_secret_never_stands_in_a_mistake(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ)

    assert caught.value.errors
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_secret_shows_itself_as_stars() -> None:
    settings = load({"DB_DSN": DSN, "API_TOKEN": "hunter2", "PUMPPORTAL_API_KEY": "key-123"})

    shown = f"{settings!r} {settings} {describe(settings)} {settings.api_token}"

    assert not [secret for secret in ("hunter2", "pa%40ss", "pa@ss", "key-123") if secret in shown]
    assert str(Secret("hunter2")) == "***"
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "hunter2"


def test_keyword_mistake_does_not_show_a_secret() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Settings(db_dsn=Secret("postgresql://mint:***hunter2@db/coins"))

    assert "hunter2" not in str(caught.value)


def test_description_holds_every_setting_and_masks_passwords() -> None:
    shown = describe(
        load(
            {"DB_DSN": DSN, "N8N_WEBHOOK_URL": "https://u:hunter2@n8n/hook?key=1", "API_TOKEN": "t"}
        )
    )

    assert tuple(shown) == NAMES
    assert shown["DB_DSN"] == "postgresql://mint:***@db:5432/coins"
    assert shown["N8N_WEBHOOK_URL"] == "https://***@n8n/hook?key=***"
    assert shown["API_TOKEN"] == "***"
    assert shown["PUMPPORTAL_API_KEY"] is None
    assert shown["BATCH_SIZE"] == 10


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (DSN, "postgresql://mint:***@db:5432/coins"),
        (
            "postgres://u:p@a:1,b:2/d?sslmode=require",
            "postgresql://u:***@a:1,b:2/d?sslmode=require",
        ),
        ("postgresql://u:p@[::1]:5432/d", "postgresql://u:***@[::1]:5432/d"),
        ("postgresql:///d?password=hunter2", "postgresql://:***@/d"),
        ("postgresql://u:hun#ter2@db/d", "postgresql://u:***@db/d"),
        ("postgresql://u@db/d", "postgresql://u@db/d"),
        ("host=db password='hun ter2'", "password=*** host=db"),
        ("postgresql://u:hun@ter2@db/d", "***"),
        ("postgresql://u:hun/ter2@db/d", "***"),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg"),
        ("not a dsn hunter2", "***"),
    ],
)
def test_dsn_is_shown_without_its_password(dsn: str, shown: str) -> None:
    assert mask_dsn(dsn) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://n8n/webhook/abc", "https://n8n/webhook/abc"),
        ("https://u:p@n8n:5678/hook", "https://***@n8n:5678/hook"),
        ("https://n8n/hook?token=x&y", "https://n8n/hook?token=***&***"),
        ("u:hunter2@n8n", "***"),
        ("https://[half", "***"),
    ],
)
def test_address_is_shown_without_credentials(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_secret_values_list_what_leaks_alone() -> None:
    settings = load(
        {
            "DB_DSN": DSN,
            "N8N_AUTH_HEADER": "Authorization: Bearer hunter2",
            "N8N_WEBHOOK_URL": "https://user:web%21pass@n8n/hook",
            "API_TOKEN": "token-1",
        }
    )

    found = secret_values(settings)

    assert {DSN, "pa@ss-word", "hunter2", "web%21pass", "web!pass", "token-1"} <= set(found)
    assert "Authorization: Bearer hunter2" in found
    assert list(found) == sorted(found, key=lambda text: (-len(text), text))


def test_secret_is_listed_as_it_was_written_too() -> None:
    settings = load(
        {
            "DB_DSN": "postgresql://u:%66oo%c3%a9@h/d?sslpassword=b%61r",
            "N8N_WEBHOOK_URL": "https://n8n/hook?only-a-token",
        }
    )

    found = secret_values(settings)

    assert {"foo\u00e9", "%66oo%c3%a9", "bar", "b%61r", "only-a-token"} <= set(found)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost", "LOCALHOST"])
def test_loopback_address_needs_no_token(host: str) -> None:
    assert load({"API_HOST": host}).api_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "mint.example"])
def test_other_address_needs_a_token(host: str) -> None:
    (error,) = errors_of({"API_HOST": host})

    assert error == (
        f"API_HOST is '{host}', which others can reach, but API_TOKEN is not set: set API_TOKEN to "
        "a long random text, or leave API_HOST out for 127.0.0.1."
    )
    assert (
        load({"API_HOST": host, "API_TOKEN": "5cf4ca9b1ad5e3f2c70eb84d1a6f9023"}).api_host == host
    )


def test_refused_token_is_not_reported_as_missing_as_well() -> None:
    (error,) = errors_of({"API_HOST": "0.0.0.0", "API_TOKEN": "with blank"})

    assert error.startswith("API_TOKEN is ***")


def test_health_port_is_another_name_of_api_port() -> None:
    assert load({"HEALTH_PORT": "9001"}).api_port == 9001
    assert load({"HEALTH_PORT": "9001", "API_PORT": "9001"}).api_port == 9001
    assert errors_of({"HEALTH_PORT": "9001", "API_PORT": "9002"}) == (
        (
            "HEALTH_PORT and API_PORT have different values in the environment, though both name "
            "the same: keep one of them."
        ),
    )


@pytest.mark.parametrize("prefix", ["/api/find", "/find", "/a-b/c_d/e", "/configs"])
def test_prefix_is_a_path(prefix: str) -> None:
    assert load({"API_PREFIX": prefix}).api_prefix == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "api/find", "/", "//", "/api/", "/api//find", "/a b", "/a?b", "/<text:mint>", "/..",
        "/a/./b", "/caf\u00e9", "/%61", "/config", "/trackers/x", "/docs", "/a" * 9, "/" + "a" * 65,
    ],
)  # fmt: skip
def test_prefix_that_is_none_or_hides_a_path_of_ours_is_refused(prefix: str) -> None:
    (error,) = errors_of({"API_PREFIX": prefix})

    assert error == (
        f"API_PREFIX is {prefix!r}, but a path such as /api/find, without a slash at its end, that "
        "begins as none of the service's own paths does, is expected: correct it, or leave it out."
    )


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "BATCH_SIZE=20\nBATCH_TIMEOUT=40\nAPI_PORT=8100\n")

    settings = load({"BATCH_SIZE": "30", "HEALTH_PORT": "8200"}, path)

    assert (settings.batch_size, settings.batch_timeout, settings.api_port) == (30, 40, 8200)


def test_change_of_the_running_service_wins_over_the_environment(tmp_path: Path) -> None:
    path = write(tmp_path, "BATCH_SIZE=20\nBATCH_TIMEOUT=40\nSPAM_BURST_WINDOW=50\n")
    environ = {"BATCH_SIZE": "30", "BATCH_TIMEOUT": "45"}

    settings = load(environ, path, {"batch_size": 35})

    assert (settings.batch_size, settings.batch_timeout, settings.spam_burst_window) == (35, 45, 50)
    shown = sources(settings)
    assert tuple(shown) == NAMES
    assert {name: source for name, source in shown.items() if source != "default"} == {
        "BATCH_SIZE": "settings.json",
        "BATCH_TIMEOUT": "the environment",
        "SPAM_BURST_WINDOW": str(path),
    }


def test_environment_alone_gives_the_same_settings(tmp_path: Path) -> None:
    path = write(tmp_path, "BATCH_SIZE=20\nBATCH_TIMEOUT=40\nHEALTH_PORT=9001\nNOT_OURS=1\n")

    base = environment({"BATCH_SIZE": "30", "SPAM_BURST_WINDOW": " ", "PATH": "/bin"}, path)

    assert base == {"BATCH_SIZE": "30", "BATCH_TIMEOUT": "40", "API_PORT": "9001"}
    assert describe(load(base)) == describe(load({"BATCH_SIZE": "30"}, path))


def test_mistake_names_the_changes_that_nobody_would_look_for() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"DB_POOL_MAX": "5"}, None, {"db_pool_min": 8})

    assert caught.value.errors == (
        (
            "DB_POOL_MIN is 8, but at most DB_POOL_MAX, which is 5, is expected: lower the first "
            "or raise the second."
        ),
        (
            "DB_POOL_MIN: changed while the service ran and kept in settings.json of STATE_DIR, "
            "where they win over the environment; remove them there to go back."
        ),
    )


def test_file_takes_quotes_comments_and_dollars_literally(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "# thresholds\nexport BATCH_SIZE=20  # coins\nBAD_NAMES_PATTERN='a b|${HOME}$'\n",
    )

    settings = load({}, path)

    assert settings.batch_size == 20
    assert settings.bad_names_pattern == "a b|${HOME}$"


def test_unknown_key_of_the_file_is_a_warning_with_a_suggestion(tmp_path: Path) -> None:
    path = write(tmp_path, "COIN_CACHE_SECOND=60\nPOSTGRES_DB=x\nTRADE_BUFFER_SECONDS=180\n")

    assert load({}, path).warnings == (
        (
            f"COIN_CACHE_SECOND in {path} is not a setting and has no effect. Did you mean "
            "COIN_CACHE_SECONDS?"
        ),
        f"POSTGRES_DB in {path} is not a setting and has no effect.",
        (
            f"TRADE_BUFFER_SECONDS in {path} has no effect any more: trades of a coin are kept as "
            "long as the coin, see COIN_CACHE_SECONDS."
        ),
    )


def test_unknown_key_of_the_environment_is_nobodys_business() -> None:
    assert load({"COIN_CACHE_SECOND": "60"}).warnings == ()


def test_line_that_is_no_assignment_is_a_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, "BATCH_SIZE=20\n=hunter2\nBATCH_TIMEOUT=5\n")

    errors = errors_of({}, path)

    assert errors[0] == f"Line 2 of {path} is not in the form NAME=value: correct or remove it."
    assert errors[1].startswith("BATCH_TIMEOUT is '5'")


def test_file_that_does_not_exist_has_no_settings(tmp_path: Path) -> None:
    assert load({}, tmp_path / ".env").warnings == ()


def test_file_that_is_no_text_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"BATCH_SIZE=\xff\xfe")

    assert errors_of({}, path) == (
        (
            f"{path} cannot be read (UnicodeDecodeError): make it a readable file in UTF-8, or "
            "remove it."
        ),
    )


def test_recording_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.touch()

    settings = load({"FEED": f"replay:{path}"})

    assert settings.feed_kind == "replay"
    assert settings.replay_path == path


def test_feed_without_a_recording_has_no_path() -> None:
    assert (load({}).feed_kind, load({}).replay_path) == ("pumpportal", None)
    assert load({"FEED": "simulator"}).feed_kind == "simulator"


def test_state_folder_may_not_be_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    (error,) = errors_of({"STATE_DIR": str(path)})

    assert error.startswith(f"STATE_DIR is '{path}', but a folder, existing or not, is expected")


def test_key_sent_unencrypted_is_a_warning() -> None:
    environ = {"WS_URI": "ws://feed.example/api", "PUMPPORTAL_API_KEY": "key-123"}

    assert load(environ).warnings == (
        "PUMPPORTAL_API_KEY is sent unencrypted, because WS_URI begins with ws://: use wss://.",
    )
    assert load({**environ, "WS_URI": "ws://127.0.0.1:9/api"}).warnings == ()


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("db_dsn", " Did you mean DB_DSN?"),
        ("WHALE_TRESHOLD_SOL", " Did you mean WHALE_THRESHOLD_SOL?"),
        ("PATH", ""),
    ],
)
def test_suggestion_is_the_nearest_name(name: str, suggestion: str) -> None:
    assert suggest(name) == suggestion


def test_original_thresholds_can_be_loaded() -> None:
    path = Path(__file__).parents[1] / "deploy" / "original.env"

    settings = load({}, path)

    assert settings.warnings == ()
    assert settings.sol_reserves_initial == 0
    assert settings.age_calculation_offset_min == 60
    assert settings.koth_market_cap_sol == 30_000


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WATCHDOG_SECONDS", "1e-9", "a number from 10 to 86400"),
        ("WS_CONNECTION_TIMEOUT", "0.1", "a number from 1 to 86400"),
        ("WS_RETRY_DELAY", "1e-9", "a number from 0.05 to 86400"),
        ("DRAIN_TIMEOUT", "0.5", "a number from 1 to 86400"),
        ("WS_PING_INTERVAL", "1e-9", "0 for never, or a number from 0.05 to 86400"),
        ("AUDIT_INTERVAL", "0.001", "0 for never, or a number from 0.05 to 86400"),
        ("SUBSCRIBE_BATCH_INTERVAL", "0", "a number from 0.01 to 3600"),
        ("JOURNAL_MAX_HOURS", "1e-9", "a number from 0.01 to 87600"),
    ],
)
def test_value_below_which_none_makes_sense_is_refused(
    name: str, value: str, expected: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value})
    (sentence,) = caught.value.errors
    assert f"but {expected} is expected" in sentence


@pytest.mark.parametrize("name", ["WS_PING_INTERVAL", "AUDIT_INTERVAL", "QUARANTINE_SECONDS"])
def test_zero_still_means_never(name: str) -> None:
    assert getattr(load({name: "0"}), name.lower()) == 0


@pytest.mark.parametrize(
    "token",
    [
        "a",
        "hunter2",
        "0123456789" * 3,
        "a" * 64,
        "abababab" * 8,
        "0123456789abcde" * 2,
        "AbCdEfGhIjKlMnOpQrSt",
    ],
)
def test_token_that_can_be_guessed_is_refused_where_others_reach_the_api(token: str) -> None:
    with pytest.raises(SettingsError, match="API_TOKEN can be guessed") as caught:
        load({"API_HOST": "0.0.0.0", "API_TOKEN": token})
    assert token == "a" or token not in str(caught.value)
    assert load({"API_TOKEN": token}).api_token is not None


@pytest.mark.parametrize(
    "make", [lambda: secrets.token_hex(16), lambda: secrets.token_urlsafe(16)], ids=["hex", "url"]
)
def test_random_token_of_128_bits_is_taken(make: Callable[[], str]) -> None:
    for _ in range(200):
        assert load({"API_HOST": "0.0.0.0", "API_TOKEN": make()}).api_token is not None
