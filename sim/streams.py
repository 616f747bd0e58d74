"""Keyed randomness: a draw depends on what it is for and on nothing else.
Every draw of a run comes from here, so results do not know who asked first or on how many workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEY_BYTES = 8
_MASK = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the Weyl step of SplitMix64
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_TO_UNIT = 2.0**-52


def key(seed: int, purpose: str, *entity: int | str) -> int:
    """A 64-bit key for (seed, purpose, entity): the root of every stream, also torch's seeds."""
    return _digest("/".join([str(seed), purpose, *map(str, entity)]))


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=_KEY_BYTES).digest(), "little")


def stream(seed: int, purpose: str, *entity: int | str) -> np.random.Generator:
    """A generator for bulk draws of one purpose and entity, e.g. `stream(7, "arrivals", block, chunk)`."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, *entity)))


class Streams:
    """The streams of one purpose for many entities in turn, each the same as `stream` gives, byte for byte.

    One generator is set anew for each entity: a tenth of the cost of making one.
    """

    __slots__ = ("_bits", "_generator", "_prefix", "_start")

    def __init__(self, seed: int, purpose: str) -> None:
        self._prefix = f"{seed}/{purpose}"
        self._bits = np.random.Philox(key=0)
        self._start = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def of(self, a: int, b: int) -> np.random.Generator:
        """The generator at the start of the stream of entity (a, b); the next call takes it away again."""
        self._start["state"]["key"][0] = _digest(f"{self._prefix}/{a}/{b}")
        self._bits.state = self._start
        return self._generator

    def keys(self, numbers: Iterable[int]) -> Callable[[int], NDArray[np.uint64]]:
        """What gives for any b the keys of the streams of entities (a, b), uint64 (n,), for all these a."""
        heads = [f"{self._prefix}/{a}/".encode() for a in numbers]

        def keys_of(b: int) -> NDArray[np.uint64]:
            tail = str(b).encode()
            digests = [blake2b(head + tail, digest_size=_KEY_BYTES).digest() for head in heads]
            return np.frombuffer(b"".join(digests), dtype="<u8")

        return keys_of


class Draws:
    """Uniform numbers in (0, 1) keyed by (seed, purpose, request, attempt, trial), without any state.

    A counter-based hash: two rounds of SplitMix64's finaliser (Steele, Lea and Flood 2014, in
    Stafford's variant 13) over the request and over `attempt << 16 | trial`. The law: `one(r, a, t)
    == many([r], a, t)[0]`, bit for bit, for 0 <= r < 2^63, 0 <= a < 2^32 and 0 <= t < 2^16.
    """

    __slots__ = ("root",)

    def __init__(self, seed: int, purpose: str) -> None:
        self.root = key(seed, purpose)

    def one(self, request_id: int, attempt: int = 0, trial: int = 0) -> float:
        """The draw of one request as a float in (0, 1)."""
        return mixed_word(self.root, request_id, attempt << 16 | trial)

    def many(
        self, request_ids: NDArray[np.int64], attempt: int | NDArray[np.int64] = 0, trial: int = 0
    ) -> NDArray[np.float64]:
        """The draws of many requests, shape (n,), each a float in (0, 1)."""
        words = np.asarray(request_ids, dtype=np.int64).astype(np.uint64)
        counters = (np.asarray(attempt, dtype=np.int64) << 16 | trial).astype(np.uint64)
        with np.errstate(over="ignore"):
            found: NDArray[np.float64] = to_unit(mix_words(np.uint64(self.root), words, counters, mix_word))
        return found


def mix_words(root: Any, words: Any, counters: Any, mix: Callable[[Any], Any]) -> Any:
    """Both rounds of the hash, over unsigned words. `sim.engine.handlers` takes this and the two below."""
    return mix(mix(root ^ (words * np.uint64(_ODD))) ^ (counters * np.uint64(_ODD) + np.uint64(_ODD)))


def mix_word(words: Any) -> Any:
    """SplitMix64's finaliser."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(_MIX_1)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(_MIX_2)
    return words ^ (words >> np.uint64(31))


def to_unit(mixed: Any) -> Any:
    """The upper 52 bits as a number in (0, 1)."""
    return ((mixed >> np.uint64(12)) + 0.5) * _TO_UNIT


def mixed_word(root: int, word: int, counter: int) -> float:
    """Both rounds and the number that comes of them, on plain integers."""
    mixed = _mix(root ^ (word * _ODD & _MASK))
    mixed = _mix(mixed ^ (counter * _ODD + _ODD & _MASK))
    return ((mixed >> 12) + 0.5) * _TO_UNIT


def _mix(word: int) -> int:
    word = (word ^ word >> 30) * _MIX_1 & _MASK
    word = (word ^ word >> 27) * _MIX_2 & _MASK
    return word ^ word >> 31
