"""Bandwidths of shared links that change: what may be written of each kind.
`sim.world.network` reads what a kind says."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sim.registry.registry import Examples, Kind, PartFamily


class ChangingBandwidth(Kind):
    """What a kind of bandwidth gives."""

    kind: str
    file: str
    format: str


BANDWIDTHS: PartFamily[ChangingBandwidth] = PartFamily("bandwidth", "bandwidth that changes")


@BANDWIDTHS.part
class BandwidthTrace(ChangingBandwidth):
    """Bandwidth as a file has it, over and over again."""

    kind: Literal["trace"]
    examples: ClassVar[Examples] = {"trace": {"file": "cell.trace", "format": "mahimahi"}}
    file: str
    """The file; where relative, it begins in the scenario's folder."""
    format: Literal["mahimahi", "pensieve"]
    """`mahimahi`: a line for each packet of 1500 bytes that may pass, the millisecond; `pensieve`: lines of a
    time in seconds and the Mbit/s since the line before."""


if TYPE_CHECKING:
    BandwidthInTime = ChangingBandwidth
else:
    BandwidthInTime = BANDWIDTHS.union()
