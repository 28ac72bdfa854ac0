from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Mint
from actors.stream_watch.watch import Changes, Watch, is_coin

A, B, C = Mint("MintA"), Mint("MintB"), Mint("MintC")


def test_first_reading_starts_every_active_stream_in_its_order() -> None:
    assert Watch().read_all([B, A]) == Changes(started=(B, A))


def test_a_stream_that_was_told_is_not_told_again() -> None:
    watch = Watch()
    watch.told(watch.read_all([A]))

    assert watch.read_all([A, B]) == Changes(started=(B,))


def test_changes_that_could_not_be_told_are_asked_for_again() -> None:
    watch = Watch()
    watch.read_all([A])

    assert watch.read_all([A]) == Changes(started=(A,))


def test_a_stream_that_vanished_is_stopped() -> None:
    watch = Watch()
    watch.told(watch.read_all([A, B, C]))

    changes = watch.read_all([B])

    assert changes == Changes(stopped=(A, C))
    watch.told(changes)
    assert watch.tracked == {B}


def test_a_partial_reading_speaks_only_of_the_mints_asked_about() -> None:
    watch = Watch()
    watch.told(watch.read_all([A, B]))

    assert watch.read_some([B, C], [C]) == Changes(started=(C,), stopped=(B,))


def test_our_own_start_is_not_stopped_by_a_reading_from_before_its_commit() -> None:
    watch = Watch()
    watch.change_pending(A, active=True)

    assert watch.read_all([]) == Changes()
    assert watch.tracked == {A}


def test_our_own_start_is_not_tracked_a_second_time_after_its_commit() -> None:
    watch = Watch()
    watch.change_pending(A, active=True)
    watch.changes_committed([A])

    assert watch.read_all([A]) == Changes()


def test_our_own_start_is_stopped_when_somebody_removes_it_after_the_commit() -> None:
    watch = Watch()
    watch.change_pending(A, active=True)
    watch.changes_committed([A])

    assert watch.read_all([]) == Changes(stopped=(A,))


def test_our_own_end_is_not_tracked_again_by_a_reading_from_before_its_commit() -> None:
    watch = Watch()
    watch.told(watch.read_all([A]))
    watch.change_pending(A, active=False)

    assert watch.read_all([A]) == Changes()
    assert watch.read_some([A], [A]) == Changes()
    assert watch.tracked == frozenset()


def test_a_stream_that_somebody_activates_again_after_our_end_is_tracked() -> None:
    watch = Watch()
    watch.told(watch.read_all([A]))
    watch.change_pending(A, active=False)
    watch.changes_committed([A])

    assert watch.read_all([A]) == Changes(started=(A,))


def test_the_override_lasts_until_every_change_of_the_mint_is_committed() -> None:
    watch = Watch()
    watch.change_pending(A, active=True)
    watch.change_pending(A, active=False)
    watch.changes_committed([A])

    assert watch.read_all([A]) == Changes()
    assert watch.pending == {A: False}

    watch.changes_committed([A])
    assert watch.pending == {}
    assert watch.read_all([A]) == Changes(started=(A,))


def test_two_commits_of_one_mint_in_one_message_count_twice() -> None:
    watch = Watch()
    watch.change_pending(A, active=True)
    watch.change_pending(A, active=True)

    watch.changes_committed([A, A])

    assert watch.pending == {}


def test_a_mint_contradicted_while_pending_is_read_again_at_its_commit() -> None:
    watch = Watch()
    watch.told(watch.read_all([A, B]))
    watch.change_pending(A, active=True)
    watch.change_pending(B, active=True)

    watch.read_some([A], [])

    assert watch.changes_committed([A, B]) == {A}


def test_a_commit_nobody_announced_changes_nothing() -> None:
    watch = Watch()

    assert watch.changes_committed([A]) == frozenset()
    assert watch.read_all([A]) == Changes(started=(A,))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("7tLmXpBq4Yw", True),
        ("x", True),
        ("m" * 64, True),
        ("m" * 65, False),
        ("", False),
        ("with blank", False),
        ("tab\t", False),
        ("münze", False),
        ("nul\0", False),
        ("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", False),
        ("Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", False),
        ("So11111111111111111111111111111111111111112", False),
    ],
)
def test_coin_addresses(address: str, *, expected: bool) -> None:
    assert is_coin(address) is expected


def test_a_refused_address_is_named_once() -> None:
    watch = Watch()

    assert watch.refuse("So11111111111111111111111111111111111111112") == "quote mint"
    assert watch.refuse("So11111111111111111111111111111111111111112") is None
    assert watch.refuse("a b") == "not 1 to 64 printable ASCII characters"
    assert watch.refuse("MintA") is None


def test_refusals_past_the_bound_are_silent() -> None:
    watch = Watch()

    named = [watch.refuse(f"bad address {number}") for number in range(1_500)]

    assert sum(reason is not None for reason in named) == 1_000


mints = st.sampled_from([A, B, C])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("others"), mints, st.booleans()),
        st.tuples(st.just("ours"), mints, st.booleans()),
        st.tuples(st.just("commit"), mints, st.booleans()),
        st.tuples(st.just("poll"), mints, st.booleans()),
    ),
    max_size=60,
)


@given(steps)
def test_once_all_is_committed_a_reading_makes_the_tracked_set_that_of_the_database(
    sequence: list[tuple[str, Mint, bool]],
) -> None:
    """A database in which changes of ours arrive late, in order, between those of others."""
    watch = Watch()
    rows: dict[Mint, bool] = {}
    under_way: list[tuple[Mint, bool]] = []
    for kind, mint, active in sequence:
        match kind:
            case "others":
                rows[mint] = active
            case "ours":
                watch.change_pending(mint, active=active)
                under_way.append((mint, active))
            case "commit" if under_way:
                changed, state = under_way.pop(0)
                rows[changed] = state
                watch.changes_committed([changed])
            case _:
                before = dict(watch.pending)
                watch.told(watch.read_all([m for m, on in rows.items() if on]))
                for pending, state in before.items():
                    assert (pending in watch.tracked) is state

    while under_way:
        changed, state = under_way.pop(0)
        rows[changed] = state
        watch.changes_committed([changed])
    watch.told(watch.read_all([m for m, on in rows.items() if on]))

    assert watch.tracked == {m for m, on in rows.items() if on}
    assert watch.pending == {}
