"""Changes of settings while the service runs: what may change, how it acts, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import (
    FIXED,
    LIVE,
    RESTARTS,
    Settings,
    SettingsError,
    changed,
    describe,
    environment,
    load,
    merged,
    restarts,
    sources,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = {"BATCH_SIZE": "20", "DB_DSN": "postgresql://mint:hunter2@db/coins"}


def errors_of(changes: Mapping[str, Any], base: Mapping[str, str] = BASE) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        changed(load(base), base, changes)
    return caught.value.errors


def test_every_setting_acts_in_one_of_three_ways() -> None:
    assert set(Settings.model_fields) == LIVE | RESTARTS | FIXED
    assert len(LIVE) + len(RESTARTS) + len(FIXED) == len(Settings.model_fields)
    assert {"whale_threshold_sol", "n8n_webhook_url", "postgres_writers", "log_level"} <= LIVE
    assert {"db_dsn", "ws_uri", "journal_fsync", "spool_max_mb", "store_trades"} <= RESTARTS
    assert {"feed", "state_dir", "api_token", "log_format"} <= FIXED


def test_change_gives_new_settings_and_leaves_the_old_ones_alone() -> None:
    before = load(BASE)

    after, differences = changed(before, BASE, {"batch_size": 30, "spam_burst_window": 30})

    assert (before.batch_size, after.batch_size) == (20, 30)
    assert differences == {"batch_size": (20, 30)}
    assert sources(after)["BATCH_SIZE"] == "settings.json"
    assert after.db_dsn == before.db_dsn


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch_size": "30"}, {"batch_size": 30}),
        ({"n8n_webhook_method": "get"}, {"n8n_webhook_method": "GET"}),
        ({"koth_market_cap_sol": 300}, {"koth_market_cap_sol": 300.0}),
        ({"store_trades": True}, {"store_trades": True}),
        ({"postgres_writers": 16}, {"postgres_writers": 16}),
        ({"quarantine_seconds": 0}, {"quarantine_seconds": 0.0}),
        ({"why_keep_hours": 720}, {"why_keep_hours": 720.0}),
        ({"dispatcher_threads": 64}, {"dispatcher_threads": 64}),
    ],
)
def test_value_of_a_body_becomes_a_setting(
    changes: dict[str, Any], expected: dict[str, object]
) -> None:
    after, _ = changed(load(BASE), BASE, changes)

    assert {name: getattr(after, name) for name in expected} == expected


def test_none_gives_a_setting_back() -> None:
    now = load(BASE, None, {"batch_size": 30, "batch_timeout": 50})

    after, differences = changed(now, BASE, {"batch_size": None, "batch_timeout": None})

    assert (after.batch_size, after.batch_timeout) == (20, 30)
    assert differences == {"batch_size": (30, 20), "batch_timeout": (50, 30)}
    assert sources(after)["BATCH_SIZE"] == "the environment"
    assert sources(after)["BATCH_TIMEOUT"] == "default"
    assert "batch_timeout" not in after.model_fields_set
    assert after == load(BASE)


def test_blank_text_turns_off_what_the_environment_sets() -> None:
    base = {"N8N_WEBHOOK_URL": "http://n8n/hook"}

    after, differences = changed(load(base), base, {"n8n_webhook_url": ""})

    assert after.n8n_webhook_url is None
    assert differences == {"n8n_webhook_url": ("http://n8n/hook", None)}
    assert load(base, None, {"n8n_webhook_url": " "}).n8n_webhook_url is None


def test_secret_is_masked_in_what_differs() -> None:
    _, differences = changed(
        load(BASE),
        BASE,
        {
            "db_dsn": "postgresql://mint:hunter3@db/coins",
            "n8n_auth_header": "Authorization: Bearer hunter3",
            "n8n_webhook_url": "https://u:hunter3@n8n/hook?key=hunter3",
        },
    )

    assert differences == {
        "db_dsn": ("postgresql://mint:***@db/coins", "postgresql://mint:***@db/coins"),
        "n8n_auth_header": (None, "***"),
        "n8n_webhook_url": (None, "https://***@n8n/hook?key=***"),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_timeouts": 60}, "'batch_timeouts' is not a setting. Did you mean batch_timeout?"),
        ({"zzz": 1}, "'zzz' is not a setting."),
        ({"BATCH_SIZE": 1}, "'BATCH_SIZE' is not a setting. Did you mean batch_size?"),
        (
            {"trade_buffer_seconds": 180},
            (
                "trade_buffer_seconds has no effect any more: trades of a coin are kept as long as "
                "the coin, see coin_cache_seconds."
            ),
        ),
        (
            {"api_port": 9000},
            (
                "API_PORT cannot be changed while the service runs: set it in the environment or "
                "the .env file, and start mintwatch again."
            ),
        ),
        (
            {"batch_size": 101},
            (
                "BATCH_SIZE is 101, but a whole number from 1 to 100 is expected: correct it, or "
                "leave it out to keep 20."
            ),
        ),
        ({"batch_size": True}, "BATCH_SIZE is true, but no truth value is expected: correct it."),
        (
            {"batch_size": [1]},
            (
                "BATCH_SIZE is a list, but a whole number from 1 to 100 is expected: correct it, "
                "or leave it out to keep 20."
            ),
        ),
        (
            {"batch_size": {"hunter2": 1}},
            (
                "BATCH_SIZE is an object, but a whole number from 1 to 100 is expected: correct "
                "it, or leave it out to keep 20."
            ),
        ),
        (
            {"db_dsn": "postgresql://mint:***@db/coins"},
            (
                "DB_DSN is ***, but the real password instead of *** is expected: correct it, or "
                "leave it out to keep postgresql://mint:***@db/coins."
            ),
        ),
        (
            {"n8n_webhook_url": "https://***@n8n/hook"},
            (
                "N8N_WEBHOOK_URL is ***, but the address with its credentials instead of *** is "
                "expected: correct it, or leave it out to keep none."
            ),
        ),
        (
            {"db_pool_min": 11},
            (
                "DB_POOL_MIN is 11, but at most DB_POOL_MAX, which is 10, is expected: lower the "
                "first or raise the second."
            ),
        ),
        (
            {"bad_names_pattern": "a" * 4097},
            (
                f"BAD_NAMES_PATTERN is '{'a' * 200}...', but a text of at most 4096 characters is "
                "expected: correct it, or leave it out to keep test|bot|rug|scam|cant|honey|faucet."
            ),
        ),
        (
            {"ws_uri": "wss://feed/?api-key=hunter2"},
            (
                "WS_URI holds a secret (***), but an address without one is expected: move the key "
                "to PUMPPORTAL_API_KEY and take it out of WS_URI."
            ),
        ),
    ],
)
def test_refused_change_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert errors_of(changes) == (sentence,)


def test_every_mistake_is_told_at_once() -> None:
    errors = errors_of(
        {"batch_size": 0, "feed": "simulator", "nothing": 1, "ws_retry_delay": 90, "db_dsn": "x y"}
    )

    assert [error.split()[0] for error in errors] == [
        "FEED",
        "'nothing'",
        "DB_DSN",
        "BATCH_SIZE",
        "WS_RETRY_DELAY",
    ]


def test_environment_that_no_longer_fits_cannot_be_gone_back_to() -> None:
    now = load({}, None, {"batch_size": 30})

    with pytest.raises(SettingsError, match="BATCH_SIZE is '1000'"):
        changed(now, {"BATCH_SIZE": "1000"}, {"batch_size": None})


def test_doubt_about_new_settings_is_among_their_warnings() -> None:
    base = {"PUMPPORTAL_API_KEY": "key-123"}

    # With the key: that of another address is not sent there.
    wanted = {"ws_uri": "ws://feed.example/api", "pumpportal_api_key": "key-456"}
    after, _ = changed(load(base), base, wanted)

    assert len(after.warnings) == 1


def test_overrides_keep_what_was_changed_before() -> None:
    assert merged({"batch_size": 30, "n8n_timeout": 5}, {"batch_size": None, "log_level": ""}) == {
        "n8n_timeout": 5,
        "log_level": "",
    }


def test_restart_is_needed_by_what_is_opened_at_the_start() -> None:
    assert restarts({"batch_size", "db_dsn"})
    assert not restarts({"batch_size"})


CHANGES = st.dictionaries(
    st.sampled_from([*sorted(LIVE | RESTARTS), "feed", "nothing"]),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
        st.sampled_from(["POST", "trades", "second", "http://h/", "wss://h/", "a: b"]),
    ),
    max_size=4,
)  # fmt: skip


@given(CHANGES)
def test_kept_changes_give_the_same_settings_after_a_restart(changes: dict[str, Any]) -> None:
    base = environment(BASE)
    try:
        after, differences = changed(load(base), base, changes)
    except SettingsError:
        return

    again = load(base, None, merged({}, changes))

    assert again == after
    assert dict(again.sources) == dict(after.sources)
    before = describe(load(base))
    differing = {name for name, value in describe(after).items() if value != before[name]}
    assert differing <= {name.upper() for name in differences}
