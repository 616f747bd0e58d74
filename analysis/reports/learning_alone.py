"""What learning came to without any traffic, in sentences, and who pays more than a constant decision.
Part of a summary in words; see `analysis.reports.formatting`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_TOLD = 3


def learning_alone(summary: Mapping[str, Any]) -> list[str]:
    """A paragraph per group about its own policy's score, without any traffic."""
    own = [row for row in summary["study"] if row["is_policy"]]
    told = [
        f"Learning alone: {row['group']} sends {_percent(row['deferral_rate'])} of the held-out samples by "
        f"{row['score']} and has {_percent(row['accuracy'])} right; its risk is {row['risk']:.3f}, against "
        f"{row['risk_all_local']:.3f} if nothing is sent, {row['risk_all_remote']:.3f} if everything is and "
        f"{row['risk_oracle']:.3f} for the oracle."
        for row in own
    ]
    return told + pays_too_much(own)


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The numbers to read first, label, value and note: of the policies of up to MOST_TOLD groups."""
    rows = [row for row in summary["study"] if row["is_policy"]][:MOST_TOLD]
    return [
        tile
        for row in rows
        for tile in (
            (
                f"{row['group']}: accuracy",
                _percent(row["accuracy"]),
                f"{_percent(row['deferral_rate'])} sent",
            ),
            (
                f"{row['group']}: risk",
                f"{row['risk']:.3f}",
                f"none sent {row['risk_all_local']:.3f}, all sent {row['risk_all_remote']:.3f}",
            ),
        )
    ]


def pays_too_much(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each row of a study whose policy pays more than the best constant decision beyond chance."""
    return [
        f"{row['group']} pays more by {row['score']} than it would by always "
        f"{'keeping' if row['risk_all_local'] <= row['risk_all_remote'] else 'sending'}: "
        f"{row['above_constant']:+.3f} [{row['above_constant_low']:+.3f}, {row['above_constant_high']:+.3f}]."
        for row in rows
        if row["above_constant_low"] > 0
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
