from __future__ import annotations

from typing import TYPE_CHECKING

from actors.n8n_writer.payload import CoinBatch
from actors.n8n_writer.store import SpooledBatches
from actors.spool.entries import Entry
from actors.spool.store import Spool
from tests.discovery.builders import START_US, coin

if TYPE_CHECKING:
    from pathlib import Path


def make_store(path: Path) -> SpooledBatches:
    return SpooledBatches(Spool(path, 10_000_000), "n8n-writer", lambda: START_US)


def batch(batch_id: str) -> CoinBatch:
    return CoinBatch(batch_id, START_US, (coin(), coin("MintB", 2, social_count=1)))


def test_batches_survive_a_restart_unchanged_and_in_order(tmp_path: Path) -> None:
    store = make_store(tmp_path / "spool.db")
    store.open()
    store.put([batch("one"), batch("two")])
    store.close()

    store = make_store(tmp_path / "spool.db")
    store.open()

    assert (store.coins(), store.oldest_us()) == (4, START_US)
    assert store.oldest() == batch("one")
    store.remove("one")
    assert store.oldest() == batch("two")
    store.remove("two")
    assert store.oldest() is None
    store.close()


def test_removing_a_batch_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path / "spool.db")
    store.put([batch("one")])
    store.remove("two")
    assert store.coins() == 2
    store.close()


def test_unreadable_batch_does_not_stand_in_the_way(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 10_000_000)
    spool.put("n8n-writer", [Entry("n8n", b"\xc1 rubbish", "broken")], START_US)
    store = SpooledBatches(spool, "n8n-writer", lambda: START_US)
    store.put([batch("one")])

    assert store.oldest() == batch("one")
    assert store.coins() == 2
    store.close()
