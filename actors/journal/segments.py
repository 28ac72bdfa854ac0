"""The files of a journal: names, inventory, repair of a tail, compressing, removing.

A segment is `journal-<seq>-<us>.jsonl` while it is written and `.jsonl.gz` once it is compressed.
The name gives the lowest sequence number inside and a time that no earlier segment goes beyond;
both have 20 digits, so names sort in the order of writing. Beside it may lie `.jsonl.torn` (bytes
cut off at a start) and `.jsonl.gz.tmp` (an unfinished compression).

Every function here blocks on the disk and raises `OSError` unless it says otherwise.
"""

from __future__ import annotations

import contextlib
import gzip
import mmap
import os
import re
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import msgspec

from actors.journal.records import is_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_NAME: Final = re.compile(r"(journal-(\d{20})-(\d{20}))\.jsonl(\.gz|\.torn|\.gz\.tmp)?")
_WHOLE: Final = frozenset({None, ".gz"})
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_CHUNK_BYTES: Final = 256 * 1024
_GZIP_LEVEL: Final = 4
ID: Final = "id"
"""Names the numbers that this journal gives: its id, and the last number from before it had one."""
CLOSED: Final = "closed"
"""The last number of a journal that was closed with nothing lost, and the folder's inode, as a copy
was not closed; removed at the next opening.
"""
LARGEST_ID: Final = 2**31 - 1
"""Ids are stored in a column of four bytes."""

sync_data: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)
"""Wait until a file's contents are on the disk (macOS has no fdatasync: fsync there)."""


class Segment(msgspec.Struct, frozen=True, order=True, gc=False):
    """One file of the journal; segments compare in the order of writing."""

    first_seq: int
    first_us: int

    @property
    def plain(self) -> str:
        """File name while it is not compressed."""
        return f"journal-{self.first_seq:020d}-{self.first_us:020d}.jsonl"

    @property
    def packed(self) -> str:
        """File name once it is compressed."""
        return f"{self.plain}.gz"

    @property
    def torn(self) -> str:
        """File name of the bytes that a repair cut off."""
        return f"{self.plain}.torn"


def list_segments(directory: Path) -> tuple[Segment, ...]:
    """Name the segments in the order of writing; a folder that does not exist is empty."""
    found: set[Segment] = set()
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):  # noqa: PTH208 - half the time of making paths
            match = _NAME.fullmatch(name)
            if match is not None and match[4] in _WHOLE:
                found.add(Segment(int(match[2]), int(match[3])))
    return tuple(sorted(found))


class Inventory(msgspec.Struct, frozen=True):
    """What the folder held when it was looked at."""

    segments: tuple[Segment, ...] = ()
    """In the order of writing."""
    plain: frozenset[Segment] = frozenset()
    """Those with an uncompressed file."""
    sizes: dict[Segment, int] = {}
    """Bytes of all files that belong to a segment."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all segments together."""
        return sum(self.sizes.values())


def take_inventory(directory: Path) -> Inventory:
    """List the segments; a folder that does not exist is empty, a file that vanishes left out."""
    plain: set[Segment] = set()
    whole: set[Segment] = set()
    sizes: dict[Segment, int] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            segment = Segment(int(match[2]), int(match[3]))
            with contextlib.suppress(FileNotFoundError):
                sizes[segment] = sizes.get(segment, 0) + entry.stat().st_size
            if match[4] is None:
                plain.add(segment)
            if match[4] in _WHOLE:
                whole.add(segment)
    return Inventory(tuple(sorted(whole)), frozenset(plain), sizes)


def prepare_directory(directory: Path) -> None:
    """Create the folder for its owner alone; permissions of folders above it stay as they are."""
    if not directory.exists():
        directory.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        sync_directory(directory.parent)
    if directory.stat().st_mode & 0o077:
        directory.chmod(_FOLDER_MODE)


def read_numbers(directory: Path, name: str) -> tuple[int, ...]:
    """Read the numbers that are kept beside the segments in a file of this name; mostly none."""
    try:
        text = (directory / name).read_text(encoding="ascii")
        return tuple(int(word) for word in text.split())
    except (FileNotFoundError, ValueError):
        return ()


def keep_numbers(directory: Path, name: str, numbers: Sequence[int]) -> None:
    """Keep numbers beside the segments, whole or not at all, also over a loss of power."""
    temporary = directory / f"{name}.tmp"
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, _FILE_MODE), "w", encoding="ascii") as file:
        file.write(f"{' '.join(map(str, numbers))}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(directory / name)
    sync_directory(directory)


def create(directory: Path, segment: Segment) -> int:
    """Create the segment's file for appending and return its descriptor."""
    flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    return os.open(directory / segment.plain, flags, _FILE_MODE)


def open_to_read(directory: Path, segment: Segment) -> BinaryIO | None:
    """Open a segment in whichever form it has. None: it was removed meanwhile.

    A compressed file appears before the plain one goes, so looking in this order finds one of them.
    """
    with contextlib.suppress(FileNotFoundError):
        return (directory / segment.plain).open("rb")
    with contextlib.suppress(FileNotFoundError):
        return cast("BinaryIO", gzip.open(directory / segment.packed, "rb"))
    return None


def sync_directory(directory: Path) -> None:
    """Wait until the folder's entries are on the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def repair_tail(directory: Path, segment: Segment) -> int:
    """Make a plain segment end in a whole record and return how many bytes were cut off.

    What follows the last sound line goes to the `.torn` file, on disk before it is cut here. A
    last line that lacks nothing but its line break gets one and is kept.
    """
    with (directory / segment.plain).open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = _sound_end(content)
            if end == size and content[size - 1 :] != b"\n":
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            torn = content[end:]
        if torn:
            _put_aside(directory / segment.torn, torn)
            file.truncate(end)
    return len(torn)


def _sound_end(content: mmap.mmap) -> int:
    end = len(content)
    while end > 0:
        start = content.rfind(b"\n", 0, end - 1) + 1
        if is_sound(content[start:end]):
            return end
        end = start
    return 0


def _put_aside(path: Path, torn: bytes) -> None:
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, _FILE_MODE), "wb") as file:
        file.write(torn)
        file.flush()
        os.fsync(file.fileno())


def compress(directory: Path, segment: Segment, go_on: Callable[[], bool]) -> bool:
    """Replace a plain segment by a compressed one.

    A crash at any point leaves at least one of them whole. `go_on` is asked before every 256 KiB;
    once it says no, nothing is changed and the answer is False.
    """
    temporary = directory / f"{segment.packed}.tmp"
    try:
        if not _pack(directory / segment.plain, temporary, go_on):
            return False
        temporary.rename(directory / segment.packed)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(directory)
    (directory / segment.plain).unlink(missing_ok=True)
    return True


def _pack(source: Path, target: Path, go_on: Callable[[], bool]) -> bool:
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
    with source.open("rb") as plain, os.fdopen(os.open(target, flags, _FILE_MODE), "wb") as file:
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
            while chunk := plain.read(_CHUNK_BYTES):
                if not go_on():
                    return False
                packed.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return True


def remove(directory: Path, segment: Segment) -> None:
    """Remove a segment with everything that belongs to it."""
    for name in (segment.plain, segment.packed, segment.torn, f"{segment.packed}.tmp"):
        (directory / name).unlink(missing_ok=True)
