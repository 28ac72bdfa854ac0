"""The timeline of a mint: what stays of it, in which order, and for how long."""

from __future__ import annotations

import threading

import msgspec
import pytest

from actors.domain import Mint
from actors.runtime.inspection.timeline import Note, Timeline
from actors.runtime.simulation import SeededSystem

A, B, C = Mint("A"), Mint("B"), Mint("C")


def note(number: int, what: str = "phase_moved") -> Note:
    return Note(number, "tracker:A", what, {"number": number})


def told(mint: Mint, numbers: range, timelines: Timeline | None = None) -> Timeline:
    timelines = timelines or Timeline()
    for number in numbers:
        timelines.note(mint, note(number))
    return timelines


def test_notes_are_given_oldest_first() -> None:
    timelines = told(A, range(3))
    assert timelines.of(A) == (note(0), note(1), note(2))


def test_nothing_is_known_of_a_mint_without_notes() -> None:
    assert told(A, range(3)).of(B) is None


def test_mints_have_timelines_of_their_own() -> None:
    timelines = told(B, range(5, 6), told(A, range(1)))
    assert timelines.of(A) == (note(0),)
    assert timelines.of(B) == (note(5),)


def test_as_many_notes_as_fit_are_kept_whole() -> None:
    assert told(A, range(64)).of(A) == tuple(note(number) for number in range(64))


def test_of_more_notes_the_beginning_and_the_end_stay_with_the_number_between() -> None:
    notes = told(A, range(100)).of(A)
    assert notes is not None
    assert [each.at_us for each in notes[:16]] == list(range(16))
    assert notes[16] == Note(15, "", "notes_left_out", {"notes": 36})
    assert [each.at_us for each in notes[17:]] == list(range(52, 100))


def test_past_the_bound_the_mint_that_was_quiet_for_longest_is_forgotten() -> None:
    timelines = Timeline(max_mints=2)
    timelines.note(A, note(1))
    timelines.note(B, note(2))
    timelines.note(A, note(3))
    timelines.note(C, note(4))
    assert timelines.of(A) == (note(1), note(3))
    assert timelines.of(B) is None
    assert timelines.of(C) == (note(4),)


def test_mints_whose_newest_note_is_too_old_are_forgotten_unless_they_are_kept() -> None:
    timelines = Timeline()
    timelines.note(A, note(10))
    timelines.note(B, note(10))
    timelines.note(C, note(10))
    timelines.note(C, note(20))

    assert timelines.forget_before(20, kept=[B]) == 1

    assert timelines.of(A) is None
    assert timelines.of(B) == (note(10),)
    assert timelines.of(C) == (note(10), note(20))


def test_everything_comes_back_from_a_file_and_goes_on() -> None:
    timelines = told(B, range(2), told(A, range(100)))
    later = Timeline()
    later.restore(timelines.encode())
    assert later.of(A) == timelines.of(A)
    assert later.of(B) == timelines.of(B)

    later.note(A, note(100))
    notes = later.of(A)
    assert notes is not None
    assert notes[16].details == {"notes": 37}
    assert notes[-1] == note(100)


def test_order_of_forgetting_survives_a_file() -> None:
    timelines = Timeline(max_mints=2)
    timelines.note(A, note(1))
    timelines.note(B, note(2))
    timelines.note(A, note(3))
    later = Timeline(max_mints=2)
    later.restore(timelines.encode())
    later.note(C, note(4))
    assert later.of(B) is None
    assert later.of(A) == (note(1), note(3))


def test_something_else_is_refused_and_changes_nothing() -> None:
    timelines = told(A, range(2))
    for data in (b"", b"\xc1", msgspec.msgpack.encode({"A": 3})):
        with pytest.raises(msgspec.DecodeError):
            timelines.restore(data)
    assert timelines.of(A) == (note(0), note(1))


def test_restored_mints_keep_to_the_bound() -> None:
    timelines = Timeline()
    for number in range(5):
        timelines.note(Mint(f"{number}"), note(number))
    small = Timeline(max_mints=2)
    small.restore(timelines.encode())
    assert [small.of(Mint(f"{number}")) is not None for number in range(5)] == [
        False, False, False, True, True,
    ]  # fmt: skip


def test_mint_without_notes_in_a_file_is_left_out() -> None:
    timelines = Timeline()
    timelines.restore(msgspec.msgpack.encode({"A": ([], [], 0)}))
    assert timelines.of(A) is None
    assert timelines.forget_before(9, kept=[]) == 0


def test_notes_of_several_threads_are_all_counted() -> None:
    timelines = Timeline()
    threads = [threading.Thread(target=told, args=(A, range(500), timelines)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    notes = timelines.of(A)
    assert notes is not None
    assert len(notes) == 16 + 1 + 48
    assert notes[16].details == {"notes": 2_000 - 64}


def test_every_actor_notes_with_its_name_and_the_time() -> None:
    system = SeededSystem(now_us=7)
    system.note("discovery", A, "discovered", {"name": "Doge"})
    assert system.timelines.of(A) == (Note(7, "discovery", "discovered", {"name": "Doge"}),)
