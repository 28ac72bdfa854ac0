"""Discovered coins, phases, single trades and gaps."""

from decimal import Decimal

import psycopg
import pytest

from actors.domain import FeedGap, Mint, Phase
from db import phases
from db.coins import get_coin, upsert_coin
from db.errors import PhaseRefusedError, Verdict, classify
from db.gaps import insert_gap, recent_gaps
from db.pool import Connection
from db.streams import active_mints, end_stream, start_stream
from db.transactions import copy_trades
from tests.db.rows import NOON_US, a_coin, a_trade, read

A, B = Mint("A"), Mint("B")


def test_coin_is_written_exactly_from_its_create(conn: Connection, dsn: str) -> None:
    upsert_coin(conn, a_coin(virtual_sol_lamports=30_000_000_001))

    found = read(
        dsn,
        "SELECT name, symbol, trader_public_key, pool_address, v_sol_in_bonding_curve,"
        " v_tokens_in_bonding_curve, initial_buy_sol, initial_buy_tokens, price_sol,"
        " market_cap_sol, has_socials, social_count, final_outcome FROM discovered_coins",
    )
    assert found == [
        (
            *("Coin", "CN", "C", "curve", Decimal("30.000000001"), Decimal(1_073_000_000)),
            *(Decimal(1), Decimal("34612903.225806"), Decimal("0.000000028"), Decimal(28)),
            *(None, None, "PENDING"),
        )
    ]


def test_coin_without_a_creators_buy_or_reserves_is_written(conn: Connection) -> None:
    upsert_coin(
        conn,
        a_coin(buy=None, virtual_sol_lamports=None, virtual_token_units=None, price_sol=None),
    )

    found = get_coin(conn, A)
    assert found is not None
    assert (found["initial_buy_sol"], found["v_sol_in_bonding_curve"], found["price_sol"]) == (
        0.0,
        None,
        None,
    )


def test_known_coin_keeps_what_it_has_and_gains_what_was_empty(conn: Connection) -> None:
    conn.execute("INSERT INTO discovered_coins (token_address, name) VALUES ('A', 'Given')")

    upsert_coin(conn, a_coin(name="Other"))
    upsert_coin(conn, a_coin(name="Third", symbol="X"))

    found = get_coin(conn, A)
    assert found is not None
    assert (found["name"], found["symbol"], found["trader_public_key"]) == ("Given", "CN", "C")
    assert get_coin(conn, B) is None


def test_odd_names_are_cleaned_and_cut(conn: Connection) -> None:
    upsert_coin(conn, a_coin(name="a\0b\ud800c" + "\U0001f438" * 10_000, symbol="\udfff\0"))

    found = get_coin(conn, A)
    assert found is not None
    assert found["name"] == "abc" + "\U0001f438" * 252
    assert found["symbol"] is None


def test_trade_is_written_once_and_bundled_trades_of_one_signature_each(
    conn: Connection, dsn: str
) -> None:
    one, other = a_trade(), a_trade(token_units=1, is_buy=False, sol_lamports=999_999_999, seq=2)

    assert copy_trades(conn, [(one, 1), (other, 2), (one, 1)], whale_lamports=10**9).new == 2
    assert copy_trades(conn, [(one, 1)], whale_lamports=10**9).new == 0

    found = read(
        dsn,
        "SELECT tx_type, sol_amount, token_amount, is_whale, phase_id_at_time, price_sol, seq"
        " FROM coin_transactions ORDER BY seq",
    )
    price = Decimal("0.000000028")
    assert found == [
        ("buy", Decimal(1), Decimal("34612903.225806"), True, 1, price, 1),
        ("sell", Decimal("0.999999999"), Decimal("0.000001"), False, 2, price, 2),
    ]


def test_gap_is_told_when_it_begins_and_again_when_it_ends(conn: Connection, dsn: str) -> None:
    insert_gap(conn, FeedGap(None, NOON_US, None, "no data for 60 s"))
    insert_gap(conn, FeedGap(A, NOON_US, None, "subscription in doubt"))
    insert_gap(conn, FeedGap(None, NOON_US, NOON_US + 9_000_000, "no data for 60 s"))
    insert_gap(conn, FeedGap(None, NOON_US, NOON_US + 20_000_000, "no data for 60 s"))

    assert [(gap["mint"], gap["ended_at"]) for gap in recent_gaps(conn, 10)] == [
        ("A", None),
        (None, "2025-10-01T12:00:09+00:00"),
    ]
    assert [gap["mint"] for gap in recent_gaps(conn, 10, B)] == [None]


def test_phases_are_read_in_order_and_unusable_ones_left_out(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO ref_coin_phases (id, name, interval_seconds, max_age_minutes)"
        " VALUES (4, NULL, 5, NULL), (5, 'broken', 0, 9), (6, 'broken', NULL, 9)"
    )

    found = phases.all_phases(conn)

    assert [phase.id for phase in found] == [1, 2, 3, 4, 99, 100]
    assert found[3] == Phase(4, "", 5, 0, 999_999)


def create(conn: Connection, name: str = "New", **changes: int) -> Phase:
    values = {"interval_seconds": 5, "min_age_minutes": 0, "max_age_minutes": 1, **changes}
    return phases.create_phase(conn, name=name, **values)


def test_new_phase_takes_the_first_free_id(conn: Connection) -> None:
    conn.execute("DELETE FROM ref_coin_phases WHERE id = 2")

    assert [create(conn).id, create(conn).id] == [2, 4]
    assert phases.get_phase(conn, 4) == Phase(4, "New", 5, 0, 1)


def test_no_phase_beyond_98_is_created(conn: Connection) -> None:
    conn.execute("INSERT INTO ref_coin_phases SELECT n, 'p', 1, 0, 1 FROM generate_series(4, 98) n")

    with pytest.raises(PhaseRefusedError, match="1 to 98 are taken"):
        create(conn)


@pytest.mark.parametrize(
    "changes",
    [
        {"interval_seconds": 0},
        {"min_age_minutes": -1},
        {"min_age_minutes": 10, "max_age_minutes": 10},
        {"interval_seconds": 2**31},
        {"name": " "},
        {"name": "x" * 51},
    ],
)
def test_values_out_of_bounds_are_refused(conn: Connection, changes: dict[str, int]) -> None:
    with pytest.raises(PhaseRefusedError):
        create(conn, **changes)  # type: ignore[arg-type]  # name is text
    with pytest.raises(PhaseRefusedError):
        phases.update_phase(conn, 2, changes)
    assert phases.all_phases(conn) == phases.SEED


def test_phase_is_changed_in_part(conn: Connection) -> None:
    changed = phases.update_phase(conn, 1, {"interval_seconds": 7})

    assert changed == Phase(1, "Baby Zone", 7, 0, 10)
    assert phases.get_phase(conn, 1) == changed
    assert phases.update_phase(conn, 50, {"interval_seconds": 7}) is None


@pytest.mark.parametrize("phase_id", [99, 100])
def test_final_phases_are_fixed(conn: Connection, phase_id: int) -> None:
    with pytest.raises(PhaseRefusedError, match="cannot be changed"):
        phases.update_phase(conn, phase_id, {"name": "x"})
    with pytest.raises(PhaseRefusedError, match="cannot be changed"):
        phases.delete_phase(conn, phase_id)


def test_active_streams_of_a_deleted_phase_move_up_and_ended_ones_stay(conn: Connection) -> None:
    for mint in ("A", "B", "C"):
        start_stream(conn, Mint(mint), 2, NOON_US)
    end_stream(conn, Mint("C"), 2, graduated=False)

    assert phases.streams_in_phase(conn, 2) == 2
    assert phases.delete_phase(conn, 2) == 2
    assert active_mints(conn) == {"A": 3, "B": 3}
    assert phases.delete_phase(conn, 3) == 2
    assert active_mints(conn) == {"A": 99, "B": 99}
    assert phases.delete_phase(conn, 3) is None
    with pytest.raises(PhaseRefusedError, match="last regular phase"):
        phases.delete_phase(conn, 1)


def test_a_trade_that_cannot_even_be_sent_is_left_out(conn: Connection, dsn: str) -> None:
    trades = [(a_trade(f"s{number}", seq=number), 1) for number in range(9)]
    trades[4] = (a_trade("s4", seq=2**63), 1)

    with conn.transaction():
        written = copy_trades(conn, trades, whale_lamports=1)

    assert written.new == 8
    [(place, error)] = written.refused
    assert place == 4
    assert classify(error, single=True) is Verdict.DEAD
    assert read(dsn, "SELECT count(*) FROM coin_transactions") == [(8,)]


def test_a_refused_trade_is_named_with_the_reason_of_the_table(conn: Connection) -> None:
    conn.execute("ALTER TABLE coin_transactions ALTER price_sol SET NOT NULL")
    trades = [(a_trade("s0"), 1), (a_trade("s1", price_sol=None), 1), (a_trade("s0"), 1)]

    with conn.transaction():
        written = copy_trades(conn, trades, whale_lamports=1)

    [(place, error)] = written.refused
    assert (written.new, place) == (1, 1)
    assert isinstance(error, psycopg.errors.NotNullViolation)
    assert 'null value in column "price_sol"' in str(error)


def test_an_error_that_blames_no_trade_is_not_blamed_on_any(conn: Connection) -> None:
    conn.execute("ALTER TABLE coin_transactions RENAME TO elsewhere")

    with pytest.raises(psycopg.errors.UndefinedTable), conn.transaction():
        copy_trades(conn, [(a_trade(), 1)], whale_lamports=1)


def test_an_error_that_blames_no_trade_ends_the_trying_of_each(conn: Connection) -> None:
    conn.execute(
        "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION USING ERRCODE = NEW.signature; END'"
    )
    conn.execute(
        "CREATE TRIGGER fails BEFORE INSERT ON coin_transactions"
        " FOR EACH ROW EXECUTE FUNCTION fails()"
    )

    with pytest.raises(psycopg.errors.DiskFull), conn.transaction():
        copy_trades(conn, [(a_trade("23505"), 1), (a_trade("53100"), 1)], whale_lamports=1)


def test_trades_that_are_there_are_equal_or_conflicts_whatever_the_time(conn: Connection) -> None:
    trades = [(a_trade(f"s{number}", seq=number), 1) for number in range(3)]
    copy_trades(conn, trades, whale_lamports=1)

    written = copy_trades(
        conn,
        [
            (a_trade("s0", arrived_us=NOON_US + 9, seq=90), 2),
            (a_trade("s1", sol_lamports=7), 1),
            (a_trade("s2", price_sol=None), 1),
            (a_trade("new"), 1),
            (a_trade("new", sol_lamports=None), 1),
        ],
        whale_lamports=1,
    )

    assert (written.new, written.repeated, written.refused) == (1, 1, ())
    assert [(each.place, each.sol_amount, each.price_sol) for each in written.conflicts] == [
        (1, Decimal(1), Decimal("0.000000028")),
        (2, Decimal(1), Decimal("0.000000028")),
        (4, Decimal(1), Decimal("0.000000028")),
    ]


def test_what_a_column_of_others_rounds_is_equal_when_it_comes_again(conn: Connection) -> None:
    conn.execute(
        "ALTER TABLE coin_transactions ALTER sol_amount TYPE numeric(20,6),"
        " ALTER price_sol TYPE real"
    )
    trade = a_trade(sol_lamports=1_000_000_001, price_sol=2.7958993476e-8)

    assert copy_trades(conn, [(trade, 1)], whale_lamports=1).new == 1
    again = copy_trades(conn, [(trade, 1)], whale_lamports=1)
    assert (again.new, again.repeated, again.conflicts) == (0, 1, ())


def test_trades_are_compared_beside_others_that_are_refused(conn: Connection) -> None:
    copy_trades(conn, [(a_trade("s0"), 1), (a_trade("s1"), 1)], whale_lamports=1)
    conn.execute("ALTER TABLE coin_transactions ALTER price_sol SET NOT NULL")
    trades = [
        (a_trade("s0"), 1),
        (a_trade("s1", sol_lamports=7), 1),
        (a_trade("s1", price_sol=None), 1),
        (a_trade("s2"), 1),
    ]

    written = copy_trades(conn, trades, whale_lamports=1)

    assert (written.new, written.repeated) == (1, 1)
    assert [each.place for each in written.conflicts] == [1]
    assert [place for place, _ in written.refused] == [2]


def test_a_trade_that_a_trigger_takes_away_is_refused(conn: Connection) -> None:
    conn.execute(
        "CREATE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.seq = 2 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    conn.execute(
        "CREATE TRIGGER takes BEFORE INSERT ON coin_transactions"
        " FOR EACH ROW EXECUTE FUNCTION takes()"
    )

    written = copy_trades(
        conn, [(a_trade("s1", seq=1), 1), (a_trade("s2", seq=2), 1)], whale_lamports=1
    )

    assert written.new == 1
    [(place, error)] = written.refused
    assert place == 1
    assert str(error).startswith("coin_transactions has not kept the trade: look for a trigger")
