"""What a scenario says about links that many clients share: how fast, in which order, after which time."""

from __future__ import annotations

from typing import Literal

from sim.registry.bandwidths import BandwidthInTime
from sim.registry.durations import DurationOrZero
from sim.scenario.schema.values import Bandwidth, Name, Part


class SharedLink(Part):
    """A link that the messages of many clients pass on their way to the servers."""

    link: Name
    """Name of the link, which `over` names."""
    bandwidth_bps: Bandwidth | None = None
    """Bits per second; null: as the trace in `bandwidth` has it."""
    bandwidth: BandwidthInTime | None = None
    """Bandwidth that changes; null: it does not."""
    discipline: Literal["fifo", "ps"] = "fifo"
    """`fifo`: one payload after the other; `ps`: all at once with equal shares (processor sharing)."""
    latency: DurationOrZero = 0.0
    """Time of a message beside that of its payload, drawn anew each way."""
