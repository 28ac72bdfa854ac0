"""What is wrong for as long as its cause lasts, by what actors have published. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from actors.domain import US_PER_SECOND, Drop, FeedState
from actors.supervisor.drops import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from actors.protocol.auditor import AuditStatus
    from actors.protocol.connection import FeedReport
    from actors.protocol.n8n_writer import N8nStatus
    from actors.protocol.postgres_writer import WriterStatus
    from actors.protocol.stream_watch import WatchStatus
    from actors.runtime.dead_letters import DeadLetter

CLOCK_LIMIT_S: Final = 2.0
_PATIENCE_S: Final = 60
"""Reconnects, busy trackers and a webhook's restart are over by then."""
_SPOOL_PCT: Final = 80
_DO: Final = {rule.drop: rule.do for rule in RULES}


class Statuses(NamedTuple):
    """What actors have published last, and what the supervisor knows itself."""

    has_api_key: bool = True
    """Whether trades are wanted; without PUMPPORTAL_API_KEY a feed of creates alone is as it is
    meant to be.
    """
    feed: FeedReport | None = None
    writers: Sequence[WriterStatus] = ()
    n8n: N8nStatus | None = None
    watch: WatchStatus | None = None
    audit: AuditStatus | None = None
    audit_ended: bool = False
    """The auditor failed too often, and looks at nothing any more."""
    dead_letters: Sequence[DeadLetter] = ()
    """Oldest first."""
    quarantined: Sequence[str] = ()
    """Names of trackers."""
    waiting_coins: int = 0
    max_trackers: int = 0
    spool_limit_bytes: int = 0
    clock_offset_us: int = 0
    """Wall clock minus arrival clock."""


class Condition(NamedTuple):
    """One thing that is wrong at this moment."""

    key: str
    """What makes it the same thing the next time."""
    kind: str
    says: str
    """Of a held one: may have `{when}`, the minute its figures are of."""
    do: str
    since_us: int | None = None
    """When it is known; else it is the moment of the first finding."""
    patience_s: int = 0
    """It is no problem before it has lasted so long."""
    held_s: int = 0
    """It stays one for so long after it was found last."""
    weight: float = 0
    """Of several findings of a held one the heaviest is shown."""


def standing(statuses: Statuses) -> Iterator[Condition]:
    """List what is wrong now."""
    if statuses.feed is not None:
        yield from _of_feed(statuses.feed, has_api_key=statuses.has_api_key)
    yield from _of_database(statuses)
    if statuses.watch is not None:
        yield from _of_rows_aside(statuses.watch)
    if statuses.n8n is not None:
        yield from _of_n8n(statuses.n8n)
    yield from _of_dead_letters(statuses.dead_letters)
    yield from _of_coins(statuses)
    yield from _of_clock(statuses.clock_offset_us)
    if statuses.audit is not None:
        yield from _of_audit(statuses.audit)
    yield from _of_auditor(ended=statuses.audit_ended)


_FEED_HELP: Final = {
    FeedState.BANNED: "Another client uses the connection: stop it. mintwatch tries again within "
    "the hour; GET /feed shows it.",
    FeedState.DISCOVERY_ONLY: "Fund the wallet behind PUMPPORTAL_API_KEY with 0.02 SOL, or set "
    "another key: `mintwatch config set pumpportal_api_key=-`.",
    FeedState.SILENT: "mintwatch reconnects by itself; look whether pumpportal.fun has trouble.",
}
_FEED_HELP_ELSE: Final = "See WS_URI and the network: `mintwatch config show ws_uri`, GET /feed."


def _of_feed(feed: FeedReport, *, has_api_key: bool) -> Iterator[Condition]:
    wanted = {FeedState.LIVE} if has_api_key else {FeedState.LIVE, FeedState.DISCOVERY_ONLY}
    if feed.state not in wanted:
        # Not since `feed.since_us`: each attempt to connect is a state of its own.
        yield Condition(
            "feed",
            "feed",
            f"The feed is {feed.state.value}: {_quoted(feed.reason)}.",
            _FEED_HELP.get(feed.state, _FEED_HELP_ELSE),
            patience_s=_PATIENCE_S,
        )
    yield from _of_journal(feed.journal)
    if feed.parked_from_us is not None:
        yield Condition(
            "parked",
            "coins",
            "Trades wait in the journal, because a tracker takes none: it is paused, blocked, in "
            "quarantine, or behind.",
            "`mintwatch actors --kind tracker` shows which; resume or revive it.",
            patience_s=_PATIENCE_S,
        )


def _of_journal(state: str) -> Iterator[Condition]:
    if state == "full":
        yield Condition(
            "journal",
            "journal",
            "The journal has reached JOURNAL_MAX_MB and may remove nothing: the socket is not "
            "read.",
            "Rows do not reach the database, or a coin is paused or in quarantine: see the other "
            "problems. `mintwatch config set journal_max_mb=10240` gives it more room.",
        )
    elif state == "failed":
        yield Condition(
            "journal",
            "journal",
            "The journal cannot be written: what arrives is not protected against a crash.",
            _DO[Drop.JOURNAL_LOST],
        )


def _of_database(statuses: Statuses) -> Iterator[Condition]:
    writers = statuses.writers
    waiting = sum(writer.rows_waiting + writer.rows_spooled for writer in writers)
    if refusing := [writer for writer in writers if writer.database == "refusing"]:
        yield Condition(
            "database",
            "database",
            f"The database answers and takes no row (rows waiting: {waiting:,}): "
            f"{_quoted(_first_error(refusing))}.",
            "Look at the database's own words: is it read-only, is a table renamed or "
            "locked, a right missing, the disk full? Rows are kept and written once it takes them.",
            since_us=min(
                (each.refusing_since_us for each in refusing if each.refusing_since_us),
                default=None,
            ),
        )
    elif (error := _why_away(statuses)) is not None:
        yield Condition(
            "database",
            "database",
            f"The database is away (rows waiting: {waiting:,}): {_quoted(error)}.",
            "Start it, or correct DB_DSN (`mintwatch config set db_dsn=-`). Rows are kept in "
            "memory, then on disk, and written when it is back.",
        )
    elif statuses.watch is not None:
        yield from _of_streams(statuses.watch)
    yield from _of_spool(writers, statuses.spool_limit_bytes)


def _why_away(statuses: Statuses) -> str | None:
    """Say why the database is away, in its own words; None: it is not.

    A writer that has had nothing to write does not know. Where one has written, stream-watch is
    merely slow to come back, which `_of_streams` allows it.
    """
    watch, writers = statuses.watch, statuses.writers
    if any(writer.database == "away" for writer in writers):
        return _first_error(writers) or ""
    is_known = any(writer.database == "up" for writer in writers)
    if watch is not None and watch.database == "away" and not is_known:
        return watch.last_error or ""
    return None


def _of_streams(watch: WatchStatus) -> Iterator[Condition]:
    if watch.database == "away":
        yield Condition(
            "streams",
            "database",
            f"Streams cannot be read, so none is started or stopped: {_quoted(watch.last_error)}.",
            "Start the database, or correct DB_DSN (`mintwatch config set db_dsn=-`); it is tried "
            "again by itself.",
            patience_s=_PATIENCE_S,
        )


def _of_spool(writers: Sequence[WriterStatus], limit_bytes: int) -> Iterator[Condition]:
    spooled = sum(writer.rows_spooled for writer in writers)
    if spooled:
        oldest = [each.spool_oldest_us for each in writers if each.spool_oldest_us is not None]
        yield Condition(
            "spool",
            "spool",
            f"Rows in the spool on disk and not in the database: {spooled:,}.",
            "They are written by themselves, oldest first, once the database takes them: see "
            "`database_state` and `last_error` in GET /health.",
            since_us=min(oldest, default=None),
        )
    if parked := sum(writer.rows_parked for writer in writers):
        yield Condition(
            "rows_parked",
            "spool",
            f"Rows that found no room in memory and none in the spool: {parked:,}; the journal "
            "has their trades.",
            "Bring the database back and restart mintwatch, which derives them from the journal; "
            "SPOOL_MAX_MB gives the spool more room.",
        )
    held = max((writer.spool_bytes for writer in writers), default=0)
    if limit_bytes and held * 100 > _SPOOL_PCT * limit_bytes:
        yield Condition(
            "spool_bytes",
            "disk",
            f"The spool has {100 * held / limit_bytes:.0f} % of SPOOL_MAX_MB.",
            "Bring its destination back, the database or n8n, or raise SPOOL_MAX_MB (`mintwatch "
            "config set spool_max_mb=4096`).",
        )


def _of_rows_aside(watch: WatchStatus) -> Iterator[Condition]:
    if watch.rows_ahead:
        yield Condition(
            Drop.ROW_AHEAD.value,
            "clock",
            "Rows of earlier runs that end after the start of this one, because a clock was "
            f"ahead: {_at_least(watch.rows_ahead, watch)}; they are in `coin_metrics_ahead`.",
            _DO[Drop.ROW_AHEAD],
            since_us=watch.rows_ahead_since_us,
        )
    if watch.row_conflicts:
        yield Condition(
            Drop.ROW_CONFLICT.value,
            "database",
            "Candles whose row in the database has other figures: "
            f"{_at_least(watch.row_conflicts, watch)}; ours are in `coin_metrics_conflicts`.",
            _DO[Drop.ROW_CONFLICT],
            since_us=watch.row_conflicts_since_us,
        )


def _at_least(rows: int, watch: WatchStatus) -> str:
    is_cut = 0 < watch.rows_counted_to <= rows
    return f"at least {rows:,}" if is_cut else f"{rows:,}"


def _of_n8n(n8n: N8nStatus) -> Iterator[Condition]:
    if n8n.configured and n8n.state in ("retrying", "stopped"):
        stopped = n8n.state == "stopped"
        yield Condition(
            "n8n",
            "n8n",
            f"n8n takes nothing (coins waiting: {n8n.waiting:,}): {_quoted(n8n.last_error)}.",
            "Correct N8N_AUTH_HEADER: `mintwatch config set n8n_auth_header=-`."
            if stopped
            else "See that the workflow is active and N8N_WEBHOOK_URL is right: `mintwatch config "
            "show n8n_webhook_url`. The coins are on disk and go out by themselves.",
            patience_s=0 if stopped else _PATIENCE_S,
        )


def _of_dead_letters(letters: Sequence[DeadLetter]) -> Iterator[Condition]:
    if letters:
        newest = letters[-1]
        cause = newest.error or newest.reason
        yield Condition(
            "dead_letters",
            "dead_letters",
            f"Messages that were not handled: {len(letters):,}; the newest is "
            f"{type(newest.message).__name__} for {newest.actor}: {_quoted(cause)}.",
            _DO[Drop.DEAD_LETTER],
            since_us=letters[0].at_us,
        )


def _of_coins(statuses: Statuses) -> Iterator[Condition]:
    if statuses.quarantined:
        yield Condition(
            "quarantined",
            "coins",
            "Coins not tracked, because their trackers failed too often: "
            f"{len(statuses.quarantined):,}; one is {statuses.quarantined[0].partition(':')[2]}.",
            "`mintwatch actors --state quarantined` names them with their errors; POST "
            "/trackers/MINT/revive tries one again.",
        )
    if statuses.waiting_coins:
        more = min(2 * statuses.max_trackers, 1_000_000)
        yield Condition(
            "waiting_coins",
            "coins",
            f"Coins that wait for a tracker: {statuses.waiting_coins:,}; MAX_TRACKERS is "
            f"{statuses.max_trackers:,}.",
            f"`mintwatch resize trackers {more}` gives them places; without a "
            "regular phase in `ref_coin_phases` none is tracked.",
        )


def _of_clock(offset_us: int) -> Iterator[Condition]:
    offset_s = offset_us / US_PER_SECOND
    if abs(offset_s) > CLOCK_LIMIT_S:
        side = "ahead of" if offset_s > 0 else "behind"
        yield Condition(
            "clock",
            "clock",
            f"The machine's clock is {abs(offset_s):,.1f} s {side} the arrival clock, which "
            "stamps trades.",
            "See to the machine's time synchronisation; stamps follow by 0.5 ms a second. After a "
            "large correction restart mintwatch.",
        )


def _of_audit(audit: AuditStatus) -> Iterator[Condition]:
    if audit.missing or audit.different or audit.overlap or audit.extra:
        yield Condition(
            "audit",
            "audit",
            f"The audit found rows missing: {audit.missing:,}, different: {audit.different:,}, "
            f"overlapping: {audit.overlap:,}, extra: {audit.extra:,}; one is "
            f"{_quoted(audit.example)}.",
            "`mintwatch audit --since 1h` lists them: keep STATE_DIR/journal and report it.",
            since_us=audit.since_us,
        )


def _of_auditor(*, ended: bool) -> Iterator[Condition]:
    if ended:
        yield Condition(
            "auditor",
            "audit",
            "The auditor failed too often and compares rows with the journal no more.",
            "GET /actors/auditor has the error: report it. Everything else goes on; `mintwatch "
            "audit` still compares, and a restart begins anew.",
        )


def _first_error(writers: Iterable[WriterStatus]) -> str | None:
    return next((writer.last_error for writer in writers if writer.last_error), None)


def _quoted(text: str | None) -> str:
    """Put somebody else's words into a sentence of ours: one line, without its full stop."""
    return " ".join((text or "no reason given").split()).rstrip(".")
