"""What crosses the port of the shard could go to another process as it is."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest

from actors.domain import Mint
from actors.protocol import discovery, postgres_writer, tracker
from actors.protocol.shard import VIRTUAL_SHARDS, virtual_shard
from actors.protocol.supervisor import PhasesLoaded, TrackingEnded, TrackMint
from actors.runtime import Message

CROSSING = [
    kind
    for module in (tracker, postgres_writer)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind.__module__ == module.__name__
]
CROSSING += [discovery.RouteClosed, PhasesLoaded, TrackMint, TrackingEnded]


def strangers(kind: Any) -> list[str]:
    """Name what in a type has no form on the wire of its own.

    Raises:
        TypeError: a union cannot be told apart there.
    """
    msgspec.msgpack.Decoder(kind)
    found: list[str] = []
    waiting, seen = [msgspec.inspect.type_info(kind)], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.CustomType | msgspec.inspect.AnyType):
            found.append(repr(node))
        for name in node.__struct_fields__:
            value = getattr(node, name)
            parts = value if isinstance(value, tuple) else (value,)
            waiting += [
                part.type if isinstance(part, msgspec.inspect.Field) else part
                for part in parts
                if isinstance(part, msgspec.inspect.Field | msgspec.inspect.Type)
            ]
    return found


@pytest.mark.parametrize("kind", CROSSING, ids=lambda kind: kind.__name__)
def test_message_across_the_port_can_be_serialised(kind: type[Message]) -> None:
    assert strangers(kind) == []


class _OneEvent(Message, frozen=True):
    event: typing.Any


class _Handle(Message, frozen=True):
    lock: pytest.MonkeyPatch


class _TwoForms(Message, frozen=True):
    event: TrackMint | TrackingEnded


@pytest.mark.parametrize("kind", [_OneEvent, _Handle])
def test_what_has_no_form_of_its_own_is_found(kind: type[Message]) -> None:
    assert strangers(kind)


def test_union_that_cannot_be_told_apart_is_found() -> None:
    with pytest.raises(TypeError, match="must be tagged"):
        strangers(_TwoForms)


def test_virtual_shard_is_the_same_everywhere() -> None:
    # CRC-32 of "123456789" is 0xCBF43926, the check value of its catalogue.
    assert virtual_shard(Mint("123456789")) == 0xCBF43926 % VIRTUAL_SHARDS
    shards = {virtual_shard(Mint(f"mint{number}")) for number in range(2_000)}
    assert shards == set(range(VIRTUAL_SHARDS))
