"""What appending to the journal costs: microseconds a frame, by fsync mode and size of the slice.

The appending thread alone is timed, beside the upkeep thread at work (sync, rotation, compression).
The machine's disk decides the figures for fsync `slice`; its frames are fewer for that reason.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from actors.journal.writer import FrameRecord, Fsync, JournalState, JournalWriter

SEGMENT_BYTES: Final = 4 * 1024 * 1024
SLICES: Final = (1, 16, 256)
FRAMES: Final[dict[Fsync, int]] = {"never": 50_000, "second": 50_000, "slice": 2_000}
FRAME: Final = (
    b'{"signature":"5N5h7ehwg5ragxwPSACUsSg1tfuT5bK3uE9qsshrNrofjuqR1gaM3G4uVMJFUgT4Vwr3QqkyJQaQ",'
    b'"mint":"g5nAdAoNfmoemZrnzHKZV3HMUofXM2fPsQ8vLBqqd2Hpump","txType":"buy",'
    b'"traderPublicKey":"bwamJzztZsepfkteWRChggmXuiiCQvpLqPietdNfSXa","tokenAmount":151660777.33,'
    b'"solAmount":4.938271603,"newTokenBalance":151660777.33,'
    b'"bondingCurveKey":"GDEagEqdveEs9HYcd3pbDXfV8Xs7bKofbinvFwX6hP3i",'
    b'"vTokensInBondingCurve":921339222.6659551,"vSolInBondingCurve":34.93827160299997,'
    b'"marketCapSol":37.921181193072194,"pool":"pump"}'
)


class Result(msgspec.Struct, frozen=True):
    """One measured combination."""

    fsync: Fsync
    slice_frames: int
    frames: int
    us_per_frame: float
    longest_append_ms: float

    def __str__(self) -> str:
        return (
            f"journal append, fsync {self.fsync:<6}, slices of {self.slice_frames:>3}: "
            f"{self.us_per_frame:8.2f} us/frame, longest append {self.longest_append_ms:7.2f} ms "
            f"({self.frames} frames of {len(FRAME)} bytes)"
        )


def run() -> list[Result]:
    """Measure every combination; takes some seconds and up to 100 MB of the temporary folder."""
    return [
        _measure(fsync, size, frames // size * size)
        for fsync, frames in FRAMES.items()
        for size in SLICES
    ]


def _measure(fsync: Fsync, size: int, frames: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="mintwatch-bench-") as folder:
        writer = JournalWriter(
            Path(folder) / "journal",
            fsync=fsync,
            max_bytes=1 << 30,
            max_age_hours=24,
            wall_us=lambda: time.time_ns() // 1000,
            monotonic_s=time.monotonic,
            segment_bytes=SEGMENT_BYTES,
        )
        writer.open()
        slices = [
            [
                FrameRecord(seq, 1_783_089_923_000_000 + seq, FRAME)
                for seq in range(first, first + size)
            ]
            for first in range(1, frames + 1, size)
        ]
        total_ns = longest_ns = 0
        for records in slices:
            began = time.perf_counter_ns()
            writer.append(records)
            took = time.perf_counter_ns() - began
            total_ns, longest_ns = total_ns + took, max(longest_ns, took)
        stats = writer.stats()
        writer.close()
    if stats.state is not JournalState.OK or stats.appended_records != frames:
        message = f"expected {frames} frames in the journal, found {stats}"
        raise RuntimeError(message)
    return Result(fsync, size, frames, total_ns / frames / 1000, longest_ns / 1e6)


if __name__ == "__main__":
    for result in run():
        print(result)
