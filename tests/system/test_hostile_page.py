"""A page of somebody else in the operator's own browser: it changes nothing and holds nothing."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.process import start_simulator
from tests.support.service import Service
from tests.support.waiting import wait_until
from tests.system.browser import opened
from tests.system.needs import MARKET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

TOKEN = "3d1f6c0b7a9e4f52b8c6d0e1f2a3b4c5"
TAPS = 8
PAGE = """<!DOCTYPE html><title>hostile</title><body><script>
const api = "%(api)s", mint = "%(mint)s", type = {"Content-Type": "application/json"};
const shout = (path, options) => fetch(api + path, {mode: "no-cors", ...options});
const put = body =>
  fetch(api + "/config", {method: "PUT", headers: type, body: JSON.stringify(body)});
const listen = path => new Promise(done => {
  const source = new EventSource(api + path);
  source.onopen = () => done("open");
  source.onerror = () => { source.close(); done("error"); };
});
const load = (tag, path) => new Promise(done => {
  const element = document.createElement(tag);
  element.onload = element.onerror = done;
  element.src = api + path;
  document.body.append(element);
});
const submit = path => new Promise(done => {
  const frame = document.createElement("iframe"), form = document.createElement("form");
  frame.name = "f" + Math.random();
  frame.onload = done;
  Object.assign(form, {method: "POST", action: api + path, target: frame.name});
  document.body.append(frame, form);
  form.submit();
});
const taps = Array.from({length: %(taps)d}, () => listen(`/trackers/${mint}/tap`));
window.tried = Promise.allSettled([
  ...taps,
  put({batch_size: 99}),
  shout("/reload-config", {method: "POST"}),
  shout(`/trackers/${mint}/pause`, {method: "POST"}),
  shout(`/trackers/${mint}/tap`, {}),
  submit(`/trackers/${mint}/pause`),
  load("img", "/metrics"),
  load("iframe", "/docs"),
]).then(() => document.title = "tried");
</script>"""


@contextmanager
def hostile_site(address: str, page: str) -> Iterator[str]:
    """Serve a page on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def a_tracked_mint(service: Service) -> str:
    def found() -> str | None:
        actors = service.json("/actors?kind=tracker&state=running")["actors"]
        return actors[0]["name"].partition(":")[2] if actors else None

    mint: str = wait_until(found, what="a tracker")
    return mint


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"], ids=["same-site", "cross-site"])
@pytest.mark.parametrize("token", [None, TOKEN], ids=["no token", "token"])
def test_page_of_another_origin_changes_nothing_and_holds_nothing(
    dsn: str, tmp_path: Path, address: str, token: str | None
) -> None:
    settings = {} if token is None else {"API_TOKEN": token}
    with (
        start_simulator(MARKET) as market,
        Service(
            tmp_path / "state",
            WS_URI=market.uri,
            PUMPPORTAL_API_KEY="funded",
            DB_DSN=dsn,
            ACTIVATION="trades",
            ACTIVATION_MIN_TRADES=0,
            **settings,
        ) as service,
    ):
        service.wait_ready()
        mint = a_tracked_mint(service)
        api = f"http://127.0.0.1:{service.port}"
        with (
            hostile_site(address, PAGE % {"api": api, "mint": mint, "taps": TAPS}) as site,
            opened(tmp_path) as (page, watch),
        ):
            page.goto(site)
            page.wait_for_function("document.title === 'tried'")
            asked = [url for url in watch.requested if url.startswith(api)]
            assert len(asked) >= TAPS + 6
            answered = [each for each in watch.troubles if each.partition(" ")[2] in asked]
            assert {each.partition(" ")[0] for each in answered} == {"403"}

            # While the page is still open: the operator's own taps are free.
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            tap = requests.get(
                f"{api}/trackers/{mint}/tap", headers=headers, stream=True, timeout=10
            )
            with tap:
                assert tap.status_code == 200
        assert service.json("/config/history")["count"] == 0
        assert service.json(f"/trackers/{mint}")["paused"] is False
