"""The Poisson arrivals of many blocks of clients in a minute at once, where few of each ask.
Used by `sim.world.arrivals.processes`; the same numbers as each block's own generator gives, bit for bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

MOST_MEAN = 10.0  # NumPy draws larger Poisson numbers in another way
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_STEPS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_ROUNDS = 10
_TO_UNIT = 2.0**-53
_WORDS = 4  # of a step of Philox


class Asked(NamedTuple):
    """counts: how many ask of each block, int64 (blocks,); share: of the minute, and place: within the block,
    of each of them, block after block, (requests,)."""

    counts: NDArray[np.int64]
    share: NDArray[np.float64]
    place: NDArray[np.int64]


def asked_of_blocks(keys: Words, nobody: NDArray[np.float64], size: int) -> Asked:
    """Of blocks of `size` clients, a power of two, who ask `mean` times a minute, 0 < mean < MOST_MEAN.

    keys: of each block's stream, (blocks,); nobody: the chance that nobody asks, exp(-mean), (blocks,). As
    `poisson(mean)`, `random(count)` and `integers(size, count, int32)` of NumPy's generator over Philox:
    products of uniform numbers until they fall below exp(-mean) (Knuth), 53 bits of a word a number, and the
    upper bits of each half of a word, lower first.
    """
    first = _philox(keys, np.zeros(1, dtype=np.int64))
    count = _poisson(keys, first, nobody)
    steps = -(-(count + 1 + count + (count + 1) // 2) // _WORDS)
    begins = np.cumsum(steps) - steps
    stream = np.repeat(np.arange(keys.size), steps - 1)
    step = 1 + np.arange(stream.size) - (begins - np.arange(keys.size))[stream]
    words = np.empty((int(steps.sum()), _WORDS), dtype=np.uint64)
    words[begins], words[begins[stream] + step] = first, _philox(keys[stream], step)
    known, at = words.reshape(-1), _WORDS * begins  # the words of each stream, one after the other
    block = np.repeat(np.arange(keys.size), count)
    number = np.arange(block.size) - (np.cumsum(count) - count)[block]
    after = (at + count + 1)[block]
    share = _uniform(known[after + number])
    halves = known[after + count[block] + number // 2] >> (_HALF * (number % 2).astype(np.uint64))
    place = ((halves & _LOW) * np.uint64(size)) >> _HALF
    return Asked(count, share, place.astype(np.int64))


def _poisson(keys: Words, first: Words, limit: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of each stream's numbers multiply to more than a limit, (streams,); first: the words of the
    first step of each, which is enough for most."""
    count, rows, product, step = (
        np.zeros(keys.size, dtype=np.int64),
        np.arange(keys.size),
        np.ones(keys.size),
        0,
    )
    words = first
    while rows.size:
        products = np.multiply.accumulate(np.column_stack([product, _uniform(words)]), axis=1)[:, 1:]
        above = np.count_nonzero(products > limit[rows, None], axis=1)
        count[rows] += above
        goes_on = above == _WORDS
        rows, product, step = rows[goes_on], products[goes_on, -1], step + 1
        words = _philox(keys[rows], np.full(1, step))
    return count


def is_sparse(mean: float, size: int) -> bool:
    """Whether blocks can be drawn at once: few ask, and no place is drawn twice over for being uneven."""
    return 0 < mean < MOST_MEAN and size & (size - 1) == 0


def _uniform(words: Words) -> NDArray[np.float64]:
    return np.asarray((words >> np.uint64(11)) * _TO_UNIT, dtype=np.float64)


def _philox(keys: Words, step: NDArray[np.int64]) -> Words:
    """The words of these steps of Philox4x64-10 (Salmon et al. 2011) under each key, (n, 4); NumPy counts the
    first step as 1. What is the same for all is an array of one."""
    counter = [(step + 1).astype(np.uint64), *np.zeros((3, 1), dtype=np.uint64)]
    key = [keys, np.zeros(1, dtype=np.uint64)]
    with np.errstate(over="ignore"):
        for _ in range(_ROUNDS):
            (high_0, low_0), (high_1, low_1) = (
                _product(multiplier, counter[place])
                for multiplier, place in zip(_MULTIPLIERS, (0, 2), strict=True)
            )
            counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0]
            key = [one + more for one, more in zip(key, _STEPS, strict=True)]
    return np.column_stack(counter)


def _product(one: np.uint64, many: Words) -> tuple[Words, Words]:
    """The upper and lower word of a product."""
    a, b = one >> _HALF, one & _LOW
    c, d = many >> _HALF, many & _LOW
    low = b * d
    middle = a * d + (low >> _HALF)
    other = b * c + (middle & _LOW)
    return a * c + (middle >> _HALF) + (other >> _HALF), one * many
