"""Files of bandwidth over time in the formats of Mahimahi and Pensieve, as pieces of constant bandwidth.
Read by the rules, which refuse what is not sound, and by `sim.world.network`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.scenario.files.rows import BadFile, identity
from sim.scenario.text.wording import show

PACKET_BITS = 12_000.0  # of Mahimahi's packets, 1500 bytes each
Floats = NDArray[np.float64]


class Pieces(NamedTuple):
    """Bandwidth over a period: `bps[i]` bits per second from `at_s[i]` on; at_s[0] is 0."""

    at_s: Floats
    bps: Floats
    period_s: float


def bandwidth_of(path: str, form: str) -> Pieces:
    """What a file says. Raises BadFile where it is not of the format, or lets nothing pass."""
    return _read(form, *identity(path))


@lru_cache(maxsize=16)
def _read(form: str, path: str, _changed_ns: int, _bytes: int) -> Pieces:
    if form == "mahimahi":
        found = _of_packets(numbers_of(path, 1, "one number")[:, 0])
    else:
        rows = numbers_of(path, 2, "a time and a bandwidth")
        at_s, mbps, period_s = since_the_line_before(rows, "a bandwidth of {:g} Mbit/s")
        found = Pieces(at_s, mbps * 1e6, period_s)
    if not found.bps.any():
        raise BadFile("lets nothing pass")
    return found


def numbers_of(path: str, columns: int, wanted: str) -> Floats:
    """The numbers of all lines, float64 (n, columns), the first of each a time that does not fall.

    wanted: what a line holds, in words. Raises BadFile where the file does not.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not lines:
        raise BadFile("has no lines")
    found = []
    for count, line in enumerate(lines, start=1):
        try:
            numbers = [float(word) for word in line.replace(",", " ").split()]
        except ValueError:
            numbers = []
        if len(numbers) != columns or not np.all(np.isfinite(numbers)):
            raise BadFile(f"line {count}: {show(line)} is not {wanted}")
        found.append(numbers)
    rows = np.array(found, dtype=np.float64)
    at = rows[:, 0]
    if at[0] < 0:
        raise BadFile(f"line 1: {at[0]:g} lies before 0")
    falls = np.flatnonzero(np.diff(at) < 0)
    if len(falls):
        raise BadFile(f"line {falls[0] + 2}: the times fall")
    return rows


def _of_packets(at_ms: Floats) -> Pieces:
    """A packet may pass during the millisecond that ends at its time; those of 0 with the period's last, as
    Mahimahi begins anew at the last time."""
    ends = np.rint(at_ms).astype(np.int64)
    last = int(ends[-1])
    if last < 1:
        raise BadFile("ends at 0 ms")
    ends[ends == 0] = last
    packets = np.bincount(ends - 1, minlength=last).astype(np.float64)
    begins = np.flatnonzero(np.append(True, np.diff(packets) != 0))
    return Pieces(begins / 1e3, packets[begins] * PACKET_BITS * 1e3, last / 1e3)


def since_the_line_before(rows: Floats, negative: str) -> tuple[Floats, Floats, float]:
    """Lines of a time and a rate that holds since the line before, as pieces: when each begins, from 0 on,
    its rate, and the period. What the first line says, nobody meets.

    negative: what a message calls a rate below 0. Raises BadFile for one, and where no time passes.
    """
    at_s, rate = rows[:, 0], rows[:, 1]
    if len(at_s) < 2 or at_s[-1] <= at_s[0]:
        raise BadFile("needs two lines with different times")
    below = np.flatnonzero(rate < 0)
    if len(below):
        raise BadFile(f"line {below[0] + 1}: {negative.format(rate[below[0]])}")
    takes_time = np.diff(at_s) > 0
    return (at_s[:-1] - at_s[0])[takes_time], rate[1:][takes_time], float(at_s[-1] - at_s[0])
