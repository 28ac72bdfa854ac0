"""What somebody should look at: from the figures of a minute and what actors publish. Pure.

Purpose: trouble has a name, a sentence with figures, and a line that says what to do.
Guarantees: a problem keeps its `since` while it lasts; what was counted too often stays a problem
for `HELD_S` after the last minute in which it was, with the figures of its worst minute; what
passes by itself in a moment (`Condition.patience_s`) never becomes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from actors.domain import US_PER_SECOND, Drop
from actors.protocol.supervisor import Problem
from actors.supervisor.conditions import Condition, Statuses, standing
from actors.supervisor.drops import RULES, Of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.supervisor.drops import Rule

HELD_S: Final = 600
_WHEN: Final = "{when}"


class Sample(NamedTuple):
    """What has been counted since the start of the process."""

    drops: Mapping[str, float]
    received: float = 0
    processed: float = 0
    data_frames: float = 0
    creates: float = 0


class Minute(NamedTuple):
    """What was counted in the last minute, and how many coins are tracked now."""

    drops: Mapping[str, int]
    of: Mapping[Of, int]
    coins: int = 0


class Lasting(NamedTuple):
    """A finding over time."""

    finding: Condition
    found_us: int
    """When these figures were found."""
    since_us: int
    last_us: int
    """When it was found last."""

    def problem(self, now_us: int) -> Problem:
        """Say it as of now."""
        finding = self.finding
        when = "in the last minute"
        if self.found_us != now_us:
            when = f"in the minute before {_clock(self.found_us)} UTC"
        # Only a rule has a place for it; other sentences may have anybody's words in them.
        says = finding.says.replace(_WHEN, when) if finding.held_s else finding.says
        return Problem(
            kind=finding.kind,
            since_us=self.since_us,
            says=says,
            do=finding.do,
            key=finding.key,
        )


def minute(before: Sample, now: Sample, coins: int) -> Minute:
    """Take two samples, a minute apart, from each other."""
    drops = {
        reason: round(count - before.drops.get(reason, 0)) for reason, count in now.drops.items()
    }
    received = round(now.received - before.received)
    to_trackers = round(now.processed - before.processed) + sum(
        drops.get(drop.value, 0) for drop in (Drop.DUPLICATE_TRACKED, Drop.ORPHAN_ENDED)
    )
    of = {
        Of.TRADES: received,
        Of.TRADES_WHILE_TRACKING: received if coins else 0,
        Of.TRACKED_TRADES: to_trackers,
        Of.DATA_FRAMES: round(now.data_frames - before.data_frames),
        Of.CREATES: round(now.creates - before.creates),
        Of.COINS: coins,
    }
    return Minute(drops, of, coins)


def find(figures: Minute, statuses: Statuses) -> list[Condition]:
    """List what is wrong; of one key the first one counts."""
    return [*standing(statuses), *_counted(figures)]


def lasting(
    found: Iterable[Condition], known: Mapping[str, Lasting], now_us: int
) -> dict[str, Lasting]:
    """Bring what was known up to date with what is found now."""
    after: dict[str, Lasting] = {}
    for finding in found:
        if finding.key not in after:
            after[finding.key] = _gone_on(finding, known.get(finding.key), now_us)
    for key, entry in known.items():
        if key not in after and now_us - entry.last_us < entry.finding.held_s * US_PER_SECOND:
            after[key] = entry
    return after


def shown(known: Mapping[str, Lasting], now_us: int) -> tuple[Problem, ...]:
    """List the problems, the oldest first."""
    ripe = [
        entry
        for entry in known.values()
        if now_us - entry.since_us >= entry.finding.patience_s * US_PER_SECOND
    ]
    return tuple(entry.problem(now_us) for entry in sorted(ripe, key=_age))


def _age(entry: Lasting) -> tuple[int, str]:
    return entry.since_us, entry.finding.key


def _gone_on(finding: Condition, before: Lasting | None, now_us: int) -> Lasting:
    # The database's clock may be ahead of ours: of rows that it dates, that is the very trouble.
    since_us = now_us if finding.since_us is None else min(finding.since_us, now_us)
    if before is None:
        return Lasting(finding, now_us, since_us, now_us)
    since_us = min(since_us, before.since_us)
    if finding.held_s and finding.weight < before.finding.weight:
        return Lasting(before.finding, before.found_us, since_us, now_us)
    return Lasting(finding, now_us, since_us, now_us)


# What was counted.


def _counted(figures: Minute) -> Iterator[Condition]:
    for rule in RULES:
        count = figures.drops.get(rule.drop.value, 0)
        if _is_over(rule, count, figures):
            yield Condition(
                key=rule.drop.value,
                kind=rule.kind,
                says=rule.says.format(
                    n=f"{count:,}",
                    share=_percent(count, _whole(rule, figures)),
                    coins=f"{figures.coins:,}",
                    when=_WHEN,
                ),
                do=rule.do,
                held_s=HELD_S,
                weight=count,
            )


def _is_over(rule: Rule, count: int, figures: Minute) -> bool:
    bound = rule.bound
    if bound is None or count < bound.at_least:
        return False
    if not bound.share_pct:
        return True
    whole = _whole(rule, figures)
    return whole > 0 and count * 100 > bound.share_pct * whole


def _whole(rule: Rule, figures: Minute) -> int:
    return figures.of.get(rule.bound.of, 0) if rule.bound else 0


def _percent(count: int, whole: int) -> str:
    return f"{min(100.0, 100 * count / whole):.0f}" if whole else "0"


def _clock(us: int) -> str:
    seconds = us // US_PER_SECOND % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
