"""Which of some labelled samples are kept where only so many may be: of each class as many as of others.
A pure function; `sim.engine.hand_over` asks it for what is handed over, `agents` for what is held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def level(counts: NDArray[np.int64], most: int) -> int:
    """The largest number of samples that each class may keep so that all together keep at most `most`, of
    classes with so many samples, (classes,); at least 1. All are kept where there is room for them."""
    largest = int(counts.max(initial=0))
    if counts.sum() <= most:
        return max(1, largest)
    ascending = np.sort(counts[counts > 0])
    filled = np.concatenate([[0], np.cumsum(ascending)])
    rest = len(ascending) - np.arange(len(ascending))  # classes that are not smaller
    found = max((most - filled[:-1]) // rest)
    return max(1, int(found))


def representatives(
    label: NDArray[np.integer], priority: NDArray[np.float64], counts: NDArray[np.int64], most: int
) -> NDArray[np.bool_]:
    """Which of n samples are kept, bool (n,): of each class those with the smallest priorities, `level` of
    them.

    counts: how many of each class there were, of which these are those with the smallest priorities: all of
    them, or what was kept before. With uniform draws as priorities a class's samples are as a reservoir has
    them (Vitter 1985, doi 10.1145/3147.3165, by random sort), and classes are balanced as by Chrysakis and
    Moens (2020, ICML: class-balancing reservoir sampling). Laws: at most `most` are kept where there are no
    more classes than that; each sample of a class with the same chance, level/count or 1; to keep some and
    then some of these and of others is to keep of all at once, for levels never rise.
    """
    order = np.lexsort((priority, label))
    begins = np.append(True, np.diff(label[order]) != 0)[: len(order)]
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(begins, place, 0))
    kept = np.zeros(len(order), dtype=np.bool_)
    kept[order] = rank < level(counts, most)
    return kept
