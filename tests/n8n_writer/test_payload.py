from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.n8n_writer.payload import (
    CoinBatch,
    WebhookRequest,
    build_request,
    coin_fields,
    envelope,
    fits,
)
from tests.discovery.builders import START_US, coin

URL = "https://n8n.example/webhook/abc"


def batch(*mints: str, frame: bytes | None = None) -> CoinBatch:
    coins = tuple(coin(mint, frame=frame) for mint in mints or ("MintA",))
    return CoinBatch("id1", START_US, coins)


def sent(request: WebhookRequest) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def test_envelope_names_source_count_time_and_id() -> None:
    described = envelope(batch("MintA", "MintB"))

    assert {key: value for key, value in described.items() if key != "data"} == {
        "source": "pump_find_backend",
        "count": 2,
        "timestamp": "2023-11-14T22:13:20.000000+00:00",
        "batch_id": "id1",
    }


def test_coin_has_every_field_of_its_frame_and_what_was_derived() -> None:
    frame = b'{"txType":"create","mint":"MintA","solAmount":2,"vTokens":1.5,"is_mayhem_mode":false}'
    assert coin_fields(coin(frame=frame, at_s=0.25)) == {
        "txType": "create",
        "mint": "MintA",
        "solAmount": 2,
        "vTokens": 1.5,
        "is_mayhem_mode": False,
        "price_sol": 2.8e-8,
        "pool_address": "Curve",
        "social_count": None,
        "has_socials": None,
        "creator": "Creator",
        "discovered_at": "2023-11-14T22:13:20.250000+00:00",
    }


@pytest.mark.parametrize(("count", "has"), [(None, None), (0, False), (2, True)])
def test_socials_are_unknown_unless_the_frame_names_them(
    count: int | None, has: bool | None
) -> None:
    fields = coin_fields(coin(social_count=count))
    assert (fields["social_count"], fields["has_socials"]) == (count, has)


@pytest.mark.parametrize("frame", [b"not json", b"[1,2]", b"\xff\xfe"])
def test_unreadable_frame_is_replaced_by_what_is_known_of_the_coin(frame: bytes) -> None:
    fields = coin_fields(coin(frame=frame))
    assert (fields["mint"], fields["name"], fields["symbol"]) == ("MintA", "Alpha", "ALP")


@pytest.mark.parametrize("name", ["__proto__", "constructor", "prototype", "\\u005f_proto__"])
def test_name_that_is_a_trap_in_javascript_is_left_out_at_any_depth(name: str) -> None:
    text = f'{{"{name}":{{"polluted":1}},"mint":"MintA","deep":[{{"{name}":2,"name":"kept"}}]}}'

    fields = coin_fields(coin(frame=text.encode()))

    assert "polluted" not in json.dumps(fields)
    assert (fields["mint"], fields["deep"]) == ("MintA", [{"name": "kept"}])


def test_numbers_that_json_does_not_know_become_null() -> None:
    frame = b'{"a":NaN,"b":-Infinity,"c":1e999,"d":1}'
    request = build_request(batch(frame=frame), "POST", URL, None)
    values = [sent(request)["data"][0][key] for key in "abcd"]
    assert values == [None, None, None, 1]


@pytest.mark.parametrize("depth", [10, 900, 960, 970, 980, 990, 1_000, 5_000])
def test_frame_of_any_depth_becomes_a_request(depth: int) -> None:
    frame = b'{"mint":"MintA","a":' + b"[" * depth + b"]" * depth + b"}"
    assert sent(build_request(batch(frame=frame), "POST", URL, None))["data"][0]["mint"] == "MintA"


def test_post_sends_json_with_the_id_as_idempotency_key() -> None:
    request = build_request(batch(), "POST", URL, "X-Token:  se cret ")

    assert request.url == URL
    assert request.headers == {
        "User-Agent": "mintwatch",
        "Idempotency-Key": "id1",
        "X-Token": "se cret",
        "Content-Type": "application/json",
    }
    assert sent(request)["batch_id"] == "id1"


@pytest.mark.parametrize("url", [URL, URL + "?token=t", URL + "?token=t#part"])
def test_get_sends_the_same_json_in_the_query(url: str) -> None:
    request = build_request(batch("MintA", "MintB"), "GET", url, None)

    query = parse_qs(urlsplit(request.url).query)
    assert request.body is None
    assert json.loads(query["data"][0]) == json.loads(json.dumps(envelope(batch("MintA", "MintB"))))
    assert query.get("token") == (["t"] if "token" in url else None)


def test_address_of_more_than_8000_characters_does_not_fit() -> None:
    name = "n" * 4_000
    frame = json.dumps({"name": name}).encode()
    assert fits(build_request(batch("A", frame=frame), "GET", URL, None))
    assert not fits(build_request(batch("A", "B", frame=frame), "GET", URL, None))
    assert fits(build_request(batch("A", "B", frame=frame), "POST", URL, None))


def test_request_shows_nothing_but_its_method() -> None:
    request = build_request(batch(), "POST", "https://user:pw@host/?k=secret", "X: secret")
    assert repr(request) == "WebhookRequest(method='POST')"


def test_halves_hold_every_coin_once_and_have_stable_ids() -> None:
    first, second = batch("A", "B", "C").halves()

    assert [one.mint for one in first.coins] == ["A"]
    assert [one.mint for one in second.coins] == ["B", "C"]
    assert (first.batch_id, second.batch_id) == ("id1.1", "id1.2")
    assert batch("A", "B", "C").halves() == (first, second)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.text(), JSON, max_size=5), method=st.sampled_from(["POST", "GET"]))
def test_any_frame_becomes_a_request_of_valid_json(fields: dict[str, Any], method: str) -> None:
    frame = json.dumps(fields).encode()
    request = build_request(batch(frame=frame), method, URL, None)
    text = request.body or parse_qs(urlsplit(request.url).query)["data"][0]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(text, parse_constant=refuse)["count"] == 1
