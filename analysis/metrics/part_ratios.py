"""The numbers of a part of the traffic as sums over its requests, as their intervals in time need them.
Named as `analysis.metrics.breakdown` names them; those that are measures are the measures' own."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.metrics.measures import RATIOS, Ratio
from analysis.metrics.service import in_time
from analysis.run_folder.traffic import Mask, Traffic

KEPT_BACK = ("over_budget", "link_down", "breaker_open")


def not_sent(traffic: Traffic) -> Mask:
    """What the policy would have sent, had link, breaker and budget let it."""
    found = traffic.is_outcome(KEPT_BACK[0])
    for name in KEPT_BACK[1:]:
        found |= traffic.is_outcome(name)
    return found


def _share(hits: Any, among: Any) -> Ratio:
    def sums(traffic: Traffic) -> tuple[Mask, Mask]:
        mask = among(traffic)
        return hits(traffic) & mask, mask

    return Ratio("", "share", sums, in_time=True)


def _sent(traffic: Traffic) -> Mask:
    return traffic.column("deferred")


def _decided(traffic: Traffic) -> Mask:
    return traffic.column("is_decided")


def _sent_and_known(traffic: Traffic) -> Mask:
    return np.asarray(_sent(traffic) & traffic.known)


def _by_server(traffic: Traffic) -> Mask:
    return traffic.is_answered_by("server")


OF_PART: dict[str, Ratio] = {
    "deferral_rate": _share(_sent, _decided),
    "answered_by_server_share": RATIOS["remote_answer_rate"],
    "timed_out_share": RATIOS["timed_out"],
    "refused_share": RATIOS["refused"],
    "not_sent_share": _share(not_sent, lambda traffic: traffic.known),
    "answered_share": RATIOS["answered"],
    "answered_in_time_share": RATIOS["answered_in_time"],
    "served_in_time_share": RATIOS["served_in_time"],
    "amplification": RATIOS["amplification"],
    "cost_per_request": RATIOS["cost"],
    # of what was sent, in the whole run
    "answered_if_sent": _share(_by_server, _sent_and_known),
    "answered_in_time_if_sent": _share(
        lambda traffic: _by_server(traffic) & in_time(traffic), _sent_and_known
    ),
}
