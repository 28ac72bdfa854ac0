"""Stream-watch's decisions, on one thread with manual clocks and a database made of dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from actors.domain import AllTimeHigh, Mint, Phase, Wallet
from actors.protocol.operator import AcknowledgeKept
from actors.protocol.supervisor import PhasesLoaded, StreamsLoaded, TrackMint, UntrackMint
from actors.runtime.simulation import Probe, SeededSystem
from actors.stream_watch import (
    PollNow,
    StreamChangePending,
    StreamChangesCommitted,
    StreamChangesGivenUp,
    StreamWatchActor,
    WatchState,
    WatchStatus,
)
from actors.stream_watch.reader import PHASES_CHANNEL, STREAMS_CHANNEL, Notification
from db.aside import Kept, Kind
from db.streams import StreamRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.stream_watch.reader import StreamReader

AWAY = psycopg.OperationalError("server closed the connection unexpectedly")
BABY = Phase(1, "Baby Zone", 5, 0, 10)
SURVIVAL = Phase(2, "Survival Zone", 30, 10, 60)
A, B, C = Mint("MintA"), Mint("MintB"), Mint("MintC")


def stream(mint: str, *, active: bool = True) -> StreamRow:
    return StreamRow(
        mint=Mint(mint),
        phase_id=2,
        is_active=active,
        started_us=1_000,
        created_us=900,
        creator=Wallet("creator"),
        ath=AllTimeHigh(Mint(mint), 3.5e-7, 950),
        last_row_us=970,
    )


class DictReader:
    """A `StreamReader` on a dict; counts what it is asked."""

    def __init__(self, database: DictDatabase) -> None:
        self._database = database
        self.listening = False
        self.closed = False

    def _answer(self, what: str) -> None:
        self._database.asked.append(what)
        if self._database.away is not None:
            raise self._database.away

    def listen(self) -> None:
        if self._database.deaf:
            raise psycopg.errors.FeatureNotSupported("LISTEN is not supported")
        self.listening = True

    def phases(self) -> tuple[Phase, ...]:
        self._answer("phases")
        return self._database.phases

    def active(self) -> Iterable[Mint]:
        self._answer("active")
        return [row.mint for row in self._database.rows.values() if row.is_active]

    def streams(self, mints: Iterable[Mint]) -> list[StreamRow]:
        mints = list(mints)
        self._answer(f"streams {' '.join(mints)}")
        return [self._database.rows[mint] for mint in mints if mint in self._database.rows]

    def kept(self) -> Kept:
        if self._database.kept_fails is not None:
            raise self._database.kept_fails
        return self._database.kept

    def acknowledge(self, what: Kind) -> int:
        self._answer(f"acknowledge {what}")
        before = self._database.kept
        self._database.kept = Kept(0, None, before.conflicts, before.conflicts_since_us)
        return before.ahead

    def notifications(self) -> list[Notification]:
        self._answer("notifications")
        told, self._database.told = self._database.told, []
        return told

    def fileno(self) -> int:
        raise AssertionError("nothing waits on this reader")

    def close(self) -> None:
        self.closed = True


class DictDatabase:
    """The tables, and a `Connector` that connects within `start`."""

    def __init__(self) -> None:
        self.rows: dict[str, StreamRow] = {}
        self.phases: tuple[Phase, ...] = (BABY,)
        self.told: list[Notification] = []
        self.asked: list[str] = []
        self.kept = Kept(0, None, 0, None)
        self.kept_fails: Exception | None = None
        self.away: Exception | None = None
        self.deaf = False
        self.readers: list[DictReader] = []
        self.attempts = 0
        self._ended: StreamReader | Exception | None = None

    def set(self, *rows: StreamRow) -> None:
        self.rows |= {row.mint: row for row in rows}

    def start(self, done: Callable[[], None]) -> None:
        self.attempts += 1
        if self.away is not None:
            self._ended = self.away
        else:
            self.readers.append(DictReader(self))
            self._ended = self.readers[-1]
        done()

    def take(self) -> StreamReader | Exception | None:
        ended, self._ended = self._ended, None
        return ended

    def abandon(self) -> None:
        self._ended = None


class Rig:
    """Stream-watch beside a supervisor that only listens."""

    def __init__(self, *, supervisor_capacity: int = 65_536) -> None:
        self.system = SeededSystem(seed=3)
        self.told: list[object] = []
        self.system.start(
            "supervisor",
            lambda context: Probe(context, self.told, None),
            capacity=supervisor_capacity,
        )
        self.database = DictDatabase()
        self.state = WatchState()

    def start(self) -> None:
        self.system.start(
            "stream-watch",
            lambda context: StreamWatchActor(
                context, state=self.state, connector=self.database, jitter=lambda: 0.0
            ),
        )

    def tell(self, message: object) -> None:
        self.system.tell("stream-watch", message)
        self.system.run()

    def ask(self, message: object) -> object:
        return self.system.ask("stream-watch", message)

    def notify(self, *payloads: str, channel: str = STREAMS_CHANNEL) -> None:
        self.database.told += [Notification(channel, payload) for payload in payloads]
        actor = self.system._cells["stream-watch"].actor
        assert isinstance(actor, StreamWatchActor)
        actor.take_notifications()
        self.system.run()

    def news(self) -> list[str]:
        """What the supervisor was told since the last call, in short."""
        told, self.told[:] = list(self.told), []
        return [_short(message) for message in told]

    def status(self) -> WatchStatus:
        status = self.system.status_of("stream-watch")
        assert isinstance(status, WatchStatus)
        return status


def _short(message: object) -> str:
    match message:
        case TrackMint(mint):
            return f"track {mint}"
        case UntrackMint(mint):
            return f"untrack {mint}"
        case PhasesLoaded(phases):
            return f"phases {len(phases)}"
        case StreamsLoaded(count):
            return f"loaded {count}"
        case _:
            return repr(message)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def running(rig: Rig, *rows: StreamRow) -> Rig:
    rig.database.set(*rows)
    rig.start()
    rig.news()
    return rig


def test_the_first_reading_tells_phases_then_streams_then_that_all_are_known(rig: Rig) -> None:
    rig.database.set(stream("MintA"), stream("MintB"), stream("MintC", active=False))

    rig.start()

    assert rig.news() == ["phases 1", "track MintA", "track MintB", "loaded 2"]


def test_a_tracked_stream_comes_with_everything_that_is_known_of_it(rig: Rig) -> None:
    rig.database.set(stream("MintA"))

    rig.start()

    assert rig.told[1] == TrackMint(
        mint=A,
        phase_id=2,
        started_us=1_000,
        by="stream",
        created_us=900,
        creator=Wallet("creator"),
        ath=AllTimeHigh(A, 3.5e-7, 950),
        last_row_us=970,
    )


@pytest.mark.parametrize(
    ("started_us", "created_us", "expected"),
    [(5, 4, 5), (None, 4, 4), (None, None, 1_700_000_000_000_000)],
)
def test_a_stream_without_a_start_begins_with_its_token_or_now(
    rig: Rig, started_us: int | None, created_us: int | None, expected: int
) -> None:
    rig.database.set(StreamRow(A, 1, True, started_us, created_us, None, None, None))  # noqa: FBT003

    rig.start()

    message = rig.told[1]
    assert isinstance(message, TrackMint)
    assert message.started_us == expected


def test_an_empty_table_is_known_completely_too(rig: Rig) -> None:
    rig.start()

    assert rig.news() == ["phases 1", "loaded 0"]


def test_a_notification_reads_only_the_mint_it_names(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.asked.clear()
    rig.database.set(stream("MintB"))

    rig.notify("MintB")

    assert rig.database.asked == ["notifications", "streams MintB"]
    assert rig.news() == ["track MintB"]


def test_notifications_that_come_together_are_read_together(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.asked.clear()
    rig.database.set(stream("MintA", active=False), stream("MintB"))

    rig.notify("MintB", "MintA", "MintB")

    assert rig.database.asked == ["notifications", "streams MintA MintB"]
    assert rig.news() == ["track MintB", "untrack MintA"]


def test_a_notification_of_a_deleted_row_untracks(rig: Rig) -> None:
    running(rig, stream("MintA"), stream("MintB"))
    del rig.database.rows["MintA"]

    rig.notify("MintA")

    assert rig.news() == ["untrack MintA"]


def test_a_notification_of_everything_reads_everything(rig: Rig) -> None:
    running(rig)
    rig.database.set(stream("MintA"), stream("MintB"))

    rig.notify("*")

    assert rig.news() == ["track MintA", "track MintB"]


def test_a_flood_of_notifications_reads_everything_once(rig: Rig) -> None:
    running(rig)
    rig.database.set(stream("MintA"))
    rig.database.asked.clear()

    rig.notify(*(f"M{number}" for number in range(3_000)))

    assert rig.database.asked == ["notifications", "phases", "active", "streams MintA"]


def test_changed_phases_are_told_at_once_and_unchanged_ones_are_not(rig: Rig) -> None:
    running(rig)
    rig.notify("", channel=PHASES_CHANNEL)
    assert rig.news() == []

    rig.database.phases = (BABY, SURVIVAL)
    rig.notify("", channel=PHASES_CHANNEL)

    assert rig.news() == ["phases 2"]


def test_no_phases_at_all_leave_those_that_were_told(rig: Rig) -> None:
    running(rig)
    rig.database.phases = ()
    with capture_logs() as logs:
        rig.tell(PollNow())

    assert rig.news() == []
    assert [log["event"] for log in logs] == ["no_phases"]


def test_without_notifications_the_poll_finds_changes_within_its_interval(rig: Rig) -> None:
    rig.database.deaf = True
    with capture_logs() as logs:
        running(rig, stream("MintA"))
    assert [log["event"] for log in logs] == ["listen_refused"]
    assert rig.status().listening is False
    rig.database.set(stream("MintA", active=False), stream("MintB"))

    rig.system.advance(9.9)
    assert rig.news() == []
    rig.system.advance(0.1)

    assert rig.news() == ["track MintB", "untrack MintA"]


def test_a_poll_that_finds_nothing_new_costs_two_small_queries(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.asked.clear()

    rig.system.advance(10.0)
    rig.system.advance(10.0)

    assert rig.database.asked == ["phases", "active", "phases", "active"]
    assert rig.news() == []


def test_poll_now_reads_at_once(rig: Rig) -> None:
    running(rig)
    rig.database.set(stream("MintA"))

    rig.tell(PollNow())

    assert rig.news() == ["track MintA"]


def test_a_changed_interval_acts_at_once(rig: Rig) -> None:
    running(rig)
    rig.system.change_settings(rig.system.settings.model_copy(update={"db_refresh_interval": 60}))
    rig.system.run()
    rig.news()
    rig.database.set(stream("MintA"))

    rig.system.advance(59.0)
    assert rig.news() == []
    rig.system.advance(1.0)
    assert rig.news() == ["track MintA"]


def given_up(rig: Rig, *, active: bool) -> Rig:
    """A change of ours to MintA was announced and then refused by the database."""
    rig.tell(StreamChangePending(A, active=active))
    rig.tell(StreamChangesGivenUp((A,)))
    return rig


def test_a_stream_whose_beginning_was_given_up_is_what_the_database_says(rig: Rig) -> None:
    given_up(running(rig), active=True)

    assert rig.news() == ["untrack MintA"]
    assert rig.status().pending == 0


def test_a_stream_whose_phase_change_was_given_up_stays_tracked(rig: Rig) -> None:
    given_up(running(rig, stream("MintA")), active=True)
    rig.system.advance(10.0)

    assert rig.news() == []
    assert rig.status().pending == 0


def test_a_stream_whose_end_was_given_up_is_not_begun_again_for_that(rig: Rig) -> None:
    given_up(running(rig, stream("MintA")), active=False)
    rig.notify("MintA")
    rig.system.advance(25.0)

    assert rig.news() == []
    assert (rig.status().pending, rig.status().active) == (0, 0)


def test_a_stream_whose_end_was_given_up_begins_again_once_others_restart_it(rig: Rig) -> None:
    given_up(running(rig, stream("MintA")), active=False)
    rig.database.set(stream("MintA", active=False))
    rig.system.advance(10.0)
    rig.database.set(stream("MintA"))
    rig.notify("MintA")

    assert rig.news() == ["track MintA"]


def test_a_change_that_is_committed_after_all_lets_the_database_rule_again(rig: Rig) -> None:
    given_up(running(rig, stream("MintA")), active=False)
    rig.tell(StreamChangesCommitted((A,)))
    rig.system.advance(10.0)

    assert rig.news() == ["track MintA"]


def test_of_two_changes_the_last_one_to_end_settles_the_mint(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.tell(StreamChangePending(A, active=True))
    rig.tell(StreamChangePending(A, active=False))
    rig.tell(StreamChangesGivenUp((A,)))
    assert rig.state.watch.pending == {A: False}

    rig.database.set(stream("MintA", active=False))
    rig.tell(StreamChangesCommitted((A,)))
    rig.database.set(stream("MintA"))
    rig.notify("MintA")
    assert rig.news() == ["track MintA"]


def test_a_mailbox_that_is_full_still_takes_what_ends_a_change(rig: Rig) -> None:
    running(rig)
    rig.system._cells["stream-watch"].mailbox.capacity = 0
    rig.tell(StreamChangePending(A, active=True))
    rig.tell(StreamChangesCommitted((A,)))

    assert rig.status().pending == 0


def test_the_timeline_says_what_showed_a_stream_active_or_not(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.set(stream("MintB"), stream("MintA", active=False))
    rig.notify("MintB")
    rig.system.advance(10.0)

    notes = {mint: rig.system.timelines.of(mint) or () for mint in (A, B)}
    assert [(note.what, note.details) for note in notes[A]] == [
        ("stream_seen_active", {"by": "poll"}),
        ("stream_seen_inactive", {"by": "poll"}),
    ]
    assert [(note.what, note.details) for note in notes[B]] == [
        ("stream_seen_active", {"by": "notification"})
    ]


def test_our_own_changes_override_the_database_until_they_are_committed(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.tell(StreamChangePending(A, active=False))
    rig.tell(StreamChangePending(B, active=True))

    rig.notify("MintA", "MintB")
    rig.tell(PollNow())
    assert rig.news() == []
    assert rig.status().pending == 2

    rig.database.set(stream("MintA", active=False), stream("MintB"))
    rig.tell(StreamChangesCommitted((A, B)))
    rig.tell(PollNow())
    assert rig.news() == []
    assert rig.status().pending == 0


def test_what_others_did_during_our_change_is_found_at_its_commit(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.tell(StreamChangePending(A, active=True))
    rig.database.set(stream("MintA", active=False))
    rig.notify("MintA")
    assert rig.news() == []

    rig.tell(StreamChangesCommitted((A,)))

    assert rig.news() == ["untrack MintA"]


def test_a_database_that_goes_away_untracks_nothing_and_is_logged_once(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.away = AWAY
    with capture_logs() as logs:
        for _ in range(6):
            rig.system.advance(40.0)

    assert rig.news() == []
    assert [log["event"] for log in logs] == ["streams_unreadable"]
    assert rig.database.readers[0].closed
    status = rig.status()
    assert (status.database, status.listening) == ("away", False)
    assert status.last_error == "server closed the connection unexpectedly"
    assert rig.system.telemetry.value("unified_db_connected") == 0


def test_pauses_between_connections_double_from_half_a_second(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.start()
    attempts = []
    for _ in range(8):
        rig.system.advance(0.5)
        attempts.append(rig.database.attempts)

    assert attempts == [2, 2, 3, 3, 3, 3, 4, 4]


def test_after_an_outage_it_listens_again_and_finds_what_has_changed(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.away = AWAY
    rig.system.advance(10.0)
    rig.database.set(stream("MintA", active=False), stream("MintB"))
    rig.database.away = None
    with capture_logs() as logs:
        rig.system.advance(0.5)

    assert rig.news() == ["track MintB", "untrack MintA"]
    assert rig.database.readers[-1].listening
    assert [log["event"] for log in logs] == ["streams_readable"]
    assert rig.status().database == "up"


def test_poll_now_during_an_outage_tries_to_connect_at_once(rig: Rig) -> None:
    running(rig)
    rig.database.away = AWAY
    for _ in range(8):
        rig.system.advance(40.0)
    rig.database.away = None
    rig.database.set(stream("MintA"))

    rig.tell(PollNow())

    assert rig.news() == ["track MintA"]


def test_streams_are_loaded_only_after_a_first_reading_that_succeeds(rig: Rig) -> None:
    rig.database.away = AWAY
    rig.database.set(stream("MintA"))
    rig.start()
    rig.system.advance(1.0)
    assert rig.news() == []

    rig.database.away = None
    rig.system.advance(2.0)

    assert rig.news() == ["phases 1", "track MintA", "loaded 1"]


def test_a_connection_lost_while_taking_notifications_is_made_again(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.away = AWAY
    rig.notify()
    rig.database.away = None
    rig.system.advance(0.5)

    assert rig.database.attempts == 2
    assert rig.news() == []


def test_addresses_that_are_no_coins_are_ignored_with_one_warning_each(rig: Rig) -> None:
    usdc = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    rig.database.set(stream(usdc), stream("two words"), stream("MintA"))
    with capture_logs() as logs:
        rig.start()
        rig.tell(PollNow())
        rig.notify("two words")

    assert rig.news() == ["phases 1", "track MintA", "loaded 1"]
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("stream_ignored", "quote mint"),
        ("stream_ignored", "not 1 to 64 printable ASCII characters"),
    ]


def test_a_stream_that_vanishes_between_the_two_queries_is_not_tracked(rig: Rig) -> None:
    rig.database.set(stream("MintA"), stream("MintB"))
    read = DictReader.streams

    def vanish(reader: DictReader, mints: Iterable[Mint]) -> list[StreamRow]:
        rig.database.rows.pop("MintB", None)
        return read(reader, mints)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DictReader, "streams", vanish)
        rig.start()

    assert rig.news() == ["phases 1", "track MintA", "loaded 1"]


def test_what_a_full_supervisor_refuses_is_told_again_a_second_later() -> None:
    rig = Rig(supervisor_capacity=2)
    rig.database.set(*(stream(f"Mint{number}") for number in range(4)))

    rig.start()
    first = rig.news()
    for _ in range(4):
        rig.system.advance(1.0)
    everything = first + rig.news()

    assert len(first) < 6
    assert everything.count("loaded 4") == 1
    assert everything[-1] == "loaded 4"
    assert sorted(everything[1:-1]) == [f"track Mint{number}" for number in range(4)]
    assert rig.system.letters() == []


def test_a_new_instance_goes_on_where_the_last_one_failed(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.tell(StreamChangePending(B, active=True))
    rig.database.away = RuntimeError("a bug")
    rig.tell(PollNow())
    assert rig.database.readers[0].closed
    rig.database.away = None
    rig.database.set(stream("MintC"))

    rig.system.advance(1.0)

    assert [text for text in rig.news() if not text.startswith("ChildFailed")] == ["track MintC"]
    assert rig.status().pending == 1


def test_the_connection_is_closed_at_the_end(rig: Rig) -> None:
    running(rig)

    rig.system.stop("stream-watch")

    assert rig.database.readers[0].closed


def test_a_message_it_does_not_know_is_a_dead_letter(rig: Rig) -> None:
    running(rig)

    rig.tell(StreamsLoaded(1))

    (letter,) = rig.system.letters()
    assert (letter.reason, letter.message) == ("refused", StreamsLoaded(1))


def test_rows_that_stand_aside_are_told_and_acknowledged(rig: Rig) -> None:
    rig.database.kept = Kept(3, 40, 2, 50)
    running(rig, stream("MintA"))
    told = rig.status()
    assert (told.rows_ahead, told.rows_ahead_since_us) == (3, 40)
    assert (told.row_conflicts, told.row_conflicts_since_us) == (2, 50)

    assert rig.ask(AcknowledgeKept("ahead")) == 3

    told = rig.status()
    assert (told.rows_ahead, told.row_conflicts) == (0, 2)


def test_streams_are_read_though_what_stands_aside_cannot_be_counted(rig: Rig) -> None:
    rig.database.kept = Kept(3, 40, 0, None)
    running(rig, stream("MintA"))
    rig.database.kept_fails = psycopg.errors.QueryCanceled("statement timeout")
    rig.database.set(stream("MintB"))

    with capture_logs() as logs:
        rig.tell(PollNow())
        rig.tell(PollNow())

    told = rig.status()
    assert (told.database, told.active, told.rows_ahead) == ("up", 2, 3)
    assert [log["event"] for log in logs].count("rows_aside_unreadable") == 1
    assert rig.ask(AcknowledgeKept("ahead")) == 3


def test_nothing_is_acknowledged_while_the_database_is_away(rig: Rig) -> None:
    running(rig, stream("MintA"))
    rig.database.away = psycopg.OperationalError("the server is gone")

    assert rig.ask(AcknowledgeKept("ahead")) is None
    assert rig.status().database == "away"


def test_a_stream_that_begins_in_the_future_begins_now(rig: Rig) -> None:
    now_us = rig.system.clock.now_us()
    row = stream("MintA")
    rig.database.set(
        msgspec.structs.replace(row, started_us=now_us + 10, created_us=now_us + 5, rows_seq=7)
    )

    rig.start()

    track = rig.told[1]
    assert isinstance(track, TrackMint)
    assert (track.started_us, track.created_us, track.rows_seq) == (now_us, now_us, 7)
