"""The documentation page in a real browser, without the internet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.system.browser import opened

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.support.service import Service

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

METHODS = {"get", "put", "post", "patch", "delete"}


def open_docs(page: Page, service: Service) -> str:
    """Open the page, wait until its operations are drawn, and return the service's address."""
    home = f"http://127.0.0.1:{service.port}"
    page.goto(f"{home}/docs")
    page.locator(".opblock").first.wait_for()
    return home


def shown_operations(page: Page) -> set[tuple[str, str]]:
    """Read methods and paths off the page; the path is drawn with invisible break marks."""
    blocks = page.locator(".opblock-summary")
    return {
        (
            block.locator(".opblock-summary-method").inner_text().lower(),
            block.locator(".opblock-summary-path").get_attribute("data-path") or "",
        )
        for block in blocks.all()
    }


def test_docs_page_shows_every_route_and_asks_nobody_but_the_service(
    service: Service, tmp_path: Path
) -> None:
    paths = service.json("/openapi.json")["paths"]
    expected = {(m, path) for path, item in paths.items() for m in item.keys() & METHODS}

    with opened(tmp_path) as (page, watch):
        home = open_docs(page, service)
        title = page.locator(".info .title").inner_text()
        shown = shown_operations(page)

    assert "mintwatch" in title
    assert shown == expected
    assert ("get", "/health") in shown
    assert watch.troubles == []
    assert {"/docs", "/openapi.json", "/docs/assets/swagger-ui-bundle.js"} <= {
        url.removeprefix(home) for url in watch.requested
    }
    outside = [url for url in watch.requested if not url.startswith((f"{home}/", "data:"))]
    assert outside == []


def test_trying_health_on_the_docs_page_shows_the_real_answer(
    service: Service, tmp_path: Path
) -> None:
    with opened(tmp_path) as (page, watch):
        open_docs(page, service)
        health = page.locator(".opblock", has=page.locator('[data-path="/health"]'))
        health.locator(".opblock-summary-control").click()
        health.get_by_role("button", name="Try it out").click()
        health.get_by_role("button", name="Execute").click()
        answer = health.locator(".live-responses-table")
        status = answer.locator("tbody .response-col_status").first.inner_text()
        body = json.loads(answer.locator(".highlight-code pre").first.inner_text())

    assert status.split()[0] == "200"
    assert body.keys() == service.json("/health").keys()
    assert body["status"] == "healthy"
    assert body["feed_state"] == "live"
    assert body["tracking_stats"]["active_coins"] > 0
    assert watch.troubles == []


def test_a_browser_that_asks_another_machine_is_noticed(service: Service, tmp_path: Path) -> None:
    with opened(tmp_path) as (page, watch):
        open_docs(page, service)
        page.evaluate("fetch('http://198.51.100.1/').catch(() => null)")

    assert any("198.51.100.1" in trouble for trouble in watch.troubles)
