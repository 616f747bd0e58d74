"""What a scenario says about links that many clients share: how fast, in which order, after which time."""

from __future__ import annotations

from typing import Literal

from sim.registry.durations import DurationOrZero
from sim.scenario.schema.values import Bandwidth, Name, Part


class BandwidthTrace(Part):
    """Bandwidth as a file has it, over and over again."""

    kind: Literal["trace"]
    file: str
    """The file; where relative, it begins in the scenario's folder."""
    format: Literal["mahimahi", "pensieve"]
    """`mahimahi`: a line for each packet of 1500 bytes that may pass, the millisecond; `pensieve`: lines of a
    time in seconds and the Mbit/s since the line before."""


class SharedLink(Part):
    """A link that the messages of many clients pass on their way to the servers."""

    link: Name
    """Name of the link, which `over` names."""
    bandwidth_bps: Bandwidth | None = None
    """Bits per second; null: as the trace in `bandwidth` has it."""
    bandwidth: BandwidthTrace | None = None
    """Bandwidth that changes; null: it does not."""
    discipline: Literal["fifo", "ps"] = "fifo"
    """`fifo`: one payload after the other; `ps`: all at once with equal shares (processor sharing)."""
    latency: DurationOrZero = 0.0
    """Time of a message beside that of its payload, drawn anew each way."""
