"""Intervals for means over requests whose clients and samples repeat, by two-way clustering.
Counts clients and base samples, never requests: a sample that was asked 500 times is one witness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from analysis.statistics.cells import Block, Cells, Floats, Mask, Picked, coded
from analysis.statistics.leverage import Held
from analysis.statistics.pieces import AT_ONCE, mean_among

LEVEL = 0.95
LEAST_SAMPLES = 10  # distinct ones; fewer show no spread to speak of
Z = 1.959963984540054  # the normal quantile of (1 + LEVEL) / 2
MOST_KEPT = 4  # masks of which what they hold is kept


class Spread(NamedTuple):
    """The variance of an estimate and its degrees of freedom."""

    variance: float
    freedom: float

    def half_width(self) -> float:
        """Half of the 95% interval, by Student's t."""
        return student(self.freedom) * float(np.sqrt(self.variance))


class Summed(NamedTuple):
    """What cells of a block contribute to an estimate, `influence`, and their requests, `sizes`, both (c,);
    which cells these are, all of the block's or their places (c,)."""

    block: Block
    asked: NDArray[Any] | slice
    influence: Floats
    sizes: Floats


@dataclass(frozen=True)
class Clusters(Cells):
    """The cells of requests, whose clients and samples repeat, and what is estimated from them.

    Blocks of cells are summed up one after the other: of up to `AT_ONCE` cells all at once.
    """

    def share(self, hits: Mask, among: Mask) -> dict[str, Any]:
        """The share of `hits` among the requests in `among`, as `mean` gives it; masks (n,).

        The interval is Wilson's for as many trials as would give the share this variance. The variance is
        widened by that of one sample all right and one all wrong, as what few samples are hard may not have
        been met; but not beyond that of samples that are wholly right or wholly wrong.
        """
        estimate, spread = self._estimate(hits, among)
        value, samples = estimate["value"], estimate["samples"]
        if samples >= LEAST_SAMPLES:
            unlike = value * (1 - value) / samples
            more = min((value**2 + (1 - value) ** 2) / samples**2, unlike)
            trials, quantile = float(samples), Z
            if unlike > 0:
                widened = spread.variance + more
                freedom = widened**2 / (spread.variance**2 / spread.freedom + more**2 / (samples - 1))
                trials = max(1.0, value * (1 - value) / widened)
                quantile = student(max(1.0, freedom))
            low, high = wilson(value, trials, quantile)
            estimate["low"], estimate["high"] = float(low), float(high)
        return estimate

    def mean(self, values: Floats, among: Mask) -> dict[str, Any]:
        """The mean of `values` (n,) over the requests in the mask `among` (n,), with a 95% interval.

        low and high are null with fewer than LEAST_SAMPLES distinct samples; n counts requests, samples
        and clients distinct ones.
        """
        estimate, spread = self._estimate(values, among)
        if estimate["samples"] >= LEAST_SAMPLES:
            half = spread.half_width()
            estimate["low"], estimate["high"] = estimate["value"] - half, estimate["value"] + half
        return estimate

    def _estimate(self, values: NDArray[Any], among: Mask) -> tuple[dict[str, Any], Spread]:
        picked, held = self._asked(among)
        value, spread = None, Spread(0.0, 1.0)
        if held.requests:
            value = mean_among(values, among)
            sums = [(one, one.sums(values), one.counts, one.counts) for one in picked]
            spread = self._spread(_ratio(sums, values.dtype == bool), held)
        counts = {"n": held.requests, "samples": held.samples, "clients": held.clients}
        return {"value": value, "low": None, "high": None} | counts, spread

    def client_variance(self, parts: NDArray[Any], wholes: NDArray[Any]) -> float:
        """What the ratio of the sums of `parts` and `wholes`, both (n,), varies because clients of a group
        differ: their variance beyond that of their cells, at least 0. Requests count whose whole is not 0."""
        counted = wholes != 0
        if not counted.any():
            return 0.0
        picked, held = self._asked(counted)
        if (more := (parts != 0) & ~counted).any():
            picked = self.picked(counted | more)
            sums = [(one, one.sums(parts), one.sums(wholes), one.sums(counted)) for one in picked]
        elif wholes.dtype == bool:
            sums = [(one, one.sums(parts), one.counts, one.counts) for one in picked]
        else:
            sums = [(one, one.sums(parts), one.sums(wholes), one.counts) for one in picked]
        return self._between_clients(_ratio(sums, parts.dtype == wholes.dtype == bool), held)

    def sums(self, values: Floats) -> Floats:
        """The sum of each cell's requests' values (n,); (cells,)."""
        return np.bincount(self.cell, values, self.client.size).astype(np.float64, copy=False)

    def variance_between_clients(self, influence: Floats, sizes: Floats) -> float:
        """What `client_variance` is of what cells contribute, and their requests; (cells,)."""
        return self._between_clients(self._of_all(influence, sizes), self._held_of(sizes))

    def spread(self, influence: Floats, sizes: Floats) -> Spread:
        """The variance of an estimate from what the cells contribute to it; `sizes`: their requests;
        (cells,).

        By client plus by sample minus by cell, each the sum of squared sums (Cameron, Gelbach and Miller
        2011, equation 2.9), at least that by cell; within groups, since how many clients a group has is no
        chance, plus the chance of how many requests each group makes. Clusters of unequal size are made up
        for by their leverage (Bell and McCaffrey 2002) and count as fewer; degrees of freedom after
        Satterthwaite (1946).
        """
        return self._spread(self._of_all(influence, sizes), self._held_of(sizes))

    def held(self, among: Mask) -> Held:
        """How many of the requests in a mask (n,) each client and base sample has."""
        return self._asked(among)[1]

    def squares_by_client(self, among: Mask) -> Floats:
        """The sum over each client's samples of the square of how many of the requests in a mask (n,) are
        about it, (clients,)."""
        found = np.zeros(self.clients)
        for one in self._asked(among)[0]:
            squares = one.counts.astype(np.float64) ** 2
            self._add_by_client(found, one.block, one.asked, squares)
        return found

    @property
    def client_of_requests(self) -> NDArray[Any]:
        """The code of each request's client, (n,)."""
        return self.client[self.cell]

    def _of_all(self, influence: Floats, sizes: Floats) -> list[Summed]:
        """Blocks of all cells, of arrays (cells,)."""
        places = [slice(block.first, block.end) for block in self.blocks]
        return [
            Summed(block, place, influence[place], sizes[place])
            for block, place in zip(self.blocks, places, strict=True)
        ]

    def _spread(self, blocks: list[Summed], held: Held) -> Spread:
        by_cell, by_client, by_base, of_groups = self._within_groups(blocks)
        parts = [held.between_clients(by_client), held.between_samples(by_base)]
        variance = max(sum(variance for variance, _ in parts) - by_cell, by_cell)
        weighted = sum(variance**2 / freedom for variance, freedom in parts if variance > 0)
        freedom = max(1.0, variance**2 / weighted) if weighted > 0 else 1.0
        return Spread(variance + of_groups, freedom)

    def _between_clients(self, blocks: list[Summed], held: Held) -> float:
        by_cell, by_client, _, _ = self._within_groups(blocks)
        return max(0.0, held.between_clients(by_client)[0] - by_cell)

    def _within_groups(self, blocks: list[Summed]) -> tuple[float, Floats, Floats, float]:
        """Of what the cells contribute less their group's mean: the sum of squares, the sums by client and by
        base sample, (clients,) and (bases,); and the variance that the sizes of the groups make."""
        totals, members = np.zeros(self.groups), np.zeros(self.groups)
        for one in blocks:
            group = self.group[one.asked]
            totals += np.bincount(group, one.influence, self.groups)
            members += np.bincount(group, one.sizes, self.groups)
        there = np.maximum(members, 1e-300)
        mean, by_cell = totals / there, 0.0
        by_client, by_base = np.zeros(self.clients), np.zeros(self.bases)
        for one in blocks:
            centred = one.influence - mean[self.group[one.asked]] * one.sizes
            by_cell += one.block.total(one.asked, centred**2)
            self._add_by_client(by_client, one.block, one.asked, centred)
            by_base += np.bincount(self.base[one.asked], centred, self.bases)
        return by_cell, by_client, by_base, float((totals**2 / there).sum())

    def _add_by_client(
        self, into: Floats, block: Block, asked: NDArray[Any] | slice, values: NDArray[Any]
    ) -> None:
        """Adds the values (c,) of cells of a block to those of their clients, (clients,), few of a block."""
        if block.end > block.first:
            first, last = int(self.client[block.first]), int(self.client[block.end - 1])
            into[first : last + 1] += np.bincount(self.client[asked] - first, values, last + 1 - first)

    def _asked(self, among: Mask) -> tuple[Iterable[Picked], Held]:
        """The requests in a mask (n,), and what is known of them: found once for the last few masks, since
        much is asked about the same requests; of many the requests themselves again."""
        key = np.packbits(among).tobytes()
        known = self._last.pop(key, None)
        if known is None:
            kept: list[Picked] = []
            by_client, by_base, rows = np.zeros(self.clients), np.zeros(self.bases), 0
            for one in self.picked(among):
                self._add_by_client(by_client, one.block, one.asked, one.counts)
                by_base += np.bincount(self.base[one.asked], one.counts, self.bases)
                rows += one.rows.size
                kept = [*kept, one] if rows <= AT_ONCE else []
            held = Held(by_client, by_base, self._group_of_client, self._one_stratum)
            known = kept, held
        self._last[key] = known
        while len(self._last) > MOST_KEPT:
            del self._last[next(iter(self._last))]
        return known[0] or self.picked(among), known[1]

    def _held_of(self, sizes: Floats) -> Held:
        """The same of the requests of all cells, (cells,)."""
        by_client, by_base = (
            np.bincount(codes, sizes, many).astype(np.float64, copy=False)
            for codes, many in ((self.client, self.clients), (self.base, self.bases))
        )
        return Held(by_client, by_base, self._group_of_client, self._one_stratum)

    @cached_property
    def _last(self) -> dict[bytes, tuple[list[Picked], Held]]:
        return {}

    @cached_property
    def _group_of_client(self) -> NDArray[np.int64]:
        """(clients,)."""
        group_of = np.zeros(self.clients, dtype=np.int64)
        group_of[self.client] = self.group
        return group_of

    @cached_property
    def _one_stratum(self) -> NDArray[np.int64]:
        """(bases,)."""
        return np.zeros(self.bases, dtype=np.int64)


def _ratio(parts: list[tuple[Picked, Floats, NDArray[Any], NDArray[Any]]], are_whole: bool) -> list[Summed]:
    """What cells contribute to a ratio of sums, from their parts, wholes and numbers of requests, all (c,):
    its linear part, by Taylor's series; sums to zero. are_whole: the sums are of whole numbers, which have
    no order."""
    whole = sum(one.block.total(slice(None) if are_whole else one.asked, each) for one, _, each, _ in parts)
    part = sum(one.block.total(slice(None) if are_whole else one.asked, sums) for one, sums, _, _ in parts)
    ratio = part / whole
    return [
        Summed(one.block, one.asked, (sums - ratio * wholes) / whole, sizes)
        for one, sums, wholes, sizes in parts
    ]


def student(freedom: float, level: float = (1 + LEVEL) / 2) -> float:
    """The quantile of Student's t; `scipy.stats` gives the same and takes twenty times as long."""
    return float(special.stdtrit(freedom, level))


def wilson(share: Floats | float, trials: Floats | float, quantile: float = Z) -> tuple[Floats, Floats]:
    """Wilson's (1927) interval of a binomial share, 95% unless told; arrays of one shape, trials > 0."""
    share, trials = np.asarray(share, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    square = quantile**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    inner = share * (1 - share) / trials + square / (4 * trials**2)
    half = quantile / (1 + square / trials) * np.sqrt(inner)
    low, high = np.maximum(centre - half, 0.0), np.maximum(centre + half, 0.0)
    return np.minimum(low, 1.0), np.minimum(high, 1.0)


def clusters(
    client: NDArray[Any],
    base: NDArray[Any],
    group: NDArray[Any] | None = None,
    clients: NDArray[Any] | None = None,
    bases: NDArray[Any] | None = None,
) -> Clusters:
    """The cells of the clients and base samples that occur in the two columns (n,).

    group: the code of each request's client's group (n,), one group if none. `clients` and `bases` may name
    more than occur: two runs over the same names have the same codes.
    """
    return Clusters(**coded(client, base, group, clients, bases))
