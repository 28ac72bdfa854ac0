"""Recordings of the feed: reading, writing, and making one from the market.

A recording has one JSON object a line, `{"received_at": unix seconds or null, "message": frame}`,
in arrival order; `.gz` files are gzip.
"""

from __future__ import annotations

import gzip
import math
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import msgspec

from simulator.dialogue import (
    REFUSED_WITHOUT_KEY,
    SUBSCRIBED_CREATES,
    SUBSCRIBED_MIGRATIONS,
)
from simulator.market import Market, MarketConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_MAX_LINE_BYTES = 16 * 1024 * 1024
_MAX_UNIX_S = 100_000_000_000
_CHUNK_US = 1_000_000
SIMULATED_START_S = 1_767_225_600
_CONTROL_TEXTS = (SUBSCRIBED_CREATES, SUBSCRIBED_MIGRATIONS, REFUSED_WITHOUT_KEY)


class RecordingError(Exception):
    """A recording that cannot be read; the text names the file, the line and the remedy."""


class Recorded(NamedTuple):
    """One line of a recording.

    Attributes:
        received_at_us: unix time in microseconds; None when it was not recorded.
        frame: the frame's text, byte for byte.
    """

    received_at_us: int | None
    frame: bytes


class _Line(msgspec.Struct, forbid_unknown_fields=False):
    message: msgspec.Raw
    received_at: float | None = None


def read_recording(path: Path | str) -> Iterator[Recorded]:
    """Yield the lines of a recording in file order, reading as it goes.

    Raises:
        RecordingError: at the first line that cannot be read, or when the file cannot be opened.
    """
    file = Path(path)
    decoder = msgspec.json.Decoder(_Line)
    try:
        with _opened(file) as lines:
            number = 0
            while line := lines.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if not line.isspace():
                    yield _read_line(decoder, line, file, number)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(
            f"{file}: cannot be read ({error}); check the path and that the file is complete"
        ) from error


def _read_line(
    decoder: msgspec.json.Decoder[_Line], line: bytes, file: Path, number: int
) -> Recorded:
    if len(line) > _MAX_LINE_BYTES:
        raise _bad_line(file, number, f"more than {_MAX_LINE_BYTES} bytes")
    try:
        read = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad_line(file, number, f"{line[:60]!r} ({error})") from error
    if read.received_at is None:
        return Recorded(None, bytes(read.message))
    if not (math.isfinite(read.received_at) and 0 <= read.received_at <= _MAX_UNIX_S):
        raise _bad_line(file, number, f"received_at {read.received_at}")
    return Recorded(round(read.received_at * 1_000_000), bytes(read.message))


def _bad_line(file: Path, number: int, found: str) -> RecordingError:
    return RecordingError(
        f"{file}, line {number}: found {found}; expected "
        '{"received_at": unix seconds or null, "message": {frame}}; '
        "remove the line or record the file again"
    )


def _opened(file: Path) -> IO[bytes]:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]  # GzipFile reads like a file


@contextmanager
def _writing(file: Path) -> Iterator[IO[bytes]]:
    with file.open("wb") as raw:
        if file.suffix != ".gz":
            yield raw
            return
        # No name and no time inside, so that the same content gives the same file.
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]  # GzipFile writes like a file


def recording_line(unix_s: float, frame: bytes) -> bytes:
    """Write one line; the frame's bytes stay as they are."""
    return b'{"received_at": %.6f, "message": %b}\n' % (unix_s, frame)


def record_market(
    path: Path | str,
    seed: int,
    seconds: float,
    config: MarketConfig | None = None,
    *,
    kinds: Collection[str] | None = None,
    skip_s: float = 0.0,
    control_frames: bool = False,
) -> int:
    """Write what the market sends on simulated time, which starts on 1 January 2026.

    Args:
        path: the file; `.gz` is compressed, and the same arguments give the same bytes.
        seed: of the market.
        seconds: simulated length.
        config: of the market.
        kinds: txTypes to keep; None keeps all.
        skip_s: simulated seconds that pass before the recording starts.
        control_frames: begin with what a client without a key is told.

    Returns:
        The number of lines written.
    """
    market = Market(seed, config)
    written = 0
    start_us = int(skip_s * 1_000_000)
    end_us = start_us + int(seconds * 1_000_000)
    with _writing(Path(path)) as out:
        for text in _CONTROL_TEXTS if control_frames else ():
            out.write(recording_line(SIMULATED_START_S, text.encode()))
            written += 1
        market.frames(start_us)
        for until_us in _steps(start_us, end_us):
            for frame in market.frames(until_us):
                if kinds is None or frame.kind in kinds:
                    at_s = SIMULATED_START_S + (frame.due_us - start_us) / 1_000_000
                    out.write(recording_line(at_s, frame.data))
                    written += 1
    return written


def _steps(start_us: int, end_us: int) -> Iterator[int]:
    yield from range(start_us + _CHUNK_US, end_us, _CHUNK_US)
    yield end_us
