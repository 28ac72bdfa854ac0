"""Everything a feed can do wrong, as settings and pure changes to a stream of frames.

Purpose: spoil a stream on purpose, with a seed, so that a run can be repeated.
Guarantees: frames are added, moved or renamed, never lost; no fault changes an amount of a real
trade, so sums over the honest frames stay what they were.
Relies on: frames arriving in due order; time coming in as an argument.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from dataclasses import dataclass, fields
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import msgspec

from simulator.frames import BROKEN, CREATE, OTHER, TRADES, Frame, migrate_frame
from simulator.identity import Identities
from simulator.quantiles import chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_US_PER_S = 1_000_000
_HOLD_US = 1_000_000
_BURST_HOLD_US = 5_000_000
_REMEMBERED_MINTS = 10_000


class FaultError(ValueError):
    """A fault setting that does not exist or is out of bounds."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults, and how often. Shares are probabilities in 0..1; everything is off.

    Attributes:
        duplicates: share of frames sent twice.
        swaps: share of frames that change places with the next frame of the same mint.
        unknown_types: share of frames followed by one with an unknown txType.
        not_json: share of frames followed by text that is not JSON.
        arrays: share of frames followed by a JSON array.
        invalid_utf8: share of frames followed by a text frame that is not UTF-8.
        odd_amounts: share of trades followed by one with a NaN, infinite, huge or negative amount.
        nul_names: share of creates with NUL bytes in the name.
        surrogate_names: share of creates with a lone surrogate in the name.
        rtl_names: share of creates with a right-to-left name.
        long_names: share of creates with a name of 5,000 letters.
        bundles: share of trades that take over the signature of the mint's trade before.
        migrate_after_create: share of creates followed by a migrate 35 to 240 ms later.
        delays: share of frames that come late, by `delay_min_s` to `delay_max_s`.
        delay_min_s: shortest delay in seconds.
        delay_max_s: longest delay in seconds.
        burst_size: gather so many frames (for at most 5 s) and send them within 10 ms; 0: off.
        redeliver: send the last so many data frames again after a reconnect; 0: off.
    """

    duplicates: float = 0.0
    swaps: float = 0.0
    unknown_types: float = 0.0
    not_json: float = 0.0
    arrays: float = 0.0
    invalid_utf8: float = 0.0
    odd_amounts: float = 0.0
    nul_names: float = 0.0
    surrogate_names: float = 0.0
    rtl_names: float = 0.0
    long_names: float = 0.0
    bundles: float = 0.0
    migrate_after_create: float = 0.0
    delays: float = 0.0
    delay_min_s: float = 0.3
    delay_max_s: float = 39.0
    burst_size: int = 0
    redeliver: int = 0

    def __post_init__(self) -> None:
        for name, value in self.shares():
            if not 0 <= value <= 1:
                raise FaultError(f"fault {name} is {value}; it is a share and must be in 0..1")
        if not 0 < self.delay_min_s <= self.delay_max_s:
            raise FaultError("delay_min_s must be above 0 and not above delay_max_s")
        if not (0 <= self.burst_size <= 10_000 and 0 <= self.redeliver <= 100_000):  # noqa: PLR2004 -- memory bounds
            raise FaultError("burst_size must be in 0..10000 and redeliver in 0..100000")

    def shares(self) -> Iterator[tuple[str, float]]:
        """Yield the name and value of every share."""
        for field in fields(self):
            if not field.name.startswith(("delay_", "burst_", "redeliver")):
                yield field.name, getattr(self, field.name)

    @property
    def any(self) -> bool:
        """Whether a stream is changed at all."""
        return self.burst_size > 0 or any(value > 0 for _, value in self.shares())


def read_faults(settings: Iterable[tuple[str, object]]) -> Faults:
    """Build faults from names and values, given as texts or numbers.

    Raises:
        FaultError: for an unknown name or a value out of bounds.
    """
    known = {field.name for field in fields(Faults)}
    chosen: dict[str, float | int] = {}
    for name, value in settings:
        key = name.replace("-", "_")
        if key not in known:
            raise FaultError(f"there is no fault {name!r}; there are: {', '.join(sorted(known))}")
        try:
            number = float(str(value))
        except ValueError:
            raise FaultError(f"fault {name} is {value!r}; it must be a number") from None
        if not math.isfinite(number):
            raise FaultError(f"fault {name} is {value!r}; it must be finite")
        chosen[key] = int(number) if key in {"burst_size", "redeliver"} else number
    return Faults(**chosen)  # type: ignore[arg-type]  # the ints are made in the line above


def renamed(frame: Frame, name: str) -> Frame:
    """Give a create another name; `name` is the inside of a JSON string, escapes included."""
    message = msgspec.json.decode(frame.data, type=dict[str, msgspec.Raw])
    message["name"] = msgspec.Raw(f'"{name}"'.encode())
    return msgspec.structs.replace(frame, data=_joined(message))


def with_amount(frame: Frame, field: str, literal: bytes) -> Frame:
    """Write `literal` (JSON or not) where a number stands; the frame becomes `broken`."""
    message = msgspec.json.decode(frame.data, type=dict[str, msgspec.Raw])
    message[field] = msgspec.Raw(literal)
    return msgspec.structs.replace(frame, kind=BROKEN, data=_joined(message))


def with_signature(frame: Frame, signature: str) -> Frame:
    """Put a frame under another signature."""
    message = msgspec.json.decode(frame.data, type=dict[str, msgspec.Raw])
    message["signature"] = msgspec.Raw(f'"{signature}"'.encode())
    return msgspec.structs.replace(frame, data=_joined(message))


def with_type(frame: Frame, tx_type: str) -> Frame:
    """Give a frame a txType that nobody knows."""
    message = msgspec.json.decode(frame.data, type=dict[str, msgspec.Raw])
    message["txType"] = msgspec.Raw(f'"{tx_type}"'.encode())
    return msgspec.structs.replace(frame, kind=OTHER, data=_joined(message))


def _joined(message: dict[str, msgspec.Raw]) -> bytes:
    # Joined by hand: an encoder would refuse the literals that are the point here.
    inside = b",".join(b'"%b":%b' % (key.encode(), bytes(raw)) for key, raw in message.items())
    return b"{" + inside + b"}"


NUL_NAME = r"nul\u0000inside"
SURROGATE_NAME = r"lone \ud83d surrogate"
RTL_NAME = "\u202e\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd"
LONG_NAME = "L" * 5000
NOT_JSON = (b"upstream request timeout", b'{"txType":"buy","mint":', b"<html>502</html>", b"")
ARRAY = b'[{"txType":"buy"},1,null]'
INVALID_UTF8 = b'{"txType":"create","mint":"x","name":"\xff\xfe\xed\xa0\x80"}'
ODD_LITERALS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"1e300",
    b"-5",
    b"-0.000001",
    b"99999999999999999999999999",
    b"null",
    b'"12"',
)
_NAME_FAULTS = (
    ("nul_names", NUL_NAME),
    ("surrogate_names", SURROGATE_NAME),
    ("rtl_names", RTL_NAME),
    ("long_names", LONG_NAME),
)


class FaultPipe:
    """Applies faults to a stream. Not thread-safe, never blocks."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.faults = faults
        self._rng = Random(seed)  # noqa: S311 -- repeatable faults, no secret
        self._ids = Identities(self._rng)
        self._numbers = count()
        self._later: list[tuple[int, int, Frame]] = []
        self._gathered: list[Frame] = []
        self._swapping: dict[str, Frame] = {}
        self._signatures: OrderedDict[str, str] = OrderedDict()
        self._extra: tuple[tuple[str, Callable[[Frame], Frame]], ...] = (
            ("unknown_types", lambda frame: with_type(frame, "liquidate")),
            ("not_json", lambda frame: self._noise(frame, self._rng.choice(NOT_JSON))),
            ("arrays", lambda frame: self._noise(frame, ARRAY)),
            ("invalid_utf8", lambda frame: self._noise(frame, INVALID_UTF8)),
        )

    @property
    def next_due_us(self) -> int | None:
        """When a held frame is due; None when none is held."""
        dues = [self._later[0][0]] if self._later else []
        dues += [frame.due_us + _HOLD_US for frame in self._swapping.values()]
        if self._gathered:
            dues.append(self._gathered[0].due_us + _BURST_HOLD_US)
        return min(dues, default=None)

    def feed(self, frames: Sequence[Frame], now_us: int) -> list[Frame]:
        """Take the next frames and return all that are due by `now_us`, in order."""
        for frame in frames:
            for spoiled in self._spoil(frame):
                self._swap(spoiled)
        self._release_swaps(now_us)
        due: list[Frame] = []
        while self._later and self._later[0][0] <= now_us:
            due.append(heapq.heappop(self._later)[2])
        return self._bursts(due, now_us) if self.faults.burst_size or self._gathered else due

    def drain(self) -> list[Frame]:
        """Return everything held back, in order; for a change of settings or the end."""
        for frame in self._swapping.values():
            self._hold(frame, frame.due_us)
        self._swapping.clear()
        rest = [frame for _, _, frame in sorted(self._later)]
        self._later.clear()
        gathered, self._gathered = self._gathered, []
        return gathered + rest

    def _spoil(self, frame: Frame) -> Iterator[Frame]:
        faults, rng = self.faults, self._rng
        changed = self._changed(frame)
        yield changed
        if chance(rng, faults.duplicates):
            yield changed
        for name, make in self._extra:
            if chance(rng, getattr(faults, name)):
                yield make(frame)
        if frame.kind in TRADES and chance(rng, faults.odd_amounts):
            field = rng.choice(("solAmount", "tokenAmount"))
            yield with_amount(frame, field, rng.choice(ODD_LITERALS))
        if frame.kind == CREATE and chance(rng, faults.migrate_after_create):
            due_us = frame.due_us + rng.randrange(35_000, 240_000)
            yield migrate_frame(due_us, frame.mint, self._ids.signature())

    def _changed(self, frame: Frame) -> Frame:
        if frame.kind in TRADES and self.faults.bundles > 0:
            return self._bundled(frame)
        if frame.kind == CREATE:
            for fault, name in _NAME_FAULTS:
                if chance(self._rng, getattr(self.faults, fault)):
                    return renamed(frame, name)
        return frame

    def _bundled(self, frame: Frame) -> Frame:
        before = self._signatures.get(frame.mint)
        if before is not None and chance(self._rng, self.faults.bundles):
            return with_signature(frame, before)
        self._signatures[frame.mint] = msgspec.json.decode(frame.data)["signature"]
        if len(self._signatures) > _REMEMBERED_MINTS:
            self._signatures.popitem(last=False)
        return frame

    def _noise(self, frame: Frame, data: bytes) -> Frame:
        return Frame(frame.due_us, BROKEN, "", "", data)

    def _swap(self, frame: Frame) -> None:
        earlier = self._swapping.pop(frame.mint, None)
        if earlier is None and frame.mint and chance(self._rng, self.faults.swaps):
            self._swapping[frame.mint] = frame
            return
        self._hold(frame, self._late_us(frame))
        if earlier is not None:
            self._hold(earlier, frame.due_us)

    def _late_us(self, frame: Frame) -> int:
        if not chance(self._rng, self.faults.delays):
            return frame.due_us
        low, high = math.log(self.faults.delay_min_s), math.log(self.faults.delay_max_s)
        return frame.due_us + int(math.exp(self._rng.uniform(low, high)) * _US_PER_S)

    def _release_swaps(self, now_us: int) -> None:
        lonely = [m for m, frame in self._swapping.items() if frame.due_us + _HOLD_US <= now_us]
        for mint in lonely:
            self._hold(self._swapping.pop(mint), now_us)

    def _hold(self, frame: Frame, due_us: int) -> None:
        heapq.heappush(self._later, (due_us, next(self._numbers), frame))

    def _bursts(self, due: list[Frame], now_us: int) -> list[Frame]:
        self._gathered += due
        size = self.faults.burst_size
        full = len(self._gathered) >= max(1, size)
        if not self._gathered or not (full or self._gathered[0].due_us + _BURST_HOLD_US <= now_us):
            return []
        released, self._gathered = self._gathered, []
        return released


class Tail:
    """The last data frames of a connection, to be sent again on the next one."""

    def __init__(self, size: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=size)

    def remember(self, frames: Iterable[Frame]) -> None:
        """Note frames that were sent; the oldest are forgotten."""
        self._frames.extend(frames)

    def frames(self) -> list[Frame]:
        """Return what is remembered, oldest first."""
        return list(self._frames)
