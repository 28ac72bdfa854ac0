import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from simulator.market import MarketConfig
from simulator.replay import Recorded, RecordingError, read_recording, record_market
from simulator.source import RecordingSource

RECORDINGS = Path(__file__).parent.parent / "recordings"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_frames_are_kept_byte_for_byte_and_times_rounded_to_microseconds(tmp_path: Path) -> None:
    file = write(
        tmp_path / "r.jsonl",
        '{"received_at": 1783089923.1110196, "message": { "a":1.50,  "b":"\\u00e9\u00e9" }}',
        '{"received_at":null,"message":{"c":2}}',
        "",
        '{"message":[1]}',
    )

    assert list(read_recording(file)) == [
        Recorded(1783089923111020, '{ "a":1.50,  "b":"\\u00e9\u00e9" }'.encode()),
        Recorded(None, b'{"c":2}'),
        Recorded(None, b"[1]"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("not json", r"line 2: found b'not json"),
        ('{"received_at": 1}', "line 2: .*missing required field `message`"),
        ('{"received_at": "soon", "message": {}}', "line 2: .*received_at"),
        ('{"received_at": -1, "message": {}}', "line 2: found received_at -1"),
        ('{"received_at": 1e300, "message": {}}', "line 2: found received_at 1e.300"),
    ],
)
def test_a_bad_line_is_named_with_what_was_found_and_what_to_do(
    tmp_path: Path, line: str, found: str
) -> None:
    file = write(tmp_path / "r.jsonl", '{"message":{}}', line)

    with pytest.raises(RecordingError, match=found) as caught:
        list(read_recording(file))

    assert str(file) in str(caught.value)
    assert "remove the line" in str(caught.value)


def test_a_missing_file_and_a_torn_archive_are_recording_errors(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl.gz"
    torn.write_bytes(gzip.compress(b'{"message":{}}\n' * 1000)[:-20])

    for file in (tmp_path / "absent.jsonl", torn):
        with pytest.raises(RecordingError, match="cannot be read"):
            list(read_recording(file))


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_recorded_market_reads_back_and_repeats_exactly(tmp_path: Path, name: str) -> None:
    first, second = tmp_path / name, tmp_path / f"again-{name}"

    lines = record_market(first, 9, 30, MarketConfig(rate=3), skip_s=60)
    record_market(second, 9, 30, MarketConfig(rate=3), skip_s=60)

    recorded = list(read_recording(first))
    times = [r.received_at_us for r in recorded if r.received_at_us is not None]
    assert len(recorded) == lines > 50
    assert first.read_bytes() == second.read_bytes()
    assert times == sorted(times)
    assert times[0] >= 1_767_225_600_000_000
    assert times[-1] <= 1_767_225_630_000_000


def test_a_player_leaves_out_control_frames_and_keeps_the_order(tmp_path: Path) -> None:
    file = write(
        tmp_path / "r.jsonl",
        '{"received_at": 100.0, "message": {"message":"Subscribed"}}',
        '{"received_at": 200.0, "message": {"txType":"create","mint":"a"}}',
        '{"received_at": null, "message": {"txType":"buy","mint":"b"}}',
        '{"received_at": 199.0, "message": {"txType":"sell","mint":"c"}}',
        '{"received_at": 204.0, "message": {"txType":"odd","mint":"d"}}',
    )

    source = RecordingSource(file, speed=2)

    played = source.frames(10_000_000, 100)
    assert [(f.due_us, f.kind, f.mint) for f in played] == [
        (0, "create", "a"),
        (0, "buy", "b"),
        (0, "sell", "c"),
        (2_000_000, "other", "d"),
    ]
    assert source.next_due_us is None


def test_a_player_without_pace_gives_batches_of_the_wanted_size() -> None:
    source = RecordingSource(RECORDINGS / "market.jsonl.gz", speed=0)
    sizes = []
    while source.next_due_us is not None:
        sizes.append(len(source.frames(0, 500)))

    assert sizes == [500, 500, 147]


def test_market_recording_has_what_its_readme_says() -> None:
    recorded = list(read_recording(RECORDINGS / "market.jsonl.gz"))
    messages = [json.loads(r.frame) for r in recorded]

    signatures = Counter(m["signature"] for m in messages)
    assert len(messages) == 1147
    assert {m["txType"] for m in messages} == {"buy", "sell"}
    assert len({m["mint"] for m in messages}) == 76
    assert Counter(signatures.values()) == {1: 1101, 2: 23}
    assert (RECORDINGS / "market.jsonl.gz").stat().st_size < 200 * 1024


def test_session_recording_has_what_its_readme_says() -> None:
    messages = [json.loads(r.frame) for r in read_recording(RECORDINGS / "session.jsonl.gz")]
    creates = [m for m in messages if m.get("txType") == "create"]

    assert Counter(m.get("txType") for m in messages) == {"create": 209, "migrate": 9, None: 3}
    assert sum(m["mint"].startswith("EPjFWdd5") for m in creates) == 9
    assert sum(m.get("is_mayhem_mode", False) for m in creates) == 43
    assert sum(m["pool"] == "bonk" for m in creates) == 2
    assert sum(m["solAmount"] == 0 for m in creates) == 45
    assert (RECORDINGS / "session.jsonl.gz").stat().st_size < 200 * 1024
