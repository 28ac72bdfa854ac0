"""Who is tracked, who leaves, who waits: every sequence of wishes keeps within the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Mint
from actors.protocol.supervisor import TrackMint
from actors.supervisor.admission import Roster, Verdict

A, B, C, D, E = (Mint(letter) for letter in "ABCDE")


def track(mint: Mint, by: str = "stream") -> TrackMint:
    return TrackMint(mint=mint, phase_id=1, started_us=0, by=by)


def roster_with(*mints: Mint, limit: int = 10, max_waiting: int = 10) -> Roster:
    roster = Roster(limit, max_waiting)
    for mint in mints:
        assert roster.wish(track(mint)) is Verdict.START
    return roster


def test_a_new_mint_starts_and_is_listed_oldest_first() -> None:
    roster = roster_with(B, A)
    assert roster.mints() == (B, A)
    assert len(roster) == 2
    assert A in roster
    assert C not in roster


def test_a_tracked_mint_is_known() -> None:
    roster = roster_with(A)
    assert roster.wish(track(A)) is Verdict.KNOWN
    assert roster.mints() == (A,)


def test_past_the_limit_so_many_wait_and_the_next_is_refused() -> None:
    roster = roster_with(A, B, limit=2, max_waiting=2)
    assert roster.wish(track(C)) is Verdict.WAIT
    assert roster.wish(track(D)) is Verdict.WAIT
    assert roster.wish(track(E)) is Verdict.FULL
    assert roster.wish(track(C)) is Verdict.KNOWN
    assert (len(roster), roster.waiting) == (2, 2)


def test_a_place_that_becomes_free_goes_to_who_has_waited_longest() -> None:
    roster = roster_with(A, limit=1)
    roster.wish(track(B, by="api"))
    assert roster.end(A)
    assert roster.ended(A) == track(B, by="api")
    assert roster.waiting == 0
    assert roster.wish(track(B)) is Verdict.START


def test_a_leaving_mint_keeps_its_place_until_its_tracker_has_stopped() -> None:
    roster = roster_with(A, limit=1)
    assert roster.end(A)
    assert A in roster
    assert roster.wish(track(B)) is Verdict.WAIT


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_mint_leaves_once(times: int) -> None:
    roster = roster_with(A)
    assert [roster.end(A) for _ in range(times)] == [True, False, False][:times]


def test_an_unknown_mint_cannot_leave() -> None:
    assert not Roster(1).end(A)


def test_a_wish_for_a_leaving_mint_comes_true_after_its_end() -> None:
    roster = roster_with(A)
    roster.end(A)
    assert roster.wish(track(A, by="api")) is Verdict.KNOWN
    assert roster.ended(A) == track(A, by="api")
    assert A not in roster


def test_who_is_tracked_again_comes_before_who_waits() -> None:
    roster = roster_with(A, limit=1)
    roster.end(A)
    roster.wish(track(B))
    roster.wish(track(A))
    assert roster.ended(A) == track(A)
    assert roster.waiting == 1


def test_leaving_takes_back_the_wish_to_be_tracked_again() -> None:
    roster = roster_with(A)
    roster.end(A)
    roster.wish(track(A))
    assert not roster.end(A)
    assert roster.ended(A) is None


def test_leaving_takes_back_the_wish_to_wait() -> None:
    roster = roster_with(A, limit=1)
    roster.wish(track(B))
    assert not roster.end(B)
    assert roster.waiting == 0
    assert roster.ended(A) is None


def test_the_end_of_a_tracker_nobody_knows_changes_nothing() -> None:
    roster = roster_with(A)
    assert roster.ended(B) is None
    assert roster.mints() == (A,)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_mint_is_leaving_from_the_wish_to_its_end(leaves: bool) -> None:
    roster = roster_with(A)
    if leaves:
        roster.end(A)
    assert roster.is_leaving(A) is leaves
    assert not roster.is_leaving(B)


wishes = st.lists(st.tuples(st.sampled_from(["wish", "end", "ended"]), st.sampled_from([A, B, C])))


@given(limit=st.integers(1, 2), steps=wishes)
def test_no_sequence_of_wishes_goes_past_the_limit_or_starts_a_mint_twice(
    limit: int, steps: list[tuple[str, Mint]]
) -> None:
    roster = Roster(limit, max_waiting=1)
    alive: set[Mint] = set()
    for step, mint in steps:
        following = None
        match step:
            case "wish":
                following = track(mint)
            case "end":
                roster.end(mint)
            case _ if mint in alive:
                alive.discard(mint)
                following = roster.ended(mint)
        if following is not None and roster.wish(following) is Verdict.START:
            assert following.mint not in alive
            alive.add(following.mint)
        assert set(roster.mints()) == alive
        assert len(alive) <= limit
        assert roster.waiting <= 1


@given(steps=wishes)
def test_nobody_waits_while_a_place_is_free(steps: list[tuple[str, Mint]]) -> None:
    roster = Roster(1)
    for step, mint in steps:
        following = None
        match step:
            case "wish":
                following = track(mint)
            case "end":
                roster.end(mint)
            case _ if mint in roster:
                following = roster.ended(mint)
        if following is not None:
            roster.wish(following)
        assert roster.waiting == 0 or len(roster) == 1
