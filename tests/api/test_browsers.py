"""What a browser may ask for on behalf of a page: everything for our own, nothing for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.fakes import MINT

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from tests.api.fakes import FakeSupervisor

HERE = "http://127.0.0.1:8000"
CHANGE = f"/trackers/{MINT}/pause"


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:3000",
        "http://127.0.0.1:8001",
        "http://127.0.0.1",
        "http://localhost:8000",
        "http://[::1]:8000",
        "http://127.0.0.1:8000.evil",
        "http://evil@127.0.0.1:8000",
        "127.0.0.1:8000",
        "file://",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("path", [CHANGE, "/reload-config"])
def test_page_of_another_origin_changes_nothing(
    lonely: FlaskClient, supervisor: FakeSupervisor, path: str, origin: str
) -> None:
    answer = lonely.post(path, base_url=HERE, headers={"Origin": origin})

    assert answer.status_code == 403
    assert supervisor.asked == []


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8000", HERE),
        ("LOCALHOST:8000", "http://localhost:8000"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost:443", "https://localhost"),
        ("[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_own_page_reaches_the_supervisor(
    lonely: FlaskClient, supervisor: FakeSupervisor, host: str, origin: str
) -> None:
    lonely.post(CHANGE, headers={"Host": host, "Origin": origin})

    assert len(supervisor.asked) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "path",
    [f"/trackers/{MINT}/tap", "/actors", "/database/streams", "/metrics", "/openapi.json", "/docs"],
)
def test_page_of_another_site_gets_nothing_that_costs(
    lonely: FlaskClient, supervisor: FakeSupervisor, path: str, site: str
) -> None:
    answer = lonely.get(path, base_url=HERE, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403
    assert supervisor.asked == []


def test_link_on_another_site_leads_to_the_pages_and_to_nothing_else(lonely: FlaskClient) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    window, frame = link | {"Sec-Fetch-Dest": "document"}, link | {"Sec-Fetch-Dest": "iframe"}

    assert lonely.get("/docs", base_url=HERE, headers=window).status_code == 200
    assert lonely.get("/docs", base_url=HERE, headers=frame).status_code == 403
    assert lonely.get("/actors", base_url=HERE, headers=window).status_code == 403
    assert lonely.get(f"/trackers/{MINT}/tap", base_url=HERE, headers=window).status_code == 403


@pytest.mark.parametrize("path", ["/livez", "/actors"])
def test_who_is_no_browser_or_types_the_address_is_answered(
    lonely: FlaskClient, supervisor: FakeSupervisor, path: str
) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}):
        assert lonely.get(path, base_url=HERE, headers=headers).status_code == 200


def test_probe_is_answered_whoever_asks(lonely: FlaskClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert lonely.get("/livez", base_url=HERE, headers=headers).status_code == 200
