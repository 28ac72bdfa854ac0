from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from actors.domain import Drop, Mint
from actors.n8n_writer.actor import N8nWriterActor
from actors.n8n_writer.retry_policy import Failure, Outcome, WebhookAnswer
from actors.n8n_writer.state import N8nState
from actors.protocol.discovery import CoinsDelivered
from actors.protocol.n8n_writer import CoinDiscovered, N8nStatus
from actors.protocol.supervisor import Drained
from actors.runtime import Flush
from actors.runtime.simulation import ProbeHandle, SeededSystem
from actors.spool.store import SpoolFullError
from settings import Secret, Settings
from tests.discovery.builders import coin
from tests.support.drops import dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.n8n_writer.payload import CoinBatch, WebhookRequest

URL = Secret("https://n8n.example/webhook/abc")


class MemoryStore:
    """A store that outlives its actor; `full` makes it refuse."""

    def __init__(self, mark: int = 0) -> None:
        self.batches: list[CoinBatch] = []
        self.full = False
        self.mark = mark
        self.max_bytes = 0
        self.keeps = False
        """True: it cannot remove."""

    def open(self) -> None:
        self._check(self.full)

    def close(self) -> None:
        return

    def put(self, batches: Sequence[CoinBatch]) -> None:
        self._check(self.full)
        self.batches.extend(batches)

    def remove(self, batch_id: str) -> None:
        self._check(self.keeps)
        self.batches = [batch for batch in self.batches if batch.batch_id != batch_id]

    def oldest(self) -> CoinBatch | None:
        return self.batches[0] if self.batches else None

    def batched_seq(self) -> int:
        return self.mark

    def coins(self) -> int:
        return sum(len(batch.coins) for batch in self.batches)

    def oldest_us(self) -> int | None:
        return self.batches[0].created_us if self.batches else None

    def resize(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def _check(self, broken: bool) -> None:
        if broken:
            raise SpoolFullError("the disk is full")


@dataclass
class FakeTransport:
    """Answers each request with the next of `answers`, or keeps it waiting when there is none."""

    answers: list[Outcome] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    known: Outcome = Failure.TIMEOUT
    waiting: Callable[[Outcome], None] | None = None
    closed: int = 0

    def start(
        self, request: WebhookRequest, timeout_s: float, reply: Callable[[Outcome], None]
    ) -> None:
        assert self.waiting is None, "a second request in flight"
        self.requests.append(json.loads(request.body or b"null"))
        self.urls.append(request.url)
        if self.answers:
            reply(self.answers.pop(0))
        else:
            self.waiting = reply

    def answer(self, outcome: Outcome) -> None:
        reply, self.waiting = self.waiting, None
        assert reply is not None
        reply(outcome)

    def abort(self) -> Outcome:
        self.waiting = None
        return self.known

    def close(self) -> None:
        self.waiting = None
        self.closed += 1


@dataclass
class House:
    """The n8n-writer between probes, a store in memory and a transport under the test's hand."""

    settings: Settings = field(
        default_factory=lambda: Settings(n8n_webhook_url=URL, batch_size=2, batch_timeout=30)
    )
    store: MemoryStore = field(default_factory=MemoryStore)
    transport: FakeTransport = field(default_factory=FakeTransport)
    state: N8nState = field(default_factory=N8nState)
    system: SeededSystem = field(init=False)
    discovery: ProbeHandle = field(init=False)
    supervisor: ProbeHandle = field(init=False)

    def __post_init__(self) -> None:
        ids = itertools.count(1)
        self.system = SeededSystem(settings=self.settings)
        self.discovery = self.system.probe("discovery")
        self.supervisor = self.system.probe("supervisor")
        self.system.start(
            "n8n-writer",
            lambda context: N8nWriterActor(
                context,
                self.state,
                self.store,
                self.transport,
                jitter=lambda: 0.0,
                new_id=lambda: f"batch{next(ids)}",
            ),
        )

    def discover(self, *mints: str) -> None:
        for mint in mints:
            self.tell(CoinDiscovered(coin(mint)))

    def tell(self, message: Any) -> None:
        self.system.tell("n8n-writer", message)
        self.system.run()

    def change(self, **changes: Any) -> None:
        self.system.change_settings(self.system.settings.model_copy(update=changes))
        self.system.run()

    def notes(self, mint: str) -> list[tuple[str, dict[str, Any]]]:
        notes = self.system.timelines.of(Mint(mint)) or ()
        return [(note.what, note.details) for note in notes]

    def answer(self, outcome: Outcome) -> None:
        self.transport.answer(outcome)
        self.system.run()

    def sent(self) -> list[tuple[str, list[str]]]:
        """Ids and members of the batches in the order of the attempts."""
        return [
            (body["batch_id"], [row["mint"] for row in body["data"]])
            for body in self.transport.requests
        ]

    def stored(self) -> list[str]:
        return [batch.batch_id for batch in self.store.batches]

    def status(self) -> N8nStatus:
        status = self.system.status_of("n8n-writer")
        assert isinstance(status, N8nStatus)
        return status

    def value(self, name: str, **labels: str) -> float:
        return self.system.telemetry.value(name, **labels)


@pytest.fixture
def house() -> House:
    return House()


def test_full_batch_is_on_disk_before_it_is_sent_and_until_it_is_delivered(house: House) -> None:
    house.discover("A")
    assert (house.stored(), house.sent()) == ([], [])

    house.discover("B")
    assert house.stored() == ["batch1"]
    assert house.sent() == [("batch1", ["A", "B"])]

    house.answer(WebhookAnswer(204))
    assert house.stored() == []


def test_delivery_is_told_to_discovery_and_counted(house: House) -> None:
    house.discover("A", "B")
    house.system.advance(0.5)
    house.answer(WebhookAnswer(200))

    assert house.discovery.messages == [CoinsDelivered((Mint("A"), Mint("B")))]
    assert house.value("unified_coins_sent_n8n_total") == 2
    assert house.value("unified_n8n_batches_sent_total") == 1
    assert house.value("unified_n8n_available") == 1
    assert house.value("unified_n8n_buffer_size") == 0
    assert house.value("mintwatch_n8n_seconds_sum") == 0.5
    assert house.status() == N8nStatus(
        available=True,
        configured=True,
        waiting=0,
        last_success_us=1_700_000_000_500_000,
        last_error=None,
        needed_from_us=None,
        state="up",
    )


def test_coins_that_are_in_batches_already_are_not_told_again() -> None:
    house = House(store=MemoryStore(mark=2))
    for seq, mint in enumerate("ABCD", start=1):
        house.tell(CoinDiscovered(coin(mint, seq=seq)))
    assert house.sent() == [("batch1", ["C", "D"])]


def test_the_oldest_coin_without_a_batch_says_from_where_the_journal_is_needed(
    house: House,
) -> None:
    house.discover("A")
    assert house.status().needed_from_us is not None
    house.discover("B")
    assert house.status().needed_from_us is None


def test_small_batch_is_sent_when_its_first_coin_has_waited_long_enough(house: House) -> None:
    house.discover("A")
    house.system.advance(29.9)
    assert house.sent() == []

    house.system.advance(0.1)
    assert house.sent() == [("batch1", ["A"])]


def test_one_request_is_in_flight_and_the_backlog_follows_back_to_back(house: House) -> None:
    house.discover("A", "B", "C", "D", "E", "F")
    assert len(house.sent()) == 1

    house.transport.answers = [WebhookAnswer(200), WebhookAnswer(200)]
    house.answer(WebhookAnswer(200))

    assert [batch_id for batch_id, _ in house.sent()] == ["batch1", "batch2", "batch3"]
    assert house.stored() == []


def test_failed_batch_is_sent_again_with_the_same_id_after_doubling_pauses(house: House) -> None:
    house.discover("A", "B")
    for pause_s in (1, 2, 4):
        house.answer(WebhookAnswer(503))
        attempts = len(house.sent())
        house.system.advance(pause_s - 0.01)
        assert len(house.sent()) == attempts
        house.system.advance(0.01)
        assert len(house.sent()) == attempts + 1

    assert set(map(str, house.sent())) == {"('batch1', ['A', 'B'])"}
    assert house.status().state == "retrying"
    assert house.status().available is False
    assert house.status().last_error == "n8n answered with status 503."
    assert house.value("unified_n8n_errors_total", type="status") == 3


def test_pause_begins_at_a_second_again_after_a_delivery(house: House) -> None:
    house.discover("A", "B", "C", "D")
    house.answer(WebhookAnswer(500))
    house.system.advance(1)
    house.answer(WebhookAnswer(500))
    house.system.advance(2)
    house.answer(WebhookAnswer(200))
    house.answer(WebhookAnswer(500))
    house.system.advance(1)

    assert [batch_id for batch_id, _ in house.sent()] == ["batch1"] * 3 + ["batch2"] * 2


def test_new_batches_do_not_shorten_a_pause(house: House) -> None:
    house.discover("A", "B")
    house.answer(Failure.CONNECTION)
    house.discover("C", "D", "E", "F")

    assert len(house.sent()) == 1
    assert house.status().waiting == 6


def test_request_without_an_answer_is_given_up_after_the_timeout(house: House) -> None:
    house.discover("A", "B")
    house.system.advance(9.9)
    assert house.status().state == "idle"
    house.system.advance(0.1)

    assert house.status().last_error == (
        "n8n did not answer within N8N_TIMEOUT; coins are kept and sent later."
    )
    assert house.value("unified_n8n_errors_total", type="timeout") == 1
    house.system.advance(1)
    assert [batch_id for batch_id, _ in house.sent()] == ["batch1", "batch1"]


def test_answer_whose_body_hangs_still_counts(house: House) -> None:
    house.transport.known = WebhookAnswer(200)
    house.discover("A", "B")
    house.system.advance(10)

    assert house.status().state == "up"
    assert house.stored() == []


def test_late_answer_to_a_request_that_was_given_up_is_ignored(house: House) -> None:
    house.discover("A", "B")
    late = house.transport.waiting
    assert late is not None
    house.system.advance(10)
    house.system.advance(1)

    late(WebhookAnswer(200))
    house.system.run()

    assert house.stored() == ["batch1"]
    house.answer(WebhookAnswer(200))
    assert house.stored() == []


def test_batch_that_is_too_large_is_divided_until_it_fits() -> None:
    house = House(Settings(n8n_webhook_url=URL, batch_size=4))
    house.transport.answers = [
        WebhookAnswer(413),
        WebhookAnswer(413),
        WebhookAnswer(200),
        WebhookAnswer(200),
        WebhookAnswer(200),
    ]
    house.discover("A", "B", "C", "D")

    assert house.sent() == [
        ("batch1", ["A", "B", "C", "D"]),
        ("batch1.1", ["A", "B"]),
        ("batch1.2", ["C", "D"]),
        ("batch1.1.1", ["A"]),
        ("batch1.1.2", ["B"]),
    ]
    assert house.stored() == []


def test_single_coin_that_is_too_large_is_a_dead_letter(house: House) -> None:
    house.transport.answers = [WebhookAnswer(413), WebhookAnswer(413), WebhookAnswer(200)]
    house.discover("A", "B")

    assert [(letter.reason, letter.message.coin.mint) for letter in house.system.letters()] == [
        ("refused", "A")
    ]
    assert dropped(house.system.telemetry, Drop.BATCH_REFUSED) == 1
    assert house.stored() == []
    assert house.status().waiting == 0


def test_refused_batch_is_a_dead_letter_after_three_tries_and_the_next_goes_on(
    house: House,
) -> None:
    house.discover("A", "B", "C", "D")
    house.answer(WebhookAnswer(400))
    house.system.advance(1)
    house.answer(WebhookAnswer(400))
    house.system.advance(2)
    house.answer(WebhookAnswer(400))

    assert [letter.message.coin.mint for letter in house.system.letters()] == ["A", "B"]
    assert house.sent()[-1] == ("batch2", ["C", "D"])
    assert house.stored() == ["batch2"]


def test_outage_does_not_count_as_a_refusal(house: House) -> None:
    house.discover("A", "B")
    for outcome in (
        WebhookAnswer(500),
        WebhookAnswer(500),
        WebhookAnswer(500),
        WebhookAnswer(400),
        WebhookAnswer(400),
    ):
        house.answer(outcome)
        house.system.advance(60)

    assert house.system.letters() == []
    assert house.stored() == ["batch1"]


def test_refused_credentials_stop_and_are_tried_again_slowly(house: House) -> None:
    house.discover("A", "B")
    house.answer(WebhookAnswer(401))

    assert house.status().state == "stopped"
    assert house.status().last_error == (
        "n8n refuses our credentials (401); correct N8N_AUTH_HEADER."
    )
    assert house.value("unified_n8n_errors_total", type="refused") == 1
    house.system.advance(299)
    assert len(house.sent()) == 1
    house.system.advance(1)
    house.answer(WebhookAnswer(200))
    assert house.status().state == "up"


def test_without_an_address_nothing_is_queued_and_the_backlog_stays() -> None:
    store = MemoryStore()
    before = House(store=store)
    before.discover("A", "B")
    house = House(Settings(), store=store)
    house.discover("C", "D")
    house.system.advance(100)

    assert house.sent() == []
    assert house.stored() == ["batch1"]
    assert house.status().state == "off"
    assert house.status().configured is False


def test_backlog_of_an_earlier_run_is_sent_at_the_start_with_its_ids() -> None:
    store = MemoryStore()
    House(store=store).discover("A", "B", "C", "D")

    house = House(store=store, transport=FakeTransport([WebhookAnswer(200), WebhookAnswer(200)]))

    assert house.sent() == [("batch1", ["A", "B"]), ("batch2", ["C", "D"])]
    assert house.status().waiting == 0


def test_stop_leaves_the_waiting_coins_on_disk(house: House) -> None:
    house.discover("A", "B", "C")
    house.system.stop("n8n-writer")

    assert house.transport.closed == 1
    assert [[one.mint for one in batch.coins] for batch in house.store.batches] == [
        ["A", "B"],
        ["C"],
    ]


@pytest.mark.parametrize("poison", [{"name": "\ud800"}, {"price_sol": math.nan}])
def test_coin_that_cannot_be_sent_is_dead_alone(house: House, poison: dict[str, Any]) -> None:
    house.transport.answers = [WebhookAnswer(200), WebhookAnswer(200)]
    house.discover("A")
    house.tell(CoinDiscovered(msgspec.structs.replace(coin("X"), **poison)))
    house.discover("B")
    house.system.advance(1)
    house.system.advance(30)

    assert house.sent() == [("batch1", ["A"]), ("batch2", ["B"])]
    assert [letter.message.coin.mint for letter in house.system.letters()] == ["X"]


def test_disk_that_refuses_holds_coins_back_and_sends_nothing(house: House) -> None:
    house.store.full = True
    house.discover("A", "B", "C")

    assert house.sent() == []
    assert house.status().waiting == 3
    assert house.status().last_error == "Coins for n8n cannot be kept on disk: the disk is full"

    house.store.full = False
    house.system.advance(5)
    assert [members for _, members in house.sent()] == [["A", "B"]]
    assert house.status().waiting == 3


def test_memory_is_bounded_while_the_disk_refuses(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.n8n_writer.actor.MAX_WAITING", 2)
    house.store.full = True
    house.discover("A", "B", "C")

    assert house.status().waiting == 2
    assert [letter.message.coin.mint for letter in house.system.letters()] == ["C"]


def test_delivered_batch_that_cannot_be_removed_is_not_sent_again(house: House) -> None:
    house.store.keeps = True
    house.discover("A", "B")
    house.answer(WebhookAnswer(200))
    house.system.advance(20)
    house.store.keeps = False
    house.system.advance(5)

    assert len(house.sent()) == 1
    assert house.stored() == []


def test_flush_delivers_what_waits_and_says_so(house: House) -> None:
    house.discover("A", "B", "C")
    house.tell(Flush())
    house.answer(WebhookAnswer(200))
    assert house.supervisor.of(Drained) == []
    house.answer(WebhookAnswer(200))

    assert house.supervisor.of(Drained) == [Drained("n8n-writer", 0)]
    assert len(house.sent()) == 2


def test_flush_of_nothing_is_done_at_once(house: House) -> None:
    house.tell(Flush())
    assert house.supervisor.of(Drained) == [Drained("n8n-writer", 0)]


def test_flush_tries_once_although_a_pause_is_running(house: House) -> None:
    house.discover("A", "B")
    house.answer(WebhookAnswer(500))
    house.discover("C")
    house.tell(Flush())
    assert len(house.sent()) == 2

    house.answer(WebhookAnswer(500))
    assert house.supervisor.of(Drained) == [Drained("n8n-writer", 3)]
    assert len(house.stored()) == 2


def test_flush_ends_within_its_bound(house: House) -> None:
    house.discover("A", "B")
    house.tell(Flush())
    house.system.advance(10)

    assert house.supervisor.of(Drained) == [Drained("n8n-writer", 2)]
    assert house.stored() == ["batch1"]


def test_long_batch_is_divided_before_a_get() -> None:
    house = House(Settings(n8n_webhook_url=URL, n8n_webhook_method="GET", batch_size=2))
    frame = json.dumps({"name": "n" * 5_000}).encode()
    house.transport.answers = [WebhookAnswer(200), WebhookAnswer(200)]
    for mint in ("A", "B"):
        house.tell(CoinDiscovered(coin(mint, frame=frame)))

    assert len(house.transport.requests) == 2
    assert house.value("unified_n8n_errors_total", type="status") == 0
    assert len(house.discovery.of(CoinsDelivered)) == 2


def test_coin_that_is_too_long_for_a_get_is_a_dead_letter() -> None:
    house = House(Settings(n8n_webhook_url=URL, n8n_webhook_method="GET", batch_size=1))
    frame = json.dumps({"name": "n" * 9_000}).encode()
    house.tell(CoinDiscovered(coin("A", frame=frame)))

    assert house.transport.requests == []
    assert [letter.reason for letter in house.system.letters()] == ["refused"]
    assert house.stored() == []


def test_coins_of_small_batches_of_an_earlier_run_are_counted_exactly() -> None:
    store = MemoryStore()
    before = House(store=store)
    before.discover("A", "B", "C")
    before.system.stop("n8n-writer")

    house = House(Settings(n8n_webhook_url=URL, batch_size=100), store=store)

    assert house.status().waiting == 3


def test_a_changed_address_is_tried_at_once_although_the_old_one_had_refused_us(
    house: House,
) -> None:
    house.discover("A", "B")
    house.answer(WebhookAnswer(401))
    assert house.status().state == "stopped"

    house.change(n8n_webhook_url=Secret("https://n8n.example/webhook/new"))

    assert house.sent() == [("batch1", ["A", "B"])] * 2
    assert house.transport.urls[-1] == "https://n8n.example/webhook/new"
    house.answer(WebhookAnswer(200))
    assert (house.status().state, house.status().last_error) == ("up", None)


def test_changed_credentials_are_tried_at_once(house: House) -> None:
    house.discover("A", "B")
    house.answer(WebhookAnswer(403))

    house.change(n8n_auth_header=Secret("X-Key: right"))

    assert len(house.sent()) == 2


def test_an_address_that_is_set_for_the_first_time_begins_with_the_backlog() -> None:
    store = MemoryStore()
    House(store=store).discover("A", "B")
    house = House(Settings(batch_size=2), store=store)
    assert house.status().state == "off"

    house.change(n8n_webhook_url=URL)
    house.answer(WebhookAnswer(200))
    house.discover("C", "D")

    assert [mints for _, mints in house.sent()] == [["A", "B"], ["C", "D"]]
    assert house.status().state == "up"


def test_an_address_that_is_taken_away_leaves_everything_on_disk(house: House) -> None:
    house.discover("A", "B", "C")
    house.change(n8n_webhook_url=None)
    house.system.advance(200)

    assert house.status().state == "off"
    assert house.stored() == ["batch1", "batch2"]
    assert len(house.sent()) == 1
    assert house.status().needed_from_us is None


def test_a_request_that_the_old_address_never_answers_does_not_keep_the_new_one_waiting(
    house: House,
) -> None:
    house.discover("A", "B")
    house.change(n8n_webhook_url=Secret("https://n8n.example/webhook/new"))

    assert house.sent() == [("batch1", ["A", "B"])] * 2
    house.answer(WebhookAnswer(200))
    assert house.stored() == []


def test_a_batch_that_the_old_address_has_accepted_is_not_sent_to_the_new_one(
    house: House,
) -> None:
    house.transport.known = WebhookAnswer(200)
    house.discover("A", "B")
    house.change(n8n_webhook_url=Secret("https://n8n.example/webhook/new"))

    assert len(house.sent()) == 1
    assert house.stored() == []
    assert house.discovery.of(CoinsDelivered) == [CoinsDelivered((Mint("A"), Mint("B")))]


def test_refusals_of_the_old_address_do_not_count_against_a_batch_at_the_new_one(
    house: House,
) -> None:
    house.transport.answers = [WebhookAnswer(400), WebhookAnswer(400)]
    house.discover("A", "B")
    house.system.advance(1.0)
    house.change(n8n_webhook_url=Secret("https://n8n.example/webhook/new"))
    house.answer(WebhookAnswer(400))

    assert house.system.letters() == []
    assert house.stored() == ["batch1"]


def test_a_change_of_something_else_leaves_a_pause_and_a_request_alone(house: House) -> None:
    house.discover("A", "B")
    house.change(max_trackers=7)
    assert len(house.sent()) == 1

    house.answer(Failure.CONNECTION)
    house.change(max_trackers=8)
    assert len(house.sent()) == 1


def test_a_smaller_batch_size_sends_what_waits_at_once() -> None:
    house = House(Settings(n8n_webhook_url=URL, batch_size=10))
    house.discover("A", "B", "C")
    house.change(batch_size=3)

    assert [mints for _, mints in house.sent()] == [["A", "B", "C"]]


def test_a_shorter_batch_timeout_counts_from_its_change() -> None:
    house = House(Settings(n8n_webhook_url=URL, batch_size=10, batch_timeout=300))
    house.discover("A")
    house.change(batch_timeout=10)

    house.system.advance(9.9)
    assert house.sent() == []
    house.system.advance(0.2)
    assert [mints for _, mints in house.sent()] == [["A"]]


def test_the_bound_of_the_spool_follows_the_settings(house: House) -> None:
    house.change(spool_max_mb=7)

    assert house.store.max_bytes == 7 << 20


def test_the_timeline_names_the_batch_the_attempt_and_the_answer(house: House) -> None:
    house.discover("A", "B")
    house.answer(WebhookAnswer(500))
    house.system.advance(1.0)
    house.answer(WebhookAnswer(201))

    assert house.notes("A") == [
        ("n8n_stored", {"batch_id": "batch1"}),
        ("n8n_sent", {"batch_id": "batch1", "attempt": 2, "status": 201}),
    ]


def test_the_timeline_says_of_which_coin_n8n_was_not_told() -> None:
    house = House(Settings(n8n_webhook_url=URL, batch_size=1))
    house.discover("A")
    house.answer(WebhookAnswer(413))

    assert house.notes("A")[-1] == ("n8n_dead", {"batch_id": "batch1"})


def test_the_status_says_since_when_the_oldest_coin_waits(house: House) -> None:
    began_us = house.system.manual_clock.now_us()
    house.discover("A")
    assert house.status().oldest_us == coin("A").arrived_us

    house.system.advance(1.0)
    house.discover("B")
    house.system.advance(1.0)
    house.discover("C", "D")
    assert house.status().oldest_us == began_us + 1_000_000

    house.answer(WebhookAnswer(200))
    assert house.status().oldest_us == began_us + 2_000_000
    house.answer(WebhookAnswer(200))
    assert house.status().oldest_us is None
