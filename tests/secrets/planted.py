"""Secrets that a test plants, and the search for them in everything a service leaves behind.

A planted secret is searched for as it is and in every spelling that a library could give it:
percent-encoded, as JSON and Python write it, and in Base64, as HTTP sends credentials.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_GZIP = b"\x1f\x8b"


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
