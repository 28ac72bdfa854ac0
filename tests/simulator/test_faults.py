import json
from collections import Counter
from typing import Any

import pytest

from simulator.faults import FaultError, FaultPipe, Faults, Tail, read_faults
from simulator.frames import BROKEN, Frame
from simulator.market import Market, MarketConfig

LONG_US = 10**12


@pytest.fixture(scope="module")
def honest() -> list[Frame]:
    return Market(4, MarketConfig(rate=5)).frames(120_000_000)


def spoiled(frames: list[Frame], **settings: Any) -> list[Frame]:
    return FaultPipe(1, Faults(**settings)).feed(frames, LONG_US)


def names(frames: list[Frame]) -> list[str]:
    creates = [json.loads(f.data) for f in frames if f.kind == "create"]
    return [message.get("name", "") for message in creates]


def test_without_faults_nothing_changes(honest: list[Frame]) -> None:
    assert spoiled(honest) == honest
    assert not Faults().any


def test_same_seed_spoils_in_the_same_way(honest: list[Frame]) -> None:
    everything = {"duplicates": 0.1, "swaps": 0.1, "not_json": 0.1, "odd_amounts": 0.1}

    assert spoiled(honest, **everything) == spoiled(honest, **everything)


def test_duplicates_are_the_same_frame_twice(honest: list[Frame]) -> None:
    out = spoiled(honest, duplicates=0.2)

    counts = Counter(frame.data for frame in out)
    assert set(counts.values()) == {1, 2}
    assert 0.15 < Counter(counts.values())[2] / len(honest) < 0.25
    assert counts.keys() == {frame.data for frame in honest}


def test_swaps_reorder_trades_of_a_mint_and_lose_nothing(honest: list[Frame]) -> None:
    out = spoiled(honest, swaps=0.2)

    assert Counter(f.data for f in out) == Counter(f.data for f in honest)
    mint = Counter(f.mint for f in honest if f.kind == "buy").most_common(1)[0][0]
    before = [f.data for f in honest if f.mint == mint]
    after = [f.data for f in out if f.mint == mint]
    assert before != after


def test_a_swapped_frame_without_a_successor_is_released_after_a_second() -> None:
    pipe = FaultPipe(1, Faults(swaps=1))
    lonely = Frame(5_000_000, "buy", "m", "t", b"{}")

    assert pipe.feed([lonely], 5_000_000) == []
    assert pipe.next_due_us == 6_000_000
    assert pipe.feed([], 5_999_999) == []
    assert pipe.feed([], 6_000_000) == [lonely]


def test_unknown_types_are_extra_frames(honest: list[Frame]) -> None:
    extra = [f for f in spoiled(honest, unknown_types=0.1) if f.kind == "other"]

    assert 0.05 < len(extra) / len(honest) < 0.15
    assert {json.loads(f.data)["txType"] for f in extra} == {"liquidate"}


@pytest.mark.parametrize(
    ("fault", "sample"),
    [
        ("not_json", b"upstream request timeout"),
        ("not_json", b""),
        ("arrays", b'[{"txType":"buy"},1,null]'),
        ("invalid_utf8", b'{"txType":"create","mint":"x","name":"\xff\xfe\xed\xa0\x80"}'),
    ],
)
def test_noise_comes_beside_the_honest_frames(
    honest: list[Frame], fault: str, sample: bytes
) -> None:
    out = spoiled(honest, **{fault: 0.3})

    noise = [f for f in out if f.kind == BROKEN]
    assert sample in {f.data for f in noise}
    assert [f for f in out if f.kind != BROKEN] == honest


def test_odd_amounts_of_every_sort_appear_and_the_trades_stay(honest: list[Frame]) -> None:
    out = spoiled(honest, odd_amounts=0.5)

    odd = b"\n".join(f.data for f in out if f.kind == BROKEN)
    for literal in (b":NaN,", b":Infinity,", b":-Infinity,", b":1e400,", b":-5,", b":null,"):
        assert literal in odd
    assert [f for f in out if f.kind != BROKEN] == honest


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ("nul_names", "\x00"),
        ("surrogate_names", "\ud83d"),
        ("rtl_names", "\u202e"),
        ("long_names", "L" * 5000),
    ],
)
def test_name_faults_are_in_the_names(honest: list[Frame], fault: str, part: str) -> None:
    out = spoiled(honest, **{fault: 0.5})

    hit = [name for name in names(out) if part in name]
    assert 0.35 < len(hit) / len(names(honest)) < 0.65
    assert len(out) == len(honest)


def test_lone_surrogates_stay_escaped_so_that_the_frame_is_valid_utf8(honest: list[Frame]) -> None:
    out = spoiled(honest, surrogate_names=1)

    create = next(f for f in out if f.kind == "create")
    assert rb"\ud83d" in create.data
    assert "surrogate" in create.data.decode("utf-8")


def test_bundles_put_trades_of_a_mint_under_one_signature(honest: list[Frame]) -> None:
    trades = [json.loads(f.data) for f in spoiled(honest, bundles=0.5) if f.kind in ("buy", "sell")]

    per_signature = Counter((m["signature"], m["mint"]) for m in trades)
    identities = {
        (m["signature"], m["mint"], m["traderPublicKey"], m["txType"], m["tokenAmount"])
        for m in trades
    }
    assert max(per_signature.values()) > 3
    assert len(identities) > 0.99 * len(trades)


def test_migrate_follows_a_create_within_a_quarter_second(honest: list[Frame]) -> None:
    out = spoiled(honest, migrate_after_create=1)

    created = {f.mint: f.due_us for f in out if f.kind == "create"}
    waits = [f.due_us - created[f.mint] for f in out if f.kind == "migrate" and f.mint in created]
    assert len(waits) >= len(created)
    assert sum(35_000 <= wait < 240_000 for wait in waits) >= len(created)


def test_delayed_frames_come_late_within_the_bounds() -> None:
    frames = [Frame(0, "buy", f"m{n}", "t", b"{}") for n in range(200)]
    pipe = FaultPipe(1, Faults(delays=0.5))

    at_once = pipe.feed(frames, 0)
    before = pipe.feed([], 299_999)
    early = pipe.feed([], 4_000_000)
    rest = pipe.feed([], 39_000_000)

    assert 70 < len(at_once) < 130
    assert before == []
    assert len(early) > 20
    assert len(rest) > 20
    assert Counter(f.mint for f in at_once + early + rest) == Counter(f.mint for f in frames)


def test_bursts_gather_and_release_at_once() -> None:
    pipe = FaultPipe(1, Faults(burst_size=50))
    frames = [Frame(n * 10_000, "buy", "m", "t", b"{}") for n in range(120)]

    sizes = [len(pipe.feed([frame], frame.due_us)) for frame in frames]

    assert [size for size in sizes if size] == [50, 50]
    assert len(pipe.feed([], 6_200_000)) == 20


def test_drain_returns_everything_held_back() -> None:
    frames = [Frame(n, "buy", f"m{n % 7}", "t", b"%d" % n) for n in range(300)]
    pipe = FaultPipe(1, Faults(delays=0.3, swaps=0.3, burst_size=40))

    out = pipe.feed(frames, 300) + pipe.drain()

    assert Counter(f.data for f in out) == Counter(f.data for f in frames)
    assert pipe.next_due_us is None


def test_tail_keeps_only_the_last_frames() -> None:
    frames = [Frame(n, "buy", "m", "t", b"%d" % n) for n in range(10)]
    tail = Tail(3)

    tail.remember(frames)

    assert [f.data for f in tail.frames()] == [b"7", b"8", b"9"]


def test_settings_are_read_from_texts() -> None:
    assert read_faults([("duplicates", "0.25"), ("burst-size", "50")]) == Faults(
        duplicates=0.25, burst_size=50
    )


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("duplicate", "0.1", "there is no fault 'duplicate'"),
        ("duplicates", "1.5", "must be in 0..1"),
        ("duplicates", "lots", "must be a number"),
        ("duplicates", "nan", "must be finite"),
        ("burst_size", "-1", "burst_size must be in 0..10000"),
    ],
)
def test_bad_settings_say_what_is_wrong(name: str, value: str, found: str) -> None:
    with pytest.raises(FaultError, match=found):
        read_faults([(name, value)])
