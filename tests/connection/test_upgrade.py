"""What is read of the answer to the upgrade."""

from __future__ import annotations

import pytest
from websocket import WebSocketBadStatusException

from actors.connection.address import SessionLostError
from actors.connection.upgrade import UpgradeAnswer

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n"


def taken(data: bytes) -> UpgradeAnswer:
    """Give an answer of which this much has come, byte by byte."""
    answer = UpgradeAnswer()
    for byte in data:
        answer.take(bytes([byte]))
    return answer


def test_head_of_16_kib_is_taken_and_no_more() -> None:
    answer = taken(b"HTTP/1.1 101 x" + b"x" * (16_384 - 14))

    with pytest.raises(SessionLostError, match=r"a head of more than 16384 bytes$"):
        answer.take(b"x")


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b" \t\r\n"])
def test_page_begins_behind_a_blank_line_and_has_its_own_bound(end: bytes) -> None:
    answer = taken(b"HTTP/1.1 401 No\r\nX: y\r\n" + end)
    answer.take(b"p" * 65_535)

    with pytest.raises(WebSocketBadStatusException) as caught:
        answer.take(b"p")

    assert (caught.value.status_code, caught.value.resp_body) == (401, b"p" * 65_536)


def test_page_that_has_begun_can_be_taken_for_whole() -> None:
    answer = taken(REFUSED)
    answer.take(b"gone")

    with pytest.raises(WebSocketBadStatusException) as caught:
        answer.end_page()

    assert (caught.value.status_code, caught.value.resp_body) == (403, b"gone")


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 403 Forb", REFUSED[:-2]])
def test_head_that_has_only_begun_says_nothing(head: bytes) -> None:
    taken(head).end_page()
