"""A WebSocket server that sends a prepared flood of trades as fast as the other side reads.

`python -m bench.flood COINS TRADES SHAPE` prints its port, takes one connection, acknowledges what
is subscribed, prints `subscribed` once every coin is, and sends the trades for each line that comes
on its standard input: a number of trades, or nothing for all that are left. It does no work while
it sends, so that it costs the side that is measured as little as possible.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import select
import socket
import struct
import sys
from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PRODUCT: Final = 30e9 * 1_073_000_000e6
"""Of a fresh curve: virtual lamports times virtual base units."""
_WALLETS: Final = 2_000
ZIPF_EXPONENT: Final = 1.1


def mints(coins: int) -> list[str]:
    """Give the mints of the flood, the same each time."""
    rng = random.Random(1)
    return [_word(rng, 40) + "pump" for _ in range(coins)]


def trades(coins: int, count: int, shape: str) -> Iterator[bytes]:
    """Give the frames of trades, whose reserves follow from one another.

    Args:
        coins: how many coins there are.
        count: how many trades.
        shape: "turn": the coins come in turn; "zipf": coin n comes 1 / n**1.1 as often.
    """
    rng = random.Random(2)
    names = mints(coins)
    wallets = [_word(rng, 44) for _ in range(_WALLETS)]
    lamports = [35_000_000_000] * coins
    for number, coin in enumerate(_order(coins, count, shape, rng)):
        before = _PRODUCT / lamports[coin]
        amount = int(rng.expovariate(1 / 3e8)) + 1
        is_buy = lamports[coin] - amount < 31e9 or (lamports[coin] < 60e9 and rng.random() < 0.5)
        lamports[coin] += amount if is_buy else -amount
        after = _PRODUCT / lamports[coin]
        yield json.dumps(
            {
                "signature": f"{number:012d}".replace("0", "z") + _word(rng, 12) * 6,
                "mint": names[coin],
                "traderPublicKey": wallets[rng.randrange(_WALLETS)],
                "txType": "buy" if is_buy else "sell",
                "tokenAmount": abs(round(before) - round(after)) / 1e6,
                "solAmount": amount / 1e9,
                "newTokenBalance": round(rng.random() * 1e6, 6),
                "bondingCurveKey": names[coin][:40] + "Curv",
                "vTokensInBondingCurve": round(after) / 1e6,
                "vSolInBondingCurve": lamports[coin] / 1e9,
                "marketCapSol": lamports[coin] / after,
                "pool": "pump",
            },
            separators=(",", ":"),
        ).encode()


def _order(coins: int, count: int, shape: str, rng: random.Random) -> Iterator[int]:
    if shape == "turn":
        yield from (number % coins for number in range(count))
        return
    heights = list(accumulate(1 / n**ZIPF_EXPONENT for n in range(1, coins + 1)))
    for _ in range(count):
        yield min(coins - 1, bisect(heights, rng.random() * heights[-1]))


def _word(rng: random.Random, length: int) -> str:
    return "".join(rng.choices(_BASE58, k=length))


def text_frame(payload: bytes) -> bytes:
    """Frame a text as a server does."""
    if len(payload) < 126:
        return b"\x81" + bytes([len(payload)]) + payload
    return b"\x81\x7e" + struct.pack(">H", len(payload)) + payload


def serve(coins: int, count: int, shape: str) -> None:
    """Serve one client; see the module's docstring."""
    frames = [text_frame(payload) for payload in trades(coins, count, shape)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _shake_hands(client)
        _speak(client, frames, coins)


def _shake_hands(client: socket.socket) -> None:
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += client.recv(4_096)
    (key,) = (
        line.split(b":", 1)[1].strip()
        for line in asked.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + _ACCEPT).digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _speak(client: socket.socket, frames: list[bytes], coins: int) -> None:
    received, sent = bytearray(), 0
    missing = set(mints(coins))
    while True:
        ready, _, _ = select.select([client, sys.stdin], [], [])
        if client in ready:
            found = client.recv(1 << 20)
            if not found:
                return
            received += found
            for text in _texts(received):
                call = json.loads(text)
                kind = "keys" if "keys" in call else "new token" if "NewToken" in text else "migr"
                client.sendall(text_frame(_acknowledgement(kind)))
                if call["method"] == "subscribeTokenTrade":
                    was_missing = bool(missing)
                    missing.difference_update(call["keys"])
                    if was_missing and not missing:
                        print("subscribed", flush=True)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            until = sent + int(line) if line.strip() else len(frames)
            client.sendall(b"".join(frames[sent:until]))
            sent = until


def _acknowledgement(kind: str) -> bytes:
    said = {
        "keys": "Successfully subscribed to keys.",
        "new token": "Successfully subscribed to token creation events.",
        "migr": "Subscribed to 'migration' events.",
    }
    return json.dumps({"message": said[kind]}).encode()


def _texts(received: bytearray) -> Iterator[str]:
    """Take whole frames of a client off the front of what was received."""
    while len(received) >= 6:
        size, head = received[1] & 127, 2
        if size == 126:
            size, head = int.from_bytes(received[2:4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(received[2:10], "big"), 10
        end = head + 4 + size
        if len(received) < end:
            return
        mask, opcode = received[head : head + 4], received[0] & 15
        stretched = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(received[head + 4 : end], "big")
        payload = (masked ^ int.from_bytes(stretched, "big")).to_bytes(size, "big")
        del received[:end]
        if opcode == 1:
            yield payload.decode()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
