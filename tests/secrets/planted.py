"""Secrets that a test plants, and the search for them in everything a service leaves behind.

A planted secret is searched for as it is and in every spelling that a library could give it:
percent-encoded, as JSON and Python write it, and in Base64, as HTTP sends credentials.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLANTED: Final = "pl4nted/s3cret@x"
"""A secret that is written in another way in nearly every form."""
DSN_SECRETS: Final = {
    "password": PLANTED,
    "sslpassword": PLANTED,
    "scram_client_key": PLANTED,
    "scram_server_key": PLANTED,
    "oauth_client_secret": PLANTED,
    "options": f"-c statement_timeout=7 -c app.token={PLANTED}",
    "options --": f"--app.whatever={PLANTED} --statement-timeout=7",
    "options -cX": f"-capp.whatever={PLANTED} -c statement_timeout=7",
    "options lone": f"-c statement_timeout=7 {PLANTED}",
    "oauth_issuer user": f"https://{quote(PLANTED, safe='')}@issuer/x",
    "oauth_issuer query": f"https://issuer/x?code={quote(PLANTED, safe='')}",
    "sslkey": f"pkcs11:pin-value={PLANTED}",
}
"""A place for a secret in a DSN (parameter and remark), and the parameter's value with one."""
DSN_FORMS: Final = ("address", "address, all encoded", "key=value")
FEED_ADDRESSES: Final = {
    "query": f"ws://127.0.0.1:1/feed?token={quote(PLANTED, safe='')}",
    "query as it is": "ws://127.0.0.1:1/feed?other=pl4nted/s3cret",
    "lone token": f"ws://127.0.0.1:1/feed?{quote(PLANTED, safe='')}",
    "odd name": f"ws://127.0.0.1:1/feed?%74oken={quote(PLANTED, safe='')}",
    "fragment": f"ws://127.0.0.1:1/feed#{quote(PLANTED, safe='')}",
    "fragment's value": f"ws://127.0.0.1:1/feed#access_token={quote(PLANTED, safe='')}",
}
"""Addresses of a feed, by the place of the secret."""
FEED_PLANTED: Final = (PLANTED, "pl4nted/s3cret", "s3cret")
HOOK_ADDRESSES: Final = {
    place: address.replace("ws://", "http://") for place, address in FEED_ADDRESSES.items()
} | {
    "user": f"http://{quote(PLANTED, safe='')}@127.0.0.1:1/feed",
    "password": f"http://u:{quote(PLANTED, safe='')}@127.0.0.1:1/feed",
}
_GZIP = b"\x1f\x8b"


def dsn_with(place: str, form: str) -> str:
    """Write a DSN that nobody answers to, with the secret of `DSN_SECRETS` in one of the forms."""
    name, value = place.partition(" ")[0], DSN_SECRETS[place]
    if form == "key=value":
        # The parameter is given by hand: psycopg would refuse one that libpq does not know.
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        plain = make_conninfo(host="127.0.0.1", port=1, dbname="coins", user="mint")
        return f"{plain} {name}='{quoted}'"
    if form == "address":
        return f"postgresql://mint@127.0.0.1:1/coins?{name}={quote(value, safe='')}"
    return f"postgresql://mint@127.0.0.1:1/coins?{_all_encoded(name)}={_all_encoded(value)}"


def _all_encoded(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def spellings(secret: str) -> set[bytes]:
    """Give the forms in which a secret could stand somewhere."""
    plain = {
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower(),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
    return {form.encode() for form in plain} | _in_base64(secret.encode())


def leaks(data: bytes, secrets: Iterable[str]) -> list[str]:
    """Name the secrets that stand in some bytes."""
    return [secret for secret in secrets if any(form in data for form in spellings(secret))]


def leaking_files(
    folder: Path, secrets: Iterable[str], but: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Name the files of a folder, by path, that hold secrets; compressed ones are unpacked."""
    known, spared = tuple(secrets), set(but)
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in spared and (held := leaks(_content(path), known)):
            found[name] = held
    return found


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw.startswith(_GZIP) else raw


def _in_base64(raw: bytes) -> set[bytes]:
    """Give what a text looks like in Base64, wherever in the encoded bytes it begins.

    The first and the last characters depend on the neighbours, so they are left out.
    """
    found = set()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        found.add(encoded[4 if before else 0 : -4])
    return {form for form in found if len(form) >= 12}
