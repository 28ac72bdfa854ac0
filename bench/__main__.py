"""`python -m bench [NAME ...]`: measure and print one table."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from bench import adoption, candles, decoding, journal, path, rows, runtime, whole
from bench.figures import Figure, table

if TYPE_CHECKING:
    from collections.abc import Callable


def _journal() -> list[Figure]:
    return [
        Figure(
            f"journal, fsync {result.fsync}, slices of {result.slice_frames}",
            "us/frame",
            result.us_per_frame,
            more_is_better=False,
        )
        for result in journal.run()
    ]


BENCHES: Final[dict[str, Callable[[], list[Figure]]]] = {
    "runtime": runtime.run,
    "decoding": decoding.run,
    "candles": candles.run,
    "journal": _journal,
    "rows": rows.run,
    "whole": whole.run,
    "path": path.run,
    "adoption": adoption.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write them there, too.")
def main(names: tuple[str, ...], file: Path | None) -> None:
    """Measure what is named, or everything, on this machine; every peer in the same run."""
    began = time.monotonic()
    figures: list[Figure] = []
    for name in names or tuple(BENCHES):
        click.echo(f"measuring: {name}", err=True)
        figures += BENCHES[name]()
    cores, python = os.cpu_count(), platform.python_version()
    click.echo(f"Python {python}, {cores} cores, load {os.getloadavg()[0]:.1f}")
    click.echo(table(figures))
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    click.echo(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
