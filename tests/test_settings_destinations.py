"""A secret goes to the scheme, host and port that it was given for, and to no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import Secret, Settings, SettingsError, changed, load, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = {
    "N8N_WEBHOOK_URL": "https://n8n.example/hook",
    "N8N_AUTH_HEADER": "X-Key: hunter2",
    "PUMPPORTAL_API_KEY": "hunter3",
}


def change(
    changes: Mapping[str, Any], before: Settings | None = None, base: Mapping[str, str] = BASE
) -> Settings:
    return changed(before or load(base), base, changes)[0]


def refusal(changes: Mapping[str, Any], before: Settings | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        change(changes, before)
    (sentence,) = caught.value.errors
    return sentence


@pytest.mark.parametrize(
    "url",
    [
        "http://n8n.example/hook",
        "https://n8n.example:8443/hook",
        "https://other.example/hook",
        "https://n8n.example.evil/hook",
        "https://n8n.example@evil/hook",
        "http://127.0.0.1:5678/x",
    ],
)
def test_header_does_not_follow_a_webhook_to_another_place(url: str) -> None:
    sentence = refusal({"n8n_webhook_url": url})
    assert sentence.startswith("N8N_AUTH_HEADER was given for https://n8n.example:443")
    assert "hunter2" not in sentence
    assert change({"n8n_webhook_url": url, "n8n_auth_header": ""}).n8n_auth_header is None
    given_again = change({"n8n_webhook_url": url, "n8n_auth_header": "X-Key: hunter4"})
    assert given_again.n8n_auth_header is not None


@pytest.mark.parametrize(
    "url",
    ["https://n8n.example/other", "https://N8N.example:443/hook?token=x", "https://n8n.example/"],
)
def test_header_stays_with_a_webhook_at_the_same_place(url: str) -> None:
    assert change({"n8n_webhook_url": url}).n8n_auth_header is not None


@pytest.mark.parametrize(
    "uri",
    ["ws://127.0.0.1:7/x", "ws://pumpportal.fun/api/data", "wss://pumpportal.fun:8443/api/data"],
)
def test_key_does_not_follow_the_feed_to_another_place(uri: str) -> None:
    sentence = refusal({"ws_uri": uri})
    assert sentence.startswith("PUMPPORTAL_API_KEY was given for wss://pumpportal.fun:443")
    assert change({"ws_uri": uri, "pumpportal_api_key": ""}).pumpportal_api_key is None
    assert change({"ws_uri": uri, "pumpportal_api_key": "hunter5"}).ws_uri == uri


def test_secret_of_the_environment_does_not_come_back_to_another_place() -> None:
    elsewhere = change({"n8n_webhook_url": "https://evil/", "n8n_auth_header": ""})
    assert "give it again" in refusal({"n8n_auth_header": None}, elsewhere)
    back = change({"n8n_auth_header": None, "n8n_webhook_url": None}, elsewhere)
    assert back.n8n_auth_header is not None


def test_secret_of_an_earlier_change_stays_where_it_was_given() -> None:
    before = change({"n8n_webhook_url": "https://second/", "n8n_auth_header": "X-Key: hunter6"})
    assert "https://second:443" in refusal({"n8n_webhook_url": "https://third/"}, before)
    assert "https://second:443" in refusal({"n8n_webhook_url": None}, before)
    nowhere = change({"n8n_webhook_url": ""}, before)
    assert "give it again" in refusal({"n8n_webhook_url": "https://third/"}, nowhere)


def test_change_of_something_else_does_not_look_at_what_is_in_force() -> None:
    # As with the built-in market, whose address and key the service fills in by itself.
    filled = {"ws_uri": "ws://127.0.0.1:7/", "pumpportal_api_key": Secret("built-in")}
    before = load({}).with_values(filled, given_back=())

    after = change({"batch_size": 20}, before, {})

    assert (after.batch_size, after.ws_uri) == (20, "ws://127.0.0.1:7/")
    with pytest.raises(SettingsError, match="PUMPPORTAL_API_KEY was given for"):
        change({"ws_uri": "ws://127.0.0.1:8/"}, before, {})


def test_header_for_which_there_was_no_webhook_is_given_with_the_webhook() -> None:
    base = {"N8N_AUTH_HEADER": "X-Key: hunter2"}
    with pytest.raises(SettingsError, match="was given for no address"):
        change({"n8n_webhook_url": "https://n8n.example/"}, base=base)


def test_start_does_not_send_a_secret_of_the_environment_where_a_change_points() -> None:
    overrides = {"n8n_webhook_url": "https://evil/", "ws_uri": "ws://evil/"}
    settings = load(BASE, None, overrides)
    assert (settings.n8n_auth_header, settings.pumpportal_api_key) == (None, None)
    assert [warning.split(" ")[0] for warning in settings.warnings] == [
        "N8N_AUTH_HEADER",
        "PUMPPORTAL_API_KEY",
    ]
    assert "hunter" not in " ".join(settings.warnings)


URLS = ("https://n8n.example/a", "https://n8n.example/b", "https://evil/", "http://evil:1/", "")


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["n8n_webhook_url", "n8n_auth_header", "batch_size"]),
            st.integers(0, 5),
            min_size=1,
        ),
        max_size=6,
    )
)
def test_no_series_of_changes_and_restarts_sends_the_environments_header_elsewhere(
    series: list[dict[str, int]],
) -> None:
    settings, overrides = load(BASE), dict[str, Any]()
    for numbers in series:
        wanted: dict[str, Any] = {}
        for name, number in numbers.items():
            if name == "n8n_webhook_url":
                wanted[name] = (*URLS, None)[number]
            elif name == "n8n_auth_header":
                wanted[name] = ("X-Mine: 1", "", None)[number % 3]
            else:
                wanted[name] = 10 + number
        try:
            settings = change(wanted, settings)
        except SettingsError:
            continue
        overrides = merged(overrides, wanted)
        for seen in (settings, load(BASE, None, overrides)):
            header, url = seen.n8n_auth_header, seen.n8n_webhook_url
            if header is not None and header.get_secret_value() == BASE["N8N_AUTH_HEADER"]:
                assert url is None or url.get_secret_value().startswith("https://n8n.example/")
