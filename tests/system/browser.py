"""A page in Debian's Chromium that can reach this machine and nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.system import needs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Page, Request, Response

_LIMIT_MS = 15_000
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever a page asks of another machine fails, and is seen to fail.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE 127.0.0.2",
)


class Watch:
    """Notes what a page asks for, what goes wrong with it, and what its scripts complain about."""

    def __init__(self, page: Page) -> None:
        self.requested: list[str] = []
        self.troubles: list[str] = []
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("requestfailed", self._failed)
        page.on("console", self._console)
        page.on("pageerror", self._error)

    def _request(self, request: Request) -> None:
        self.requested.append(request.url)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status} {response.url}")

    def _failed(self, request: Request) -> None:
        self.troubles.append(f"failed: {request.url} ({request.failure})")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(f"console: {message.text}")

    def _error(self, error: Exception) -> None:
        self.troubles.append(f"script: {error}")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Page, Watch]]:
    """Start a browser with one empty page; a failure leaves a picture of it in `folder`."""
    executable = needs.command("chromium", "chromium")
    needs.module("playwright")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only these tests need it

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 1600})
            page.set_default_timeout(_LIMIT_MS)
            with _pictured(page, folder / "failed.png"):
                yield page, Watch(page)
        finally:
            browser.close()


@contextmanager
def _pictured(page: Page, picture: Path) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        page.screenshot(path=picture, full_page=True)
        error.add_note(f"The page: {picture}")
        raise
