"""The whole service under ten times the market's trades: it holds its pace, and does not grow.

1,000 coins at 400 trades a second through `mintwatch run`, the local PumpPortal server and the
embedded PostgreSQL. MINTWATCH_SOAK_SECONDS says for how long (600 unless told otherwise).
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from db.embedded.server import EmbeddedPostgres
from simulator.process import start_simulator
from tests.e2e.recordings import FROM_CREATE, NO_FILTER
from tests.e2e.rows import Row, check_spans, check_totals, rows
from tests.soak.watching import Sample, peaks, slope, watch
from tests.support import independent
from tests.support.service import Service
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = float(os.environ.get("MINTWATCH_SOAK_SECONDS", "600"))
COINS = 1_000
TRADES_PER_S = 400
WARM_UP_SHARE = 0.25
BYTES_A_TRADE = 250
"""What a tracker may keep of each trade, its identity, for MEMORY_S; measured: 184."""
MEMORY_S = 600
SPARE_KIB = 24 * 1024
"""Tables of identities grow to their final capacity for half an hour; then they stay."""
SPARE_FILES = 4
"""Connections and journal segments that are open for a moment."""
LONGEST_WAIT_S = 2.0
PEAK_SHARE = 0.1

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(SECONDS + 600),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the user PostgreSQL runs as may walk through."""
    folder = Path(tempfile.mkdtemp(prefix="mintwatch-soak-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_a_thousand_coins_at_400_trades_a_second_cost_no_more_at_the_end_than_at_the_beginning(
    home: Path,
) -> None:
    # Minutes of silence are the plan here, not a hang.
    faulthandler.cancel_dump_traceback_later()
    sent = home / "sent.jsonl"
    market = ["simulate", "--coins", str(COINS), "--trades-per-second", str(TRADES_PER_S)]
    state = home / "state"
    with (
        start_simulator([*market, "--sent-log", str(sent)]) as server,
        Service(
            state,
            WS_URI=server.uri,
            PUMPPORTAL_API_KEY="funded",
            LOG_LEVEL="WARNING",
            **FROM_CREATE,
            **NO_FILTER,
        ) as service,
    ):
        wait_until(lambda: tracked(service) == COINS, 60, "trackers of all coins")
        samples = watch(service, SECONDS)
        highest = peaks(service)
        server.fault("hold")
        lines = independent.read(sent)
        expected = independent.trades(lines)
        service.wait_received(len(expected))
        delay = service.metrics()
        assert service.stop() == 0

    show(samples, highest, delay)
    check_pace(samples)
    check_growth(samples)
    check_mailboxes(samples, highest)
    check_rows(state, expected, independent.migrated(lines))


def tracked(service: Service) -> int:
    return int(service.metrics()["unified_coins_tracked"])


def check_pace(samples: list[Sample]) -> None:
    first, last = samples[0], samples[-1]
    pace = (last.received - first.received) / (last.at_s - first.at_s)
    assert pace >= TRADES_PER_S * 0.95, f"{pace:.0f} trades a second"
    assert [each.at_s for each in samples if not each.balanced] == []
    assert [each.trouble for each in samples if each.trouble] == []


def check_growth(samples: list[Sample]) -> None:
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    middle = len(warm) // 2
    for what, spare in (("threads", 0), ("files", SPARE_FILES)):
        before = max(getattr(each, what) for each in warm[:middle])
        after = max(getattr(each, what) for each in warm[middle:])
        assert after <= before + spare, f"{what}: {before}, later {after}"
    grown_kib = warm[-1].rss_kib - warm[0].rss_kib
    trades = remembered(samples, warm[-1]) - remembered(samples, warm[0])
    allowed_kib = trades * BYTES_A_TRADE / 1024 + SPARE_KIB
    assert grown_kib <= allowed_kib, f"{grown_kib} KiB for {trades} more trades in memory"


def remembered(samples: list[Sample], at: Sample) -> int:
    """Give how many trades came in the last ten minutes before a sample."""
    before = [each.received for each in samples if each.at_s <= at.at_s - MEMORY_S]
    return at.received - max(before, default=0)


def check_mailboxes(samples: list[Sample], highest: dict[str, tuple[int, float]]) -> None:
    assert max(each.oldest_s for each in samples) <= LONGEST_WAIT_S
    assert {kind: peak for kind, peak in highest.items() if peak[1] > PEAK_SHARE} == {}


def check_rows(state: Path, expected: list[independent.Trade], graduated: set[str]) -> None:
    """Compare every mint's rows with what was sent; the feed of a graduated coin goes on alone."""
    assert len(graduated) <= COINS // 20
    server = EmbeddedPostgres(state)
    try:
        found = [row for row in rows(server.start()) if row.mint not in graduated]
    finally:
        server.stop()
    check_totals(found, [trade for trade in expected if trade.mint not in graduated])
    by_mint: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        by_mint[row.mint].append(row)
    for mine in by_mint.values():
        check_spans(mine, cuts=1)


def show(
    samples: list[Sample], highest: dict[str, tuple[int, float]], metrics: dict[str, float]
) -> None:
    """Say what was measured; `-s` lets it through."""
    first, last = samples[0], samples[-1]
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    seconds = last.at_s - first.at_s
    click.echo(f"\n{seconds:.0f} s, {last.received:,} trades received")
    click.echo(f"pace: {(last.received - first.received) / seconds:.1f} trades/s")
    click.echo(f"processor: {(last.cpu_s - first.cpu_s) / seconds * 100:.1f} % of one core")
    for each in (first, warm[0], last):
        click.echo(
            f"at {each.at_s:4.0f} s: {each.rss_kib / 1024:.1f} MiB, {each.threads} threads, "
            f"{each.files} files, {each.received:,} trades"
        )
    click.echo(f"memory after warm-up: {slope(warm) * 60 / 1024:+.2f} MiB/min")
    click.echo(f"waiting events: most {max(each.depth for each in samples)}")
    click.echo(f"oldest message: {max(each.oldest_s for each in samples):.3f} s at most")
    for kind, (peak, share) in sorted(highest.items()):
        click.echo(f"mailbox peak of {kind}: {peak} ({share:.1%} of its bound)")
    for name, value in metrics.items():
        if name.endswith(("_sum", "_count")) and "seconds" in name and value:
            click.echo(f"{name} {value:g}")
