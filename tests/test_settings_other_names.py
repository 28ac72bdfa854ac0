"""What the original and its successor call our settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from settings import (
    Settings,
    SettingsError,
    changed,
    describe,
    environment,
    load,
    secret_values,
    sources,
)

if TYPE_CHECKING:
    from pathlib import Path

DSN = "postgresql://mint:hunter2@db/coins"
URL = "https://n8n.example/hook?key=hunter2"
SUCCESSOR = {
    "DATABASE_URL": DSN,
    "N8N_FIND_WEBHOOK_URL": URL,
    "N8N_FIND_WEBHOOK_METHOD": "GET",
    "COIN_CACHE_MAX_SIZE": "777",
}
OURS = {
    "DATABASE_URL": "DB_DSN",
    "N8N_FIND_WEBHOOK_URL": "N8N_WEBHOOK_URL",
    "N8N_FIND_WEBHOOK_METHOD": "N8N_WEBHOOK_METHOD",
    "COIN_CACHE_MAX_SIZE": "COIN_CACHE_MAX",
}


def write(folder: Path, values: dict[str, str]) -> Path:
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def taken(settings: Settings) -> tuple[str | None, str | None, str, int]:
    dsn, url = settings.db_dsn, settings.n8n_webhook_url
    return (
        None if dsn is None else dsn.get_secret_value(),
        None if url is None else url.get_secret_value(),
        settings.n8n_webhook_method,
        settings.coin_cache_max,
    )


def test_names_of_the_successor_are_read_with_one_warning_each() -> None:
    settings = load(SUCCESSOR)

    assert taken(settings) == (DSN, URL, "GET", 777)
    assert sorted(settings.warnings) == [
        f"{theirs} in the environment is read as {ours}, which is its name here: rename it."
        for theirs, ours in sorted(OURS.items())
    ]


def test_names_of_the_successor_are_read_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, SUCCESSOR)

    settings = load({}, path)

    assert taken(settings) == (DSN, URL, "GET", 777)
    assert sorted(settings.warnings) == [
        f"{theirs} in {path} is read as {ours}, which is its name here: rename it."
        for theirs, ours in sorted(OURS.items())
    ]


def test_environment_wins_over_the_file_with_a_single_warning(tmp_path: Path) -> None:
    path = write(tmp_path, {"COIN_CACHE_MAX_SIZE": "7"})

    settings = load({"COIN_CACHE_MAX_SIZE": "8"}, path)

    assert settings.coin_cache_max == 8
    assert settings.warnings == (
        (
            "COIN_CACHE_MAX_SIZE in the environment is read as COIN_CACHE_MAX, which is its name "
            "here: rename it."
        ),
    )


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("theirs_in_file", [False, True])
def test_our_name_wins_wherever_it_stands_and_the_warning_says_so(
    tmp_path: Path, in_file: bool, theirs_in_file: bool
) -> None:
    ours, theirs = {"COIN_CACHE_MAX": "5"}, {"COIN_CACHE_MAX_SIZE": "6"}
    path = write(tmp_path, (ours if in_file else {}) | (theirs if theirs_in_file else {}))
    environ = ({} if in_file else ours) | ({} if theirs_in_file else theirs)

    settings = load(environ, path)

    place = {True: str(path), False: "the environment"}
    assert settings.coin_cache_max == 5
    assert settings.warnings == (
        (
            f"COIN_CACHE_MAX_SIZE in {place[theirs_in_file]} has no effect, because COIN_CACHE_MAX "
            f"is set in {place[in_file]}: remove it."
        ),
    )


def test_blank_value_counts_as_not_set_under_either_name() -> None:
    assert load({"DATABASE_URL": " "}).warnings == ()
    assert load({"DATABASE_URL": DSN, "DB_DSN": " "}).db_dsn == load({"DB_DSN": DSN}).db_dsn


def test_sources_say_under_which_name_a_value_stands(tmp_path: Path) -> None:
    path = write(tmp_path, {"COIN_CACHE_MAX_SIZE": "7"})

    shown = sources(load({"DATABASE_URL": DSN}, path))

    assert shown["DB_DSN"] == "the environment (DATABASE_URL)"
    assert shown["COIN_CACHE_MAX"] == f"{path} (COIN_CACHE_MAX_SIZE)"
    assert shown["N8N_WEBHOOK_URL"] == "default"


def test_secrets_under_other_names_are_masked_as_under_ours() -> None:
    settings = load(SUCCESSOR)

    shown = describe(settings)
    assert shown["DB_DSN"] == "postgresql://mint:***@db/coins"
    assert shown["N8N_WEBHOOK_URL"] == "https://n8n.example/hook?key=***"
    assert "DATABASE_URL" not in shown
    assert "hunter2" in secret_values(settings)
    assert secret_values(settings) == secret_values(
        load({OURS[name]: value for name, value in SUCCESSOR.items()})
    )
    assert "hunter2" not in repr(settings) + str(settings.warnings)


def test_mistake_says_under_which_name_the_value_stands_and_shows_no_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"DATABASE_URL": "hunter2", "COIN_CACHE_MAX_SIZE": "0"})

    dsn, dsn_stands, cache, cache_stands = caught.value.errors
    assert dsn.startswith("DB_DSN is ***, but a DSN such as ")
    assert dsn_stands == "DB_DSN is read from DATABASE_URL in the environment."
    assert cache.startswith("COIN_CACHE_MAX is '0', but a whole number from 1 to 1000000")
    assert cache_stands == "COIN_CACHE_MAX is read from COIN_CACHE_MAX_SIZE in the environment."


def test_change_of_the_running_service_wins_and_gives_the_value_back() -> None:
    base = environment(SUCCESSOR)
    assert base == {ours: SUCCESSOR[theirs] for theirs, ours in OURS.items()}

    settings = load(SUCCESSOR, None, {"coin_cache_max": 9})
    back, differences = changed(settings, base, {"coin_cache_max": None})

    assert (settings.coin_cache_max, sources(settings)["COIN_CACHE_MAX"]) == (9, "settings.json")
    assert (back.coin_cache_max, differences) == (777, {"coin_cache_max": (9, 777)})


@pytest.mark.parametrize("theirs", sorted(OURS))
def test_change_of_the_running_service_knows_our_names_alone(theirs: str) -> None:
    name, ours = theirs.lower(), OURS[theirs].lower()

    with pytest.raises(SettingsError) as caught:
        changed(load({}), {}, {name: SUCCESSOR[theirs]})
    with pytest.raises(SettingsError) as kept:
        load({}, None, {name: SUCCESSOR[theirs]})

    sentence = f"'{name}' is not a setting. Did you mean {ours}?"
    assert caught.value.errors == (sentence,)
    assert kept.value.errors[0] == sentence


@pytest.mark.parametrize("in_file", [False, True])
def test_trade_buffer_has_no_effect_and_a_warning(tmp_path: Path, in_file: bool) -> None:
    given = {"TRADE_BUFFER_SECONDS": "180"}
    path = write(tmp_path, given if in_file else {})

    settings = load({} if in_file else given, path)

    assert describe(settings) == describe(load({}))
    assert settings.warnings == (
        (
            f"TRADE_BUFFER_SECONDS in {path if in_file else 'the environment'} has no effect any "
            "more: trades of a coin are kept as long as the coin, see COIN_CACHE_SECONDS."
        ),
    )
