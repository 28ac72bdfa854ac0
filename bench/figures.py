"""What a bench hands back, and the one table that shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Figure(msgspec.Struct, frozen=True):
    """One measured claim, beside its peer where it has one. Both were measured in this run."""

    what: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str = ""
    more_is_better: bool = True

    @property
    def gain(self) -> float | None:
        """How many times better than the peer; None without one."""
        if not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours


_HEAD = ("what", "ours", "peer", "unit", "gain", "peer is")


def table(figures: Iterable[Figure]) -> str:
    """Lay figures out in columns."""
    rows = [_HEAD, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure) -> tuple[str, ...]:
    gain = figure.gain
    return (
        figure.what,
        _number(figure.ours),
        "" if figure.peer is None else _number(figure.peer),
        figure.unit,
        "" if gain is None else f"{gain:.1f}x",
        figure.peer_name,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = {1, 2, 4}
    cells = (
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()
