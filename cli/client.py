"""The way of the commands to a running service: its API, and nothing else.

Exit codes: 1, nobody answers; 3, the service refuses; 4, `status` has found a problem; 78, the
configuration cannot be used.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import click
import requests

from settings import Settings, SettingsError, destination, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT_S: Final = 5.0
EXIT_REFUSED: Final = 3
EXIT_BAD_CONFIGURATION: Final = 78
"""As sysexits.h has it (EX_CONFIG)."""
_UNAUTHORISED: Final = 401
_UNAUTHORISED_REMEDY: Final = "set API_TOKEN to the one it was started with"
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound to

_PLAIN: Final = re.compile("[A-Za-z0-9:_-]+")

P = ParamSpec("P")
R = TypeVar("R")


class NotReached(click.ClickException):
    """The service does not answer."""

    exit_code = 1

    def __init__(self, base: str, error: Exception) -> None:
        super().__init__(
            f"no answer from {base} ({type(error).__name__}): start the service with `mintwatch "
            "run`, or say where it runs with --url, or API_HOST and API_PORT."
        )


class Refused(click.ClickException):
    """The service answers, and does not do it."""

    exit_code = EXIT_REFUSED


class Client:
    """Asks the API. Each call waits a few seconds at most, unless told otherwise."""

    def __init__(self, base: str, token: str | None, remedy: str = _UNAUTHORISED_REMEDY) -> None:
        """Ask the service at `base`, an address such as http://127.0.0.1:8000.

        `remedy` is said where the service wants a token.
        """
        self.base = base.rstrip("/")
        self._remedy = remedy
        self._session = requests.Session()
        # No proxy, and no password file that replaces the token: it is this service that is meant.
        self._session.trust_env = False
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Ask for something.

        Raises:
            NotReached: Nobody answers.
            Refused: The service does not say it, and why.
        """
        return self.send("GET", path, params=params)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> dict[str, Any]:
        """Have something done; raises as `get` does."""
        with self._answer(method, path, body, params, timeout_s, stream=False) as answer:
            found: dict[str, Any] = answer.json()
            return found

    @contextmanager
    def lines(self, path: str, silence_s: float) -> Iterator[Iterator[str]]:
        """Open an event stream and give its lines; raises as `get` does.

        Silence of more than `silence_s` counts as no answer.
        """
        with self._answer("GET", path, None, None, silence_s, stream=True) as answer:
            yield (line.decode("utf-8", "replace") for line in answer.iter_lines(chunk_size=1))

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Any,
        params: dict[str, Any] | None,
        timeout_s: float,
        *,
        stream: bool,
    ) -> Iterator[requests.Response]:
        try:
            with self._session.request(
                method,
                self.base + path,
                json=body,
                params=params,
                timeout=(TIMEOUT_S, timeout_s),
                allow_redirects=False,
                stream=stream,
            ) as answer:
                _check(answer, self._remedy)
                yield answer
        except requests.RequestException as error:
            raise NotReached(self.base, error) from error


def whom_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say whom to ask: `url` and `send_token`."""
    url = click.option("--url", help="Where the service is; else http://API_HOST:API_PORT.")
    send_token = click.option(
        "--send-token", is_flag=True, help="Send API_TOKEN to --url, wherever that is."
    )
    return url(send_token(command))


def asking(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command a `Client` as its first argument, and the option that says whom to ask."""

    @whom_options
    @functools.wraps(command)
    def run(*args: Any, url: str | None, send_token: bool, **more: Any) -> R:
        client = client_of(settings_of_caller(), url, send_token=send_token)
        return command(client, *args, **more)

    return run


def client_of(settings: Settings, url: str | None = None, *, send_token: bool = False) -> Client:
    """Make a client for the service with these settings, or for another one.

    API_TOKEN belongs to the first: another scheme, host or port gets it with `send_token` alone.
    """
    token, home = settings.api_token, _address(settings.api_host, settings.api_port)
    if token is None:
        return Client(url or home, None)
    if send_token or url is None or destination(url) == destination(home):
        return Client(url or home, token.get_secret_value())
    return Client(url, None, f"API_TOKEN is that of {home}; if it is this one's, add --send-token")


def settings_of_caller() -> Settings:
    """Read the settings from the environment and `.env`; exit 78 when they cannot be used."""
    env_file = Path(".env")
    try:
        return load(dict(os.environ), env_file if env_file.exists() else None)
    except SettingsError as error:
        click.echo(f"mintwatch: the configuration cannot be used.\n{error}", err=True)
        sys.exit(EXIT_BAD_CONFIGURATION)


def quoted(text: str) -> str:
    """Write a name so that it can be one part of a path, whatever it is."""
    if _PLAIN.fullmatch(text):
        return text
    return f"~{text.encode('latin-1', 'replace').hex()}"


def _address(host: str, port: int) -> str:
    name = _ANYWHERE.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _check(answer: requests.Response, remedy: str) -> None:
    if answer.ok:
        return
    if answer.status_code == _UNAUTHORISED:
        raise Refused(f"the service wants its token: {remedy}.")
    try:
        found = answer.json()
        detail = "\n".join(found.get("errors") or [found["detail"]])
    except (ValueError, KeyError, AttributeError, TypeError):
        detail = f"the service answered {answer.status_code} {answer.reason}."
    raise Refused(detail)
