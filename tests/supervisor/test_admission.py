"""Who is tracked, who leaves, who waits: every sequence of wishes keeps within the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain import Mint
from actors.protocol.supervisor import TrackMint
from actors.supervisor.admission import Admission, AdmissionDecision

A, B, C, D, E = (Mint(letter) for letter in "ABCDE")


def track(mint: Mint, by: str = "stream") -> TrackMint:
    return TrackMint(mint=mint, phase_id=1, started_us=0, by=by)


def roster_with(*mints: Mint, limit: int = 10, max_waiting: int = 10) -> Admission:
    admission = Admission(limit, max_waiting)
    for mint in mints:
        assert admission.wish(track(mint)) is AdmissionDecision.START
    return admission


def test_a_new_mint_starts_and_is_listed_oldest_first() -> None:
    admission = roster_with(B, A)
    assert admission.mints() == (B, A)
    assert len(admission) == 2
    assert A in admission
    assert C not in admission


def test_a_tracked_mint_is_known() -> None:
    admission = roster_with(A)
    assert admission.wish(track(A)) is AdmissionDecision.KNOWN
    assert admission.mints() == (A,)


def test_past_the_limit_so_many_wait_and_the_next_is_refused() -> None:
    admission = roster_with(A, B, limit=2, max_waiting=2)
    assert admission.wish(track(C)) is AdmissionDecision.WAIT
    assert admission.wish(track(D)) is AdmissionDecision.WAIT
    assert admission.wish(track(E)) is AdmissionDecision.FULL
    assert admission.wish(track(C)) is AdmissionDecision.KNOWN
    assert (len(admission), admission.waiting) == (2, 2)


def test_a_place_that_becomes_free_goes_to_who_has_waited_longest() -> None:
    admission = roster_with(A, limit=1)
    admission.wish(track(B, by="api"))
    assert admission.end(A)
    assert admission.ended(A) == track(B, by="api")
    assert admission.waiting == 0
    assert admission.wish(track(B)) is AdmissionDecision.START


def test_a_leaving_mint_keeps_its_place_until_its_tracker_has_stopped() -> None:
    admission = roster_with(A, limit=1)
    assert admission.end(A)
    assert A in admission
    assert admission.wish(track(B)) is AdmissionDecision.WAIT


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_mint_leaves_once(times: int) -> None:
    admission = roster_with(A)
    assert [admission.end(A) for _ in range(times)] == [True, False, False][:times]


def test_an_unknown_mint_cannot_leave() -> None:
    assert not Admission(1).end(A)


def test_a_wish_for_a_leaving_mint_comes_true_after_its_end() -> None:
    admission = roster_with(A)
    admission.end(A)
    assert admission.wish(track(A, by="api")) is AdmissionDecision.KNOWN
    assert admission.ended(A) == track(A, by="api")
    assert A not in admission


def test_who_is_tracked_again_comes_before_who_waits() -> None:
    admission = roster_with(A, limit=1)
    admission.end(A)
    admission.wish(track(B))
    admission.wish(track(A))
    assert admission.ended(A) == track(A)
    assert admission.waiting == 1


def test_leaving_takes_back_the_wish_to_be_tracked_again() -> None:
    admission = roster_with(A)
    admission.end(A)
    admission.wish(track(A))
    assert not admission.end(A)
    assert admission.ended(A) is None


def test_leaving_takes_back_the_wish_to_wait() -> None:
    admission = roster_with(A, limit=1)
    admission.wish(track(B))
    assert not admission.end(B)
    assert admission.waiting == 0
    assert admission.ended(A) is None


def test_the_end_of_a_tracker_nobody_knows_changes_nothing() -> None:
    admission = roster_with(A)
    assert admission.ended(B) is None
    assert admission.mints() == (A,)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_mint_is_leaving_from_the_wish_to_its_end(leaves: bool) -> None:
    admission = roster_with(A)
    if leaves:
        admission.end(A)
    assert admission.is_leaving(A) is leaves
    assert not admission.is_leaving(B)


wishes = st.lists(st.tuples(st.sampled_from(["wish", "end", "ended"]), st.sampled_from([A, B, C])))


@given(limit=st.integers(1, 2), steps=wishes)
def test_no_sequence_of_wishes_goes_past_the_limit_or_starts_a_mint_twice(
    limit: int, steps: list[tuple[str, Mint]]
) -> None:
    admission = Admission(limit, max_waiting=1)
    alive: set[Mint] = set()
    for step, mint in steps:
        following = None
        match step:
            case "wish":
                following = track(mint)
            case "end":
                admission.end(mint)
            case _ if mint in alive:
                alive.discard(mint)
                following = admission.ended(mint)
        if following is not None and admission.wish(following) is AdmissionDecision.START:
            assert following.mint not in alive
            alive.add(following.mint)
        assert set(admission.mints()) == alive
        assert len(alive) <= limit
        assert admission.waiting <= 1


@given(steps=wishes)
def test_nobody_waits_while_a_place_is_free(steps: list[tuple[str, Mint]]) -> None:
    admission = Admission(1)
    for step, mint in steps:
        following = None
        match step:
            case "wish":
                following = track(mint)
            case "end":
                admission.end(mint)
            case _ if mint in admission:
                following = admission.ended(mint)
        if following is not None:
            admission.wish(following)
        assert admission.waiting == 0 or len(admission) == 1
