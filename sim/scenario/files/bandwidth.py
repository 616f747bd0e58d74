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
    rows = _numbers(path, 1 if form == "mahimahi" else 2)
    at = rows[:, 0]
    if at[0] < 0:
        raise BadFile(f"line 1: {at[0]:g} lies before 0")
    falls = np.flatnonzero(np.diff(at) < 0)
    if len(falls):
        raise BadFile(f"line {falls[0] + 2}: the times fall")
    found = _of_packets(at) if form == "mahimahi" else _of_rates(at, rows[:, 1])
    if not found.bps.any():
        raise BadFile("lets nothing pass")
    return found


def _numbers(path: str, columns: int) -> Floats:
    """The numbers of all lines, float64 (n, columns)."""
    wanted = "one number" if columns == 1 else "a time and a bandwidth"
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
    return np.array(found, dtype=np.float64)


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


def _of_rates(at_s: Floats, mbps: Floats) -> Pieces:
    """A line's bandwidth holds since the line before; what the first says, nobody meets."""
    if len(at_s) < 2 or at_s[-1] <= at_s[0]:
        raise BadFile("needs two lines with different times")
    below = np.flatnonzero(mbps < 0)
    if len(below):
        raise BadFile(f"line {below[0] + 1}: a bandwidth of {mbps[below[0]]:g} Mbit/s")
    takes_time = np.diff(at_s) > 0
    return Pieces((at_s[:-1] - at_s[0])[takes_time], mbps[1:][takes_time] * 1e6, float(at_s[-1] - at_s[0]))
