"""What stands in the journal, as lines of JSON: pure functions between records and bytes.

A frame is `{"received_at": 1783089923.111020, "seq": 7, "message": <the frame, byte for byte>}`;
`received_at` is Unix time in seconds with exactly six decimals, so microseconds survive. A frame
that cannot stand inside a line of JSON (not JSON, not UTF-8, or spread over several lines) is
`{"received_at": ..., "seq": ..., "raw": "<base64>"}`. A fact is
`{"fact": "tracker_started", "at_us": ..., "seq": ..., "mint": ..., ...}`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.domain import US_PER_SECOND, Mint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Scalar = str | int | bool | None

_FRAME: Final = re.compile(
    rb'\{"received_at": (\d{1,12})\.(\d{6}), "seq": (\d{1,20}), "(message|raw)": (.+)\}\n',
    re.DOTALL,
)
_FACT_START: Final = b'{"fact": '
_RAW_FIELD: Final = b'"raw": "'
_FACT_FIELDS: Final = frozenset({"fact", "at_us", "seq", "mint"})


class FrameRecord(msgspec.Struct, frozen=True, gc=False):
    """One frame of the feed as it came off the socket."""

    seq: int
    """Place in the order of arrival, 0 or more; never falls from one record to the next."""
    at_us: int
    """When it arrived, microseconds UTC, 0 or more."""
    data: bytes
    """Any bytes at all; they come back unchanged."""


class FactRecord(msgspec.Struct, frozen=True, gc=False):
    """Something besides frames that a replay must know, at its place among them."""

    seq: int
    """Sequence number of the last frame before it."""
    at_us: int
    """When it became true, microseconds UTC."""
    name: str
    """Past tense: `tracker_started`, `tracker_stopped`, `tracker_cut`, `phase_changed`, ..."""
    mint: Mint | None = None
    details: dict[str, Scalar] = {}
    """Further fields; the names of the fields above are reserved and left out."""


Record = FrameRecord | FactRecord


class _Named(msgspec.Struct, gc=False):
    mint: str | None = None


_is_json: Final[Callable[[bytes], object]] = msgspec.json.Decoder(msgspec.Raw).decode
_named: Final = msgspec.json.Decoder(_Named)


def encode(record: Record) -> bytes:
    r"""Write a record as one line that ends in `\n` and holds no other; takes any bytes."""
    if isinstance(record, FactRecord):
        return _encode_fact(record)
    seconds, micros = divmod(record.at_us, US_PER_SECOND)
    if _fits_a_line(record.data):
        key, value = b"message", record.data
    else:
        key, value = b"raw", b'"%b"' % base64.b64encode(record.data)
    head = b'{"received_at": %d.%06d, "seq": %d, ' % (seconds, micros, record.seq)
    return b'%b"%b": %b}\n' % (head, key, value)


def encode_all(records: Sequence[Record]) -> bytes:
    """Write the records of a slice, each as `encode` does; for frames in half of the time."""
    frames = [record for record in records if isinstance(record, FrameRecord)]
    texts = b"".join([frame.data for frame in frames])
    # One look at all of them spares three at each.
    if len(frames) < len(records) or not texts.isascii() or b"\n" in texts or b"\r" in texts:
        return b"".join([encode(record) for record in records])
    lines: list[bytes] = []
    for frame in frames:
        data, at_us = frame.data, frame.at_us
        try:
            _is_json(data)
        except (msgspec.DecodeError, RecursionError):
            lines.append(encode(frame))
        else:
            head = (at_us // US_PER_SECOND, at_us % US_PER_SECOND, frame.seq)
            lines += (b'{"received_at": %d.%06d, "seq": %d, "message": ' % head, data, b"}\n")
    return b"".join(lines)


def _encode_fact(fact: FactRecord) -> bytes:
    fields: dict[str, Scalar] = {"fact": fact.name, "at_us": fact.at_us, "seq": fact.seq}
    if fact.mint is not None:
        fields["mint"] = fact.mint
    fields |= {key: value for key, value in fact.details.items() if key not in _FACT_FIELDS}
    # json and not msgspec: it also takes texts with lone surrogates.
    return json.dumps(fields).encode("ascii") + b"\n"


def _fits_a_line(data: bytes) -> bool:
    if b"\n" in data or b"\r" in data:
        return False
    try:
        _is_json(data)
        if not data.isascii():
            data.decode("utf-8")  # msgspec skips texts without looking at their encoding
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def decode(line: bytes) -> Record | None:
    """Read one whole line (with its line break). None: it is not a line of the journal.

    The frame inside is cut out, not parsed: see `is_sound` for a full check.
    """
    if line.startswith(_FACT_START):
        return _decode_fact(line)
    match = _FRAME.fullmatch(line)
    if match is None:
        return None
    seconds, micros, seq, key, value = match.groups()
    if key == b"raw":
        try:
            value = base64.b64decode(value[1:-1], validate=True)
        except binascii.Error:
            return None
    return FrameRecord(seq=int(seq), at_us=int(seconds) * US_PER_SECOND + int(micros), data=value)


def _decode_fact(line: bytes) -> FactRecord | None:
    try:
        fields: dict[str, Any] = json.loads(line)
        return msgspec.convert(
            {
                "seq": fields.pop("seq"),
                "at_us": fields.pop("at_us"),
                "name": fields.pop("fact"),
                "mint": fields.pop("mint", None),
                "details": fields,
            },
            FactRecord,
        )
    except (ValueError, KeyError, msgspec.ValidationError):
        return None


def is_sound(line: bytes) -> bool:
    """Say whether a line, with or without its line break, is a record down to the frame inside."""
    whole = line if line.endswith(b"\n") else line + b"\n"
    if decode(whole) is None:
        return False
    try:
        _is_json(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def may_name(line: bytes, mint: bytes) -> bool:
    """Say cheaply whether a line could be about a mint: False is certain, True is not.

    Escaped characters and base64 hide a name from a search, so such lines could be about any mint.
    """
    return mint in line or b"\\" in line or _RAW_FIELD in line


def names(record: Record, mint: Mint) -> bool:
    """Say whether a record is about a mint, by its field `mint`.

    A frame that no parser reads is about every mint it mentions.
    """
    if isinstance(record, FactRecord):
        return record.mint == mint
    try:
        return _named.decode(record.data).mint == mint
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _names_tolerantly(record.data, mint)


def _names_tolerantly(data: bytes, mint: Mint) -> bool:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        return mint.encode("utf-8", "surrogatepass") in data
    return isinstance(frame, dict) and frame.get("mint") == mint
