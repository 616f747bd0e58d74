"""What shared links let pass, recounted from when payloads came and had passed: a link with something to do
lets pass as much as it can. Asked by `sim.results.verify`; shares nothing with the queues and shares of the
loop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.engine.passages import Passages
from sim.errors import RunFailed
from sim.results.links import busy_periods
from sim.world.network import Network

ROUNDING = 1e-9  # of all that a link could have let pass by then
Floats = NDArray[np.float64]


def audited(network: Network, passages: Passages, begun: list[list[float]]) -> list[list[float]]:
    """Looks at what each link let pass in a window, and at what is on it.

    begun: of each link's busy period that was not over what had passed in it, as [begin, latest end, bits],
    or nothing; gives so for the next window. Raises RunFailed unless all links worked as they could.
    """
    return [_audited(network, link, passages.of(link), begun[link]) for link in range(len(network.names))]


def _audited(network: Network, link: int, passages: Passages, begun: list[float]) -> list[float]:
    name, passed = network.names[link], np.isfinite(passages.left)
    slack = ROUNDING * (1.0 + _could(network, link, passages.left[passed]).max(initial=0.0))
    if not network.is_shared[link]:
        order = np.lexsort((passages.left, passages.joined))
        if np.any(passages.left[order][1:] < passages.left[order][:-1]):
            raise RunFailed("run", f"a payload passed link {name} before one that had come earlier")
    if begun:
        passages, passed = passages.beside(link, *begun), np.append(passed, True)
    alone = _could(network, link, passages.left[passed]) - _could(network, link, passages.joined[passed])
    if np.any(alone < passages.bits[passed] - slack):
        raise RunFailed("run", f"a payload passed link {name} faster than it can")
    begins, ends, number = busy_periods(passages)
    bits = np.bincount(number[passed], passages.bits[passed], minlength=len(begins))
    is_over = np.isfinite(ends)
    does = _could(network, link, ends[is_over]) - _could(network, link, begins[is_over])
    wrong = np.flatnonzero(np.abs(does - bits[is_over]) > slack)
    if len(wrong):
        let, could = bits[is_over][wrong[0]], does[wrong[0]]
        since = begins[is_over][wrong[0]]
        raise RunFailed("run", f"link {name} let {let:g} bits pass from {since} s on, and not {could:g}")
    open_ones = np.flatnonzero(~is_over)
    if not len(open_ones):
        return []
    (last,) = open_ones.tolist()
    mine = passed & (number == last)
    latest = passages.left[mine].max(initial=-np.inf)
    return [float(begins[last]), float(latest), float(bits[last])] if mine.any() else []


def _could(network: Network, link: int, at: Floats) -> Floats:
    """Bits that a link could have let pass by each instant: `bits_by` of many."""
    lines, begun, within = network.lines, np.zeros(len(at)), at
    if np.isfinite(lines.period_s[link]):
        periods = np.floor(at / lines.period_s[link])
        begun, within = periods * lines.period_bits[link], at - periods * lines.period_s[link]
    pieces = slice(int(lines.first[link]), int(lines.first[link + 1]))
    at_s, bps, bits = (column[pieces] for column in (lines.at_s, lines.bps, lines.bits))
    place = np.maximum(np.searchsorted(at_s, within, side="right") - 1, 0)
    found: Floats = begun + (bits[place] + bps[place] * (within - at_s[place]))
    return found
