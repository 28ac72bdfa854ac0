"""Random mints, wallets and signatures that look like Solana's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.quantiles import chance

if TYPE_CHECKING:
    from random import Random

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_POOL_BITS = 17
_SLICE = 22


class Identities:
    """Base58 texts of the right lengths, several hundred thousand a second.

    Four slices of a pool of random letters make one text, so a repeat needs about 10 million
    million draws.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._pool = "".join(rng.choices(ALPHABET, k=(1 << _POOL_BITS) + _SLICE))

    def _text(self, length: int) -> str:
        bits = self._rng.getrandbits(4 * _POOL_BITS)
        mask = (1 << _POOL_BITS) - 1
        pool = self._pool
        a, b = bits & mask, bits >> _POOL_BITS & mask
        c, d = bits >> 2 * _POOL_BITS & mask, bits >> 3 * _POOL_BITS
        quarter = _SLICE if length > 2 * _SLICE else _SLICE // 2
        text = pool[a : a + quarter] + pool[b : b + quarter] + pool[c : c + quarter]
        return text + pool[d : d + length - 3 * quarter]

    def signature(self) -> str:
        """Return a transaction signature: 88 letters, one in four 87."""
        return self._text(87 if chance(self._rng, 0.25) else 88)

    def wallet(self) -> str:
        """Return a public key: 44 letters, one in ten 43."""
        return self._text(43 if chance(self._rng, 0.1) else 44)

    def mint(self) -> str:
        """Return a mint: nine in ten end in `pump`."""
        key = self.wallet()
        return key[:-4] + "pump" if chance(self._rng, 0.9) else key
