"""Sizes and settings that an operator changes while everything runs."""

from __future__ import annotations

import pykka
import pytest

from actors.protocol.operator import (
    ChangeSettings,
    GetSettings,
    GetSettingsHistory,
    Resized,
    ResizeDispatcher,
    ResizeMailbox,
    ResizeTrackers,
    ResizeWriters,
)
from actors.protocol.postgres_writer import FinishMove, MovePrepared, PrepareMove
from actors.protocol.supervisor import SUPERVISOR, Drain, writer_name, writer_of
from actors.runtime import ChildStopped, Control, Flush, SettingsChanged
from actors.runtime.cell import CellState
from tests.supervisor.scene import A, B, C, Scene, track

W0, W1, W2 = (writer_name(index) for index in range(3))


@pytest.fixture
def scene() -> Scene:
    return Scene(postgres_writers=2)


def moves(scene: Scene, name: str) -> list[object]:
    return [m for m in scene.told(name) if isinstance(m, PrepareMove | FinishMove)]


class Later:
    """A question whose answer may take its time."""

    def __init__(self, scene: Scene, message: Control) -> None:
        self._future: pykka.Future[Resized] = pykka.ThreadingFuture()
        scene.system.offer(SUPERVISOR, message, self._future)
        scene.system.run()

    def answer(self) -> Resized | None:
        try:
            return self._future.get(timeout=0.0)
        except pykka.Timeout:
            return None


# Threads, places, mailboxes.


def test_threads_are_resized_and_the_figure_is_kept(scene: Scene) -> None:
    resized = scene.ask(ResizeDispatcher(4))
    assert (resized.before, resized.after) == (
        {"dispatcher_threads": 1},
        {"dispatcher_threads": 4},
    )
    assert scene.tree.dispatcher.size == 4
    assert scene.book.kept == [{"dispatcher_threads": 4}]
    assert scene.ask(GetSettings()).dispatcher_threads == 4


@pytest.mark.parametrize(
    "message",
    [
        ResizeDispatcher(4, dry_run=True),
        ResizeTrackers(7, dry_run=True),
        ResizeWriters(3, dry_run=True),
        ResizeMailbox("tracker:A", 100, dry_run=True),
    ],
)
def test_dry_run_tells_and_changes_nothing(scene: Scene, message: Control) -> None:
    scene.tracker(A)
    resized = scene.ask(message)
    assert resized.refusal is None
    assert resized.before != resized.after
    assert resized.effects
    assert scene.tree.dispatcher.size == 1
    assert scene.state.admission.limit == 100
    assert scene.book.kept == []
    assert moves(scene, W0) == []


def test_size_out_of_bounds_is_refused_with_the_bounds(scene: Scene) -> None:
    resized = scene.ask(ResizeDispatcher(0))
    assert resized.found
    assert resized.refusal is not None
    assert scene.tree.dispatcher.size == 1


def test_nothing_is_resized_during_the_drain(scene: Scene) -> None:
    scene.tell(Drain("test"))
    assert "draining" in (scene.ask(ResizeDispatcher(4)).refusal or "")


def test_more_places_are_taken_by_those_who_wait() -> None:
    scene = Scene(limit=1, max_trackers=1)
    scene.tell(track(A), track(B), track(C))
    assert scene.tree.started == ["tracker:A"]
    assert scene.ask(ResizeTrackers(2)).after == {"max_trackers": 2}
    scene.system.run()
    assert scene.tree.started == ["tracker:A", "tracker:B"]


def test_mailbox_of_an_actor_takes_another_bound(scene: Scene) -> None:
    scene.tracker(A)
    assert scene.ask(ResizeMailbox("tracker:A", 100)).after == {"mailbox_capacity": 100}
    known = scene.system.report("tracker:A")
    assert known is not None
    assert known.mailbox_capacity == 100


def test_mailbox_of_nobody_is_not_found(scene: Scene) -> None:
    assert scene.ask(ResizeMailbox("nobody", 100)) == Resized(found=False)


def test_mailbox_needs_a_sensible_bound(scene: Scene) -> None:
    scene.tracker(A)
    assert (
        scene.ask(ResizeMailbox("tracker:A", 1)).refusal == "A mailbox takes 64 to 1000000 events."
    )


# Writers.


def test_more_writers_start_before_the_old_ones_hear_of_it(scene: Scene) -> None:
    reply = Later(scene, ResizeWriters(3))
    assert scene.tree.started == [W2]
    assert moves(scene, W0) == [PrepareMove(3, 1)]
    assert moves(scene, W1) == [PrepareMove(3, 1)]
    assert scene.shared == []
    assert reply.answer() is None


def test_writers_go_on_when_the_last_old_one_holds_nothing(scene: Scene) -> None:
    reply = Later(scene, ResizeWriters(3))
    scene.tell(MovePrepared(W0, 1))
    assert scene.shared == []
    scene.tell(MovePrepared(W1, 1))
    assert scene.shared == [3]
    assert moves(scene, W0)[-1] == FinishMove(1)
    assert moves(scene, W1)[-1] == FinishMove(1)
    resized = reply.answer()
    assert resized is not None
    assert (resized.before["postgres_writers"], resized.after["postgres_writers"]) == (2, 3)


def test_writers_that_are_no_longer_wanted_stop_behind_the_move(scene: Scene) -> None:
    Later(scene, ResizeWriters(1))
    assert scene.tree.stopped == []
    scene.tell(MovePrepared(W0, 1), MovePrepared(W1, 1))
    assert scene.tree.stopped == [W1]
    assert moves(scene, W1) == [PrepareMove(1, 1)]
    assert scene.shared == [1]


def test_move_is_over_when_the_last_writer_that_leaves_has_ended(scene: Scene) -> None:
    reply = Later(scene, ResizeWriters(1))
    scene.tell(MovePrepared(W0, 1), MovePrepared(W1, 1))
    assert reply.answer() is None
    assert "under way" in (scene.ask(ResizeWriters(2)).refusal or "")
    scene.tell(ChildStopped(W1, "postgres-writer"))
    assert reply.answer() is not None
    assert scene.state.move is None


def test_spool_that_is_locked_is_shared_out_later(scene: Scene) -> None:
    scene.spool_is_locked = True
    Later(scene, ResizeWriters(1))
    scene.tell(MovePrepared(W0, 1), MovePrepared(W1, 1))
    assert scene.tree.stopped == []
    scene.spool_is_locked = False
    scene.system.advance(1.0)
    assert scene.tree.stopped == [W1]


def test_second_move_waits_for_the_first(scene: Scene) -> None:
    Later(scene, ResizeWriters(3))
    assert "under way" in (scene.ask(ResizeWriters(4)).refusal or "")


def test_late_word_of_an_earlier_move_changes_nothing(scene: Scene) -> None:
    Later(scene, ResizeWriters(3))
    scene.tell(MovePrepared(W0, 0), MovePrepared(W1, 0))
    assert scene.shared == []


def test_batches_are_resized_without_a_move(scene: Scene) -> None:
    resized = scene.ask(ResizeWriters(batch_size=10, batch_timeout_ms=50))
    assert resized.after == {"db_batch_size": 10, "db_batch_timeout_ms": 50}
    assert moves(scene, W0) == []
    assert SettingsChanged() in scene.told(W0)


def test_drain_waits_for_writers_that_are_about_to_leave(scene: Scene) -> None:
    Later(scene, ResizeWriters(1))
    scene.tell(Drain("test"))
    scene.system.advance(20.0)
    assert Flush() in scene.told(W1)


def test_rows_of_a_mint_go_to_its_new_writer_from_the_switch_on(scene: Scene) -> None:
    mint = next(mint for mint in (A, B, C) if writer_of(mint, 2) == W1)
    Later(scene, ResizeWriters(1))
    scene.routes.tell(scene.system, mint, "row")
    scene.system.run()
    assert scene.told(W0)[-1] == "row"


# Settings.


def test_changed_setting_is_in_force_kept_and_on_record(scene: Scene) -> None:
    outcome = scene.ask(ChangeSettings({"coin_cache_seconds": 60}, by="10.0.0.1"))
    assert outcome.changed == {"coin_cache_seconds": (120.0, 60.0)}
    assert outcome.errors == ()
    assert not outcome.restarts
    assert scene.ask(GetSettings()).coin_cache_seconds == 60.0
    assert scene.ask(GetSettingsHistory(10)) == (("10.0.0.1", ["coin_cache_seconds"]),)
    assert SettingsChanged() in scene.told(W0)


def test_dry_run_of_a_change_shows_the_difference(scene: Scene) -> None:
    change = ChangeSettings({"coin_cache_seconds": 60}, by="test", dry_run=True)
    assert scene.ask(change).changed == {"coin_cache_seconds": (120.0, 60.0)}
    assert scene.ask(GetSettings()).coin_cache_seconds == 120.0
    assert scene.book.kept == []


def test_mistake_changes_nothing(scene: Scene) -> None:
    change = ChangeSettings({"coin_cache_seconds": 60, "no_such": 1}, by="test")
    outcome = scene.ask(change)
    assert outcome.errors == ("no_such: there is no such setting",)
    assert scene.ask(GetSettings()).coin_cache_seconds == 120.0


def test_change_that_the_disk_does_not_take_is_not_made(scene: Scene) -> None:
    scene.book.broken = True
    outcome = scene.ask(ChangeSettings({"coin_cache_seconds": 60}, by="test"))
    assert "No space left" in outcome.errors[0]
    assert scene.ask(GetSettings()).coin_cache_seconds == 120.0


def test_setting_that_acts_by_a_restart_drains_and_starts_again(scene: Scene) -> None:
    outcome = scene.ask(ChangeSettings({"db_pool_max": 5}, by="test"))
    assert outcome.restarts
    assert scene.state.restarts
    assert scene.state.drain.active
    assert scene.state.drain.exit_code == 0


def test_number_of_writers_is_a_setting_too(scene: Scene) -> None:
    scene.ask(ChangeSettings({"postgres_writers": 3}, by="test"))
    scene.system.run()
    assert moves(scene, W0) == [PrepareMove(3, 1)]


def test_writer_that_moves_is_not_broken_meanwhile(scene: Scene) -> None:
    Later(scene, ResizeWriters(3))
    assert scene.tree.states[W2] is CellState.RUNNING
