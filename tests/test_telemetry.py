"""Metric names and types, and what may and may not stand in a log."""

from __future__ import annotations

import io
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from actors.domain import Drop
from telemetry import (
    DROP_REASONS,
    RateLimit,
    Redactor,
    Telemetry,
    configure_logging,
    read,
    set_log_level,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = 'pa"ss\\w\u00f6rd-1'

UNIFIED = {
    "unified_coins_received": "counter",
    "unified_coins_filtered": "counter",
    "unified_coins_sent_n8n": "counter",
    "unified_n8n_batches_sent": "counter",
    "unified_n8n_available": "gauge",
    "unified_n8n_buffer_size": "gauge",
    "unified_n8n_errors": "counter",
    "unified_cache_size": "gauge",
    "unified_cache_activations": "counter",
    "unified_cache_expirations": "counter",
    "unified_trades_received": "counter",
    "unified_trades_processed": "counter",
    "unified_metrics_saved": "counter",
    "unified_coins_tracked": "gauge",
    "unified_phase_switches": "counter",
    "unified_coins_graduated": "counter",
    "unified_coins_finished": "counter",
    "unified_ws_connected": "gauge",
    "unified_db_connected": "gauge",
    "unified_ws_reconnects": "counter",
    "unified_buffer_size": "gauge",
    "unified_db_errors": "counter",
    "unified_uptime_seconds": "gauge",
    "unified_last_trade_timestamp": "gauge",
    "unified_connection_duration_seconds": "gauge",
    "unified_db_query_duration_seconds": "histogram",
    "unified_flush_duration_seconds": "histogram",
    "unified_pending_subscriptions": "gauge",
    "unified_batches_sent": "counter",
    "unified_subscriptions_batched": "counter",
    "unified_batch_size": "gauge",
    "unified_ath_updates": "counter",
    "unified_ath_cache_size": "gauge",
    "unified_zombie_coins_detected": "counter",
    "unified_force_resubscribes": "counter",
    "unified_stale_data_skipped": "counter",
}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    config = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def families(telemetry: Telemetry) -> dict[str, Any]:
    text = telemetry.render().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def lines(
    level: str = "INFO",
    log_format: Literal["console", "json"] = "json",
    secrets: tuple[str, ...] = (),
    clock: Clock | None = None,
) -> tuple[structlog.stdlib.BoundLogger, io.StringIO]:
    stream = io.StringIO()
    configure_logging(level, log_format, stream, secrets, clock or Clock())
    return structlog.get_logger("mintwatch").bind(actor="discovery"), stream


def parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def event_of(secret: str) -> str:
    return f"connect {secret}"


def refuse(whom: str) -> None:
    raise ValueError(f"refused for {whom}")


def test_every_name_of_the_original_is_exposed_with_its_type() -> None:
    exposed = families(Telemetry())

    found = {name: family.type for name, family in exposed.items() if name.startswith("unified_")}

    assert found == UNIFIED


def test_counters_are_exposed_with_total_and_without_created() -> None:
    text = Telemetry().render().decode()

    assert "\nunified_trades_received_total 0.0\n" in text
    assert "_created" not in text


def test_other_names_are_ours_or_of_the_process() -> None:
    names = [name for name in families(Telemetry()) if not name.startswith("unified_")]

    assert {name.split("_")[0] for name in names} == {"mintwatch", "process"}


def test_every_metric_says_in_words_what_it_is() -> None:
    ours = [f for f in families(Telemetry()).values() if not f.name.startswith("process_")]

    assert [f.name for f in ours if not f.documentation.endswith(".")] == []


def test_attribute_is_the_name_without_prefix_and_total() -> None:
    telemetry = Telemetry()
    exposed = [n for n in families(telemetry) if n.startswith(("unified_", "mintwatch_"))]

    missing = [name for name in exposed if not hasattr(telemetry, name.partition("_")[2])]

    assert missing == []


def test_labelled_series_are_there_from_the_start() -> None:
    samples = families(Telemetry())["unified_coins_filtered"].samples

    assert {s.labels["reason"] for s in samples} == {"bad_name", "spam_burst", "quote_mint"}


def test_unknown_label_value_is_counted_as_other() -> None:
    telemetry = Telemetry()

    for reason in ("bad_name", "Ai3qS9nAJhGkW4pA2s1nHbz", "x"):
        telemetry.coins_filtered.labels(reason=reason).inc()

    assert telemetry.value("unified_coins_filtered_total", reason="bad_name") == 1
    assert telemetry.value("unified_coins_filtered_total", reason="other") == 2
    assert "Ai3qS9" not in telemetry.render().decode()


def test_unknown_sample_is_no_zero() -> None:
    with pytest.raises(KeyError, match="unified_nothing"):
        Telemetry().value("unified_nothing")


def test_feed_is_in_one_state_at_a_time() -> None:
    telemetry = Telemetry()
    telemetry.show_feed_state("connecting")
    telemetry.show_feed_state("live")

    samples = families(telemetry)["mintwatch_feed_state"].samples

    assert {s.labels["state"]: s.value for s in samples} == {
        "offline": 0,
        "connecting": 0,
        "live": 1,
        "discovery_only": 0,
        "silent": 0,
        "banned": 0,
    }


def test_two_objects_share_nothing() -> None:
    one, other = Telemetry(), Telemetry()

    one.trades_received.inc(3)

    assert other.value("unified_trades_received_total") == 0


def test_exposition_is_made_again_after_a_second() -> None:
    clock = Clock()
    telemetry = Telemetry(clock)
    calls: list[float] = []
    telemetry.on_scrape(lambda: calls.append(clock.now))
    telemetry.on_scrape(lambda: telemetry.cache_size.set(len(calls)))

    telemetry.render()
    clock.now += 0.9
    telemetry.render()
    clock.now += 0.1
    text = telemetry.render().decode()

    assert calls == [100.0, 101.0]
    assert "\nunified_cache_size 2.0\n" in text


def test_scrapes_at_the_same_time_share_one_exposition() -> None:
    telemetry = Telemetry(Clock())
    calls: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def refresh() -> None:
        calls.append(1)
        begun.set()
        assert go_on.wait(10)

    telemetry.on_scrape(refresh)
    with ThreadPoolExecutor(8) as pool:
        scrapes = [pool.submit(telemetry.render) for _ in range(8)]
        assert begun.wait(10)
        go_on.set()
        texts = {scrape.result(10) for scrape in scrapes}

    assert len(calls) == 1
    assert len(texts) == 1


def test_failed_scrape_is_not_kept() -> None:
    telemetry = Telemetry(Clock())
    answers = iter([ZeroDivisionError, None])

    def refresh() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    telemetry.on_scrape(refresh)
    with pytest.raises(ZeroDivisionError):
        telemetry.render()

    assert b"unified_trades_received_total 0.0" in telemetry.render()


def test_followed_count_is_there_without_an_exposition() -> None:
    telemetry, count = Telemetry(), [3]
    telemetry.follow(telemetry.journal_lost, lambda: count[0])

    telemetry.catch_up()
    count[0] = 5
    telemetry.render()
    telemetry.catch_up()

    assert read(telemetry.journal_lost) == 5


def test_every_series_of_a_counter_is_read_at_once() -> None:
    telemetry = Telemetry()
    telemetry.frames.labels(kind="buy").inc(4)

    found = telemetry.frames.read()

    assert found["buy",] == 4
    assert sum(found.values()) == 4


def test_kind_of_a_problem_that_is_over_goes_back_to_0() -> None:
    telemetry = Telemetry()
    telemetry.show_problems({"feed": 2})
    telemetry.show_problems({"clock": 1})

    assert telemetry.value("mintwatch_problems", kind="feed") == 0
    assert telemetry.value("mintwatch_problems", kind="clock") == 1


def test_reasons_are_those_of_the_domain() -> None:
    assert {drop.value for drop in Drop} == set(DROP_REASONS)


def test_counter_follows_a_count_kept_elsewhere() -> None:
    clock = Clock()
    telemetry, count = Telemetry(clock), [3]
    telemetry.follow(telemetry.dossiers_skipped, lambda: count[0])

    telemetry.render()
    count[0] = 5
    clock.now += 1
    telemetry.render()

    assert telemetry.value("mintwatch_dossiers_skipped_total") == 5


def test_share_is_that_of_the_time_since_the_exposition_before() -> None:
    clock = Clock()
    telemetry, busy_s = Telemetry(clock), [5.0]
    telemetry.follow_share(telemetry.dispatcher_busy_share, lambda: busy_s[0], lambda: 2)
    shares = []

    for more_s in (4.0, 0.0, 50.0):
        busy_s[0] += more_s
        clock.now += 10
        telemetry.render()
        shares.append(telemetry.value("mintwatch_dispatcher_busy_share"))

    assert shares == [0.2, 0.0, 1.0]


def test_journal_is_in_one_state_at_a_time() -> None:
    telemetry = Telemetry()
    telemetry.show_journal_state("failed")
    telemetry.show_journal_state("full")

    samples = families(telemetry)["mintwatch_journal_state"].samples

    assert {s.labels["state"] for s in samples if s.value} == {"full"}
    assert {s.labels["state"] for s in samples} == {"ok", "failed", "full", "closed", "off"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secret_appears_nowhere_in_a_line(log_format: Literal["json", "console"]) -> None:
    log, stream = lines(log_format=log_format, secrets=(SECRET, "key-123456"))

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({SECRET})"

    log.info(
        event_of(SECRET),
        url=f"wss://feed/?api-key=key-123456&x={SECRET}",
        nested={"dsn": [SECRET, ("key-123456",)], SECRET: 1},
        raw=SECRET.encode(),
        shown=repr(SECRET),
        holder=Holder(),
    )
    logging.getLogger("library").warning("refused for %s", SECRET)

    text = stream.getvalue()
    assert text.count("***") >= 7
    for form in (SECRET, json.dumps(SECRET)[1:-1], repr(SECRET)[1:-1], "key-123456"):
        assert form not in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secret_of_a_traceback_is_masked(log_format: Literal["json", "console"]) -> None:
    log, stream = lines(log_format=log_format, secrets=("hunter2hunter2",))

    try:
        refuse("hunter2hunter2")
    except ValueError as error:
        log.exception("failed")
        log.warning("actor_failed", exc_info=error)
        logging.getLogger("library").exception("failed there")

    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("ValueError: refused for ***") == 3


@given(st.text(min_size=4, max_size=30), st.text(max_size=10))
def test_masked_text_never_holds_the_secret(secret: str, around: str) -> None:
    masked = Redactor([secret]).text(f"{around}{secret}{around}")

    # Stars and what stands beside them could spell a secret made of stars. Without the words of
    # JSON a log line could not be read.
    assert secret not in masked or "*" in secret or secret in {"true", "false", "null"}


def test_longer_secret_is_masked_as_a_whole() -> None:
    redactor = Redactor(["secret", "secret-and-more"])

    assert redactor.text("a secret-and-more, a secret") == "a ***, a ***"


def test_short_secret_leaves_words_alone() -> None:
    assert Redactor(["tok"]).text("token") == "token"


def test_event_goes_out_five_times_and_then_once_a_window() -> None:
    clock = Clock()
    log, stream = lines(clock=clock)

    for _ in range(12):
        log.warning("chain_break")
    clock.now += 10
    log.warning("chain_break")

    found = parsed(stream)
    assert len(found) == 6
    assert [line.get("suppressed") for line in found] == [None] * 5 + [7]


def test_actors_and_events_are_limited_on_their_own() -> None:
    log, stream = lines()

    for _ in range(9):
        log.info("one")
        log.info("two")
        log.bind(actor="tracker:x").info("one")

    assert len(parsed(stream)) == 15


def test_library_is_limited_by_its_template() -> None:
    _, stream = lines()

    for number in range(20):
        logging.getLogger("library").warning("attempt %d failed", number)

    assert [line["event"] for line in parsed(stream)] == [
        f"attempt {number} failed" for number in range(5)
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 4, allow_nan=False)), min_size=1, max_size=80
    )
)
def test_limit_lets_at_most_its_burst_through_and_counts_the_rest(
    events: list[tuple[str, float]],
) -> None:
    limit, now = RateLimit(burst=3, window_s=10.0), 0.0
    passed: dict[str, list[float]] = {"a": [], "b": []}
    dropped, told = 0, 0

    for name, pause in events:
        now += pause
        answer = limit.admit((name,), now)
        if answer is None:
            dropped += 1
        else:
            told += answer
            passed[name].append(now)

    assert told <= dropped
    for times in passed.values():
        # Never more than two windows' share in one window's length.
        assert all(times[i + 6] - times[i] >= 10.0 for i in range(len(times) - 6))


def test_limit_forgets_the_event_unused_longest() -> None:
    limit = RateLimit(burst=1, window_s=10.0, keys=2)
    assert limit.admit(("a",), 0.0) == 0
    assert limit.admit(("b",), 0.0) == 0
    assert limit.admit(("c",), 0.0) == 0

    assert limit.admit(("c",), 1.0) is None
    assert limit.admit(("a",), 1.0) == 0


def test_json_line_has_time_in_utc_level_event_and_fields() -> None:
    log, stream = lines()

    log.info("coin_tracked", mint="abc", trades=3)

    (line,) = parsed(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "actor": "discovery",
        "event": "coin_tracked",
        "level": "info",
        "mint": "abc",
        "trades": 3,
    }


def test_console_without_a_terminal_has_no_colours() -> None:
    log, stream = lines(log_format="console")

    log.warning("feed_silent", since_s=61)

    assert "\x1b" not in stream.getvalue()
    assert "feed_silent" in stream.getvalue()
    assert "since_s=61" in stream.getvalue()


def test_name_of_a_coin_cannot_write_to_the_terminal() -> None:
    log, stream = lines(log_format="console")

    log.info("coin_seen", name="\x1b]0;owned\x07\n2026-01-01 [error] forged", symbol="\ud83d half")

    assert "\x1b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\u200b", "\u00a0", "\u3000", "\u2028", "\U000e0041", "\x9b"]
)
def test_what_does_not_print_is_spelled_out_for_people(character: str) -> None:
    log, stream = lines(log_format="console")

    log.info(
        "coin_seen", name=f"gnp.{character}live", list=[character], symbol="\u6771\u4eac \U0001f680"
    )

    shown = stream.getvalue()
    assert character not in shown
    assert shown.count(character.encode("unicode_escape").decode()) == 2
    assert "\u6771\u4eac \U0001f680" in shown


def test_lone_surrogate_does_not_stop_the_line() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    configure_logging("INFO", "console", stream, (), Clock())

    structlog.get_logger("mintwatch").info("coin_seen", symbol="\ud83d\u00e9")
    stream.flush()

    assert rb"symbol=\ud83d\xe9" in raw.getvalue()


def test_levels_below_the_wanted_one_are_silent() -> None:
    log, stream = lines(level="WARNING")

    log.info("quiet")
    log.warning("loud")

    assert [line["event"] for line in parsed(stream)] == ["loud"]


@pytest.mark.parametrize("name", ["pykka", "yoyo", "waitress", "urllib3", "websocket"])
def test_library_is_quiet_below_warning(name: str) -> None:
    _, stream = lines(level="DEBUG")

    logging.getLogger(name).info("starting")
    logging.getLogger(f"{name}.part").info("starting")
    logging.getLogger(name).warning("trouble")

    assert [line["event"] for line in parsed(stream)] == ["trouble"]


def test_level_changes_for_those_who_have_a_logger_already() -> None:
    log, stream = lines(level="WARNING")
    log.debug("before")

    set_log_level("DEBUG")
    log.debug("meanwhile")
    set_log_level("ERROR")
    log.warning("after")

    assert [line["event"] for line in parsed(stream)] == ["meanwhile"]
    assert logging.getLogger("urllib3").level == logging.ERROR
    assert logging.getLogger("psycopg.pool").level == logging.CRITICAL


def test_secret_learned_later_is_masked_like_the_others() -> None:
    redactor, stream = Redactor(["hunter2"]), io.StringIO()
    configure_logging("INFO", "json", stream, redactor, Clock())
    log = structlog.get_logger("mintwatch")

    redactor.learn(["hunter3", "hunter2"])
    log.info("connected", cause="hunter2 hunter3")

    assert [line["cause"] for line in parsed(stream)] == ["*** ***"]


def test_redactor_forgets_what_it_learned_first_and_never_what_it_began_with() -> None:
    redactor = Redactor(["hunter2"])

    for number in range(1001):
        redactor.learn([f"secret-{number:04}"])

    assert redactor.text("hunter2 secret-0000 secret-0001 secret-1000") == "*** secret-0000 *** ***"


def test_flood_of_one_event_leaves_five_lines_and_its_count() -> None:
    clock = Clock()
    log, stream = lines(clock=clock)

    for number in range(100_000):
        clock.now = 100.0 + number * 1e-4
        log.warning("feed_refused", cause=f"number {number}")
    clock.now = 110.0
    log.warning("feed_refused", cause="the last")

    found = parsed(stream)
    assert [line["cause"] for line in found] == [
        "number 0",
        "number 1",
        "number 2",
        "number 3",
        "number 4",
        "the last",
    ]
    assert found[-1]["suppressed"] == 99_995


def test_traced_coin_is_told_line_by_line_and_still_bounded() -> None:
    log, stream = lines()

    for _ in range(2_010):
        log.info("handled", trace=True, message="TradeBatch")

    found = parsed(stream)
    assert len(found) == 2_000
    assert "trace" not in found[0]


def test_configuring_again_replaces_the_handler() -> None:
    _, first = lines()
    log, second = lines()

    log.info("once")
    logging.getLogger("library").warning("once")

    assert first.getvalue() == ""
    assert len(parsed(second)) == 2
