"""Lines of the journal: what goes in comes out, and what stands in between is a recording."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.domain import Mint
from actors.journal.records import (
    FactRecord,
    FrameRecord,
    Record,
    decode,
    encode,
    encode_all,
    is_sound,
    may_name,
    names,
)
from actors.journal.trouble import Trouble

MINT = Mint("AbC1pump")

seqs = st.integers(0, 2**63)
times_us = st.integers(0, 4_000_000_000_000_000)
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
frames = st.builds(FrameRecord, seqs, times_us, st.binary() | json_texts)
details = st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none())
facts = st.builds(
    FactRecord, seqs, times_us, st.text(), st.none() | st.text().map(Mint), details
).filter(lambda fact: not {"fact", "at_us", "seq", "mint"} & set(fact.details))


@given(frames | facts)
@example(FrameRecord(1, 2, b""))
@example(FrameRecord(1, 2, b"}\n"))
@example(FrameRecord(1, 2, b'{"a":\r\n1}'))
@example(FrameRecord(1, 2, b'"\xed\xa0\x80"'))
@example(FrameRecord(1, 2, b'{"name":"\\ud800"}'))
@example(FrameRecord(1, 2, b"[" * 100_000 + b"]" * 100_000))
@example(FrameRecord(1, 2, b'{"message": {"seq": 9}}'))
@example(FactRecord(1, 2, "tracker_started", details={"reason": "\ud800 \n"}))
def test_any_record_comes_back_byte_for_byte(record: Record) -> None:
    # when
    line = encode(record)

    # then
    assert decode(line) == record
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line)["seq"] == record.seq


@given(frames | facts)
def test_no_part_of_a_line_counts_as_whole(record: Record) -> None:
    line = encode(record)

    assert is_sound(line)
    assert is_sound(line[:-1])
    assert not any(is_sound(line[:length]) for length in range(len(line) - 1))


def test_frame_is_a_line_of_a_recording_with_six_decimals() -> None:
    frame = FrameRecord(seq=7, at_us=1_783_089_923_111_020, data=b'{"txType": "buy","x":1.50}')

    assert encode(frame) == (
        b'{"received_at": 1783089923.111020, "seq": 7, "message": {"txType": "buy","x":1.50}}\n'
    )


@pytest.mark.parametrize(
    "data",
    [b"no json", b"{\n}", b"{\r}", b'"\xff"', b"", b'{"x":NaN}', b'{"x":1}}'],
    ids=["text", "line feed", "carriage return", "not utf-8", "empty", "nan", "too much"],
)
def test_frame_that_cannot_stand_in_a_line_is_kept_as_base64(data: bytes) -> None:
    line = encode(FrameRecord(seq=7, at_us=1_000_001, data=data))

    assert line.startswith(b'{"received_at": 1.000001, "seq": 7, "raw": "')
    assert decode(line) == FrameRecord(seq=7, at_us=1_000_001, data=data)


def test_fact_is_flat_and_reserved_names_win() -> None:
    fact = FactRecord(7, 9, "phase_changed", MINT, {"phase": 2, "seq": 1000, "mint": "other"})

    assert encode(fact) == (
        b'{"fact": "phase_changed", "at_us": 9, "seq": 7, "mint": "AbC1pump", "phase": 2}\n'
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"\0\0\0\n",
        b'{"received_at": 1.5, "seq": 7, "message": {}}\n',
        b'{"received_at": 1.000000, "seq": 7, "raw": "?"}\n',
        b'{"received_at": 1.000000, "seq": %b, "message": {}}\n' % (b"9" * 5000),
        b'{"fact": "x"}\n',
        b'{"fact": "x", "at_us": "soon", "seq": 1}\n',
        b'{"fact": \n',
    ],
)
def test_foreign_line_is_no_record(line: bytes) -> None:
    assert decode(line) is None
    assert not is_sound(line)


@pytest.mark.parametrize(
    ("data", "about"),
    [
        (b'{"mint":"AbC1pump","txType":"buy"}', True),
        (b'{"mint":"\\u0041bC1pump","txType":"buy"}', True),
        (b'{"mint":"AbC1pump","solAmount":NaN}', True),
        (b'{"mint":"AbC1pump","name":"\\ud800"}', True),
        (b'{"mint":"AbC1pump",\n"txType":"buy"}', True),
        (b"torn AbC1pump", True),
        (b'{"mint":"other","name":"AbC1pump"}', False),
        (b'{"mint":7,"name":"AbC1pump"}', False),
        (b'["AbC1pump"]', False),
        (b'{"mint":"other","solAmount":NaN}', False),
        (b"torn", False),
    ],
)
def test_frame_is_about_the_mint_in_its_field(data: bytes, about: bool) -> None:
    frame = FrameRecord(1, 2, data)

    assert names(frame, MINT) is about
    assert may_name(encode(frame), MINT.encode()) or not about


def test_line_without_a_trace_of_the_mint_is_sorted_out_undecoded() -> None:
    line = encode(FrameRecord(1, 2, b'{"mint":"other","txType":"buy"}'))

    assert not may_name(line, MINT.encode())


def test_fact_is_about_its_own_mint_only() -> None:
    assert names(FactRecord(1, 2, "tracker_cut", MINT), MINT)
    assert not names(FactRecord(1, 2, "tracker_cut", Mint("other"), {"note": MINT}), MINT)


def test_pause_after_trouble_doubles_to_a_minute_and_starts_over_after_success() -> None:
    # given
    trouble, now_s, pauses = Trouble(), 100.0, []

    # when
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        trouble.failed("no space", now_s)
        pauses.append((trouble.may_try(now_s + pause - 0.5), trouble.may_try(now_s + pause)))
    trouble.succeeded()
    trouble.failed("no space", now_s)

    # then
    assert pauses == [(False, True)] * 8
    assert trouble.may_try(101.0)


@given(st.lists(frames | facts) | st.lists(frames))
@example([FrameRecord(1, 2, b'{"a":1}'), FrameRecord(2, 3, b"[1"), FrameRecord(3, 4, b"1}")])
@example([FrameRecord(1, 2, b'{"a":\r1}'), FrameRecord(2, 3, b'{"a":\n1}')])
def test_slice_is_written_like_its_records(records: list[Record]) -> None:
    assert encode_all(records) == b"".join(encode(record) for record in records)
