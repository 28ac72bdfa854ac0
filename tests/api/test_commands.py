"""`mintwatch` commands that ask a running service, over real HTTP."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from actors.protocol.operator import (
    AcknowledgeKept,
    ChangeSettings,
    DiscardDeadLetter,
    GetDeadLetters,
    GetSettingsHistory,
    GetTimeline,
    GetTracker,
    OpenTap,
    Outcome,
    Resized,
    ResizeDispatcher,
    ResizeTrackers,
    ResizeWriters,
    RetryDeadLetter,
    TrackerOverview,
)
from actors.protocol.supervisor import GetActors, GetHealth, Problem
from actors.runtime import ArrivalClock
from actors.runtime.inspection.recent_messages import RecentMessage
from actors.runtime.inspection.taps import Tap
from actors.runtime.inspection.timeline import Note
from actors.runtime.messages import TimerReport
from api import ApiServer
from cli.main import COMMANDS, main
from cli.tables import pairs, plain, table
from settings.store import Change
from tests.api.fakes import ACTORS, HEALTH, MINT, NOON_US, TRACKED, actor
from tests.api.test_config_changes import Keeper
from tests.api.test_dead_letters import letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from db.pool import Pool
    from tests.api.fakes import FakeSupervisor

LIMIT_S = 20.0
TOKEN = "hunter2-token"

root = main


@pytest.fixture
def server(app_of: Callable[..., Flask], no_pool: Pool) -> Iterator[ApiServer]:
    started = ApiServer(app_of(no_pool, API_TOKEN=TOKEN), "127.0.0.1", 0)
    started.start()
    yield started
    assert started.stop(LIMIT_S)


@pytest.fixture
def run(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Result]:
    """Run a command as somebody with the service's settings does."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name, value in (
        ("API_HOST", "127.0.0.1"),
        ("API_PORT", str(server.port)),
        ("API_TOKEN", TOKEN),
        ("DB_DSN", "postgresql://m:hunter2-word@db/coins"),
    ):
        monkeypatch.setenv(name, value)

    def call(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(root, list(words), **more)

    return call


# What everybody meets first.


def test_commands_are_those_that_are_promised() -> None:
    assert sorted(COMMANDS) == [
        "acknowledge",
        "actors",
        "audit",
        "check",
        "compare",
        "config",
        "dead-letters",
        "migrate",
        "phases",
        "record",
        "replay",
        "resize",
        "run",
        "simulate",
        "status",
        "tap",
        "tracker",
        "webhook",
        "why",
    ]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_found(name: str, run: Callable[..., Result]) -> None:
    result = run(name, "--help")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")


def test_without_a_service_it_says_how_to_start_one(run: Callable[..., Result]) -> None:
    result = run("actors", "--url", "http://127.0.0.1:7")

    assert result.exit_code == 1
    assert result.stderr == (
        "Error: no answer from http://127.0.0.1:7 (ConnectionError): start the service with "
        "`mintwatch run`, or say where it runs with --url, or API_HOST and API_PORT.\n"
    )


def test_without_the_token_it_names_it(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "another-one")

    result = run("actors")

    assert result.exit_code == 3
    assert result.stderr == (
        "Error: the service wants its token: set API_TOKEN to the one it was started with.\n"
    )


def test_token_goes_to_no_other_service_unless_it_is_told_to(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = int(os.environ["API_PORT"])
    monkeypatch.setenv("API_PORT", str(home + 1))
    url = f"http://127.0.0.1:{home}"

    withheld = run("actors", "--url", url)

    assert withheld.exit_code == 3
    assert withheld.stderr == (
        f"Error: the service wants its token: API_TOKEN is that of http://127.0.0.1:{home + 1}; "
        "if it is this one's, add --send-token.\n"
    )
    assert run("actors", "--url", url, "--send-token").exit_code == 0


def test_bad_configuration_is_told_as_by_the_service(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_PORT", "many")

    result = run("actors")

    assert result.exit_code == 78
    assert "API_PORT is 'many', but a whole number" in result.stderr


def test_refusal_is_the_service_s_own_sentence(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTimeline] = None

    result = run("why", MINT)

    assert result.exit_code == 3
    assert result.stderr.startswith("Error: Nothing is noted of this mint")


# Looking.


def test_status_is_a_few_lines(run: Callable[..., Result]) -> None:
    result = run("status")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "status     degraded, up 3600 s",
        "feed       connected, last frame 0.3 s ago",
        "database   away",
        "coins      41 tracked, 12 in the cache",
        "trades     182334 in candles, 9120 rows saved",
        "n8n        4 coins waiting",
        "ledger     balanced",
    ]


def test_status_names_each_problem_first_and_exits_with_4(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetHealth] = msgspec.structs.replace(
        HEALTH,
        problems=(
            Problem(
                kind="n8n",
                since_us=NOON_US,
                says="n8n takes nothing (coins waiting: 4): status \x1b[31m503.",
                do="See that the workflow is active.",
                key="n8n",
            ),
        ),
    )

    result = run("status")

    assert result.exit_code == 4
    since = "2026-07-03T12:00:00+00:00"
    assert result.stdout.splitlines()[:3] == [
        f"problem    n8n, since {since}: n8n takes nothing (coins waiting: 4): status  [31m503.",
        "do         See that the workflow is active.",
        "status     degraded, up 3600 s",
    ]
    assert run("status", "--json").exit_code == 4


def test_acknowledge_says_how_many_rows_there_were(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[AcknowledgeKept] = 3

    result = run("acknowledge", "conflicts")

    assert (result.exit_code, result.stdout) == (0, "Acknowledged: 3 rows of conflicts.\n")
    assert supervisor.asked == [AcknowledgeKept("conflicts")]
    assert run("acknowledge", "n8n").exit_code == 2


def test_actors_are_a_table(run: Callable[..., Result], supervisor: FakeSupervisor) -> None:
    supervisor.replies[GetActors] = (
        actor("discovery", "discovery", handled=90_211, last_error="bad \x1b[31mname"),
        actor(f"tracker:{MINT}", "tracker", "quarantined", oldest_age_seconds=None),
        *ACTORS,
    )

    result = run("actors", "--limit", "2")

    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "NAME", "STATE", "WAITING", "OLDEST", "S", "HANDLED", "BUSY", "%", "RESTARTS", "LAST",
        "ERROR",
    ]  # fmt: skip
    assert lines[1].split() == [
        "discovery", "running", "1", "0.25", "90,211", "12.5", "0", "bad", "[31mname",
    ]  # fmt: skip
    assert lines[2].split() == [f"tracker:{MINT}", "quarantined", "1", "-", "100", "12.5", "0"]
    assert lines[3] == "and 7 more: see --limit, --kind and --state"


def test_json_is_the_answer_as_it_is(run: Callable[..., Result]) -> None:
    result = run("actors", "--json", "--kind", "connection")

    answer = json.loads(result.stdout)
    assert [found["name"] for found in answer["actors"]] == ["connection"]
    assert answer["total"] == 1


def test_tracker_is_shown_with_all_that_is_known(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTracker] = TrackerOverview(
        actor=actor(f"tracker:{MINT}", "tracker"),
        live=TRACKED,
        timers=(TimerReport("phase", 1.5, None),),
        recent=(RecentMessage(NOON_US, "Trade", "Trade(seq=7)", 1, 0.001, 0.0005, failed=True),),
        pinned=True,
    )

    lines = run("tracker", MINT).stdout.splitlines()

    assert lines[:2] == [f"mint        {MINT}", "state       running, pinned"]
    assert "phase       1, 5 s" in lines
    assert "volume      12.5 SOL" in lines
    assert "timer       phase in 1.5 s" in lines
    assert lines[-1].split() == [
        "2026-07-03T12:00:00+00:00", "Trade", "FAILED", "1", "0.5", "Trade(seq=7)",
    ]  # fmt: skip


@pytest.mark.parametrize("mint", ["..", "x/why", "a?b"])
def test_mint_that_a_path_cannot_hold_is_asked_for_by_its_name(
    run: Callable[..., Result], supervisor: FakeSupervisor, mint: str
) -> None:
    supervisor.replies[GetTimeline] = ()

    run("why", mint)

    assert [question.mint for question in supervisor.asked] == [mint]


def test_why_is_a_line_for_each_note(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetTimeline] = (
        Note(NOON_US, "discovery", "activated", {"by": "\x1b]0;owned\x07"}),
    )

    assert run("why", MINT).stdout == (
        "2026-07-03T12:00:00+00:00  discovery: It was activated by  ]0;owned .\n"
    )


@pytest.mark.parametrize("as_json", [False, True])
def test_tap_prints_until_the_tracker_ends(
    run: Callable[..., Result], supervisor: FakeSupervisor, as_json: bool
) -> None:
    tap = Tap(ArrivalClock(), 256, lambda _: None)
    tap.note(Note(NOON_US, "discovery", "activated", {"by": "trades"}))
    tap.close()
    supervisor.replies[OpenTap] = tap

    result = run("tap", MINT, *(["--json"] if as_json else []))

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    if as_json:
        assert [json.loads(line)["event"] for line in lines] == ["begin", "note", "end"]
    else:
        assert lines == [
            f"listening to {MINT}; Ctrl-C ends it",
            "2026-07-03T12:00:00+00:00  discovery: It was activated by trades.",
            "The tracker has ended.",
        ]


# Sizes.


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["threads", "2"], ResizeDispatcher(2)),
        (["threads", "2", "--dry-run"], ResizeDispatcher(2, dry_run=True)),
        (["trackers", "100"], ResizeTrackers(100)),
        (["writers", "4", "--batch-size", "500"], ResizeWriters(4, 500, None)),
    ],
)
def test_resize_tells_before_after_and_effects(
    run: Callable[..., Result], supervisor: FakeSupervisor, words: list[str], command: Any
) -> None:
    supervisor.replies[type(command)] = Resized(
        found=True, before={"size": 1}, after={"size": 2}, effects=("One more.",)
    )

    result = run("resize", *words)

    assert result.exit_code == 0
    rest = ["Nothing was done (--dry-run)."] if command.dry_run else []
    assert result.stdout.splitlines() == ["size: 1 -> 2", "One more.", *rest]
    assert [each for each in supervisor.asked if type(each) is type(command)] == [command]


def test_resize_of_writers_shows_how_far_it_is(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    looked = threading.Event()

    def show(_: GetActors) -> Any:
        looked.set()
        return ACTORS

    def move(_: ResizeWriters) -> Resized:
        assert looked.wait(LIMIT_S)
        return Resized(found=True, before={"instances": 1}, after={"instances": 2})

    supervisor.replies |= {GetActors: show, ResizeWriters: move}

    result = run("resize", "writers", "2")

    assert result.stdout == "instances: 1 -> 2\n"
    assert result.stderr.splitlines()[0] == "moving: postgres-writer:0 (1 waiting)"


def test_resize_that_is_refused_says_why(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[ResizeWriters] = Resized(found=True, refusal="The service is stopping.")

    result = run("resize", "writers", "2")

    assert (result.exit_code, result.stderr) == (3, "Error: The service is stopping.\n")


@pytest.mark.parametrize("words", [["threads", "0"], ["writers", "17"], ["trackers", "x"]])
def test_size_out_of_bounds_is_a_mistake_of_the_caller(
    run: Callable[..., Result], supervisor: FakeSupervisor, words: list[str]
) -> None:
    assert run("resize", *words).exit_code == 2
    assert supervisor.asked == []


# Settings.


def test_settings_are_shown_by_name(run: Callable[..., Result], supervisor: FakeSupervisor) -> None:
    Keeper(supervisor)

    result = run("config", "show", "batch_size", "API_PORT")

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["NAME", "VALUE", "A", "CHANGE", "ACTS"],
        ["batch_size", "10", "at", "once"],
        ["api_port", "8000", "not", "at", "all"],
    ]
    assert run("config", "show", "batch_sise").exit_code == 2


def test_settings_are_set_and_reset(run: Callable[..., Result], supervisor: FakeSupervisor) -> None:
    keeper = Keeper(supervisor)

    tried = run("config", "set", "batch_size=20", "--dry-run")
    done = run("config", "set", "batch_size=20", "bad_names_pattern=a=b|c")
    back = run("config", "reset", "batch_size")

    assert tried.stdout.splitlines() == [
        "batch_size  10 -> 20",
        "Nothing was changed; this is what would be.",
    ]
    assert done.stdout.splitlines()[-1] == "The settings are changed."
    assert back.stdout.splitlines()[0] == "batch_size  20 -> 10"
    assert (keeper.settings.batch_size, keeper.settings.bad_names_pattern) == (10, "a=b|c")


def test_every_mistake_is_a_line(run: Callable[..., Result], supervisor: FakeSupervisor) -> None:
    Keeper(supervisor)

    result = run("config", "set", "batch_size=0", "nonsense=1")

    assert result.exit_code == 3
    assert len(result.stderr.splitlines()) == 2


def test_secret_is_asked_for_and_not_shown(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    Keeper(supervisor)

    result = run("config", "set", "n8n_auth_header=-", input="X-Key: hunter2-word\n")

    assert result.exit_code == 0
    assert "hunter2" not in result.output
    [command] = [each for each in supervisor.asked if isinstance(each, ChangeSettings)]
    assert command.changes == {"n8n_auth_header": "X-Key: hunter2-word"}


def test_setting_without_a_value_is_a_mistake_of_the_caller(run: Callable[..., Result]) -> None:
    result = run("config", "set", "batch_size")

    assert result.exit_code == 2
    assert "'batch_size' is not in the form KEY=VALUE." in result.stderr


def test_history_is_a_line_for_each_setting(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies[GetSettingsHistory] = (
        Change(NOON_US, "127.0.0.1", {"batch_size": (10, 20), "n8n_auth_header": (None, "***")}),
    )

    lines = run("config", "history").stdout.splitlines()

    assert [line.split() for line in lines] == [
        ["AT", "BY", "NAME", "BEFORE", "AFTER"],
        ["2026-07-03T12:00:00+00:00", "127.0.0.1", "batch_size", "10", "20"],
        ["2026-07-03T12:00:00+00:00", "127.0.0.1", "n8n_auth_header", "-", "***"],
    ]


# Dead letters.


def test_dead_letters_are_listed_retried_and_deleted(
    run: Callable[..., Result], supervisor: FakeSupervisor
) -> None:
    supervisor.replies |= {
        GetDeadLetters: (letter(),),
        RetryDeadLetter: Outcome(found=True),
        DiscardDeadLetter: Outcome(found=False),
    }

    listed = run("dead-letters", "list", "--limit", "5").stdout.splitlines()
    retried = run("dead-letters", "retry", "3")
    deleted = run("dead-letters", "delete", "3")

    assert listed[1].split()[:5] == [
        "3",
        "2026-07-03T12:00:00+00:00",
        f"tracker:{MINT}",
        "failed",
        "Trade",
    ]
    assert retried.stdout == "The message was sent to its actor again.\n"
    assert (deleted.exit_code, deleted.stderr[:24]) == (3, "Error: No dead letter of")
    assert supervisor.asked == [GetDeadLetters(5), RetryDeadLetter(3), DiscardDeadLetter(3)]


# Tables.


def test_table_has_numbers_to_the_right() -> None:
    assert table(("NAME", "SIZE"), [("a", 1_000), ("longer", None), ("b", 0.5)]) == [
        "NAME     SIZE",
        "a       1,000",
        "longer      -",
        "b         0.5",
    ]


def test_table_without_rows_is_its_head() -> None:
    assert table(("NAME", "SIZE"), []) == ["NAME  SIZE"]


def test_pairs_stand_below_each_other() -> None:
    assert pairs([("a", True), ("long", "x" * 200)]) == ["a     yes", "long  " + "x" * 100]


def test_text_of_strangers_cannot_speak_to_the_terminal() -> None:
    assert plain("a\x1b[2J\r\nb\u202ec\x9b") == "a [2J  b c "
