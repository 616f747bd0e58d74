"""The numbers of a summary that stand without an interval in a single run, and why each does.
Over three seeds and more all of them have one. Printed by docs/metrics.md; a test holds the summary to it."""

from __future__ import annotations

from analysis.metrics.part_definitions import PLACES, WINDOW
from analysis.run_folder.parts import OF_WHOM

COURSE = "one course of outages; only other seeds show how another would go"
TOTAL = "a total of this run, as long as it was; beside it stands a share or a rate that has an interval"
FACT = "no estimate: it says what was run, counted or asked for"
OWN_INTERVAL = ("accuracy", "client_accuracy")  # of a part: by clients and samples

WITHOUT: dict[str, str] = {
    **dict.fromkeys(("valid", "invalid_because", "run.*"), FACT),
    **dict.fromkeys(
        ("run_length.*", "run_length.needed_s.*"), "says how far intervals can be had; is no result itself"
    ),
    **dict.fromkeys(("counts.requests", "counts.outcome.*", "counts.server_cause.*"), TOTAL),
    **dict.fromkeys(("fairness.clients", "fairness.left_out"), FACT),
    **dict.fromkeys(
        (
            "fairness.jain",
            "fairness.worst_decile_accuracy",
            "fairness.worst_decile_by_chance",
            "fairness.worst_decile_shrunk",
        ),
        "bent by chance itself (a worst decile is always low), so what chance alone gives stands beside it",
    ),
    **dict.fromkeys(
        ("energy.by_outcome.*", "energy.ran_empty_share", "energy.silent_share", "energy.lifetime_s"),
        "of devices alike under one course of events; only other seeds show how another would go",
    ),
    **dict.fromkeys(
        (f"presence.{name}" for name in ("there_mean", "there_share", "joined_hz", "stay_mean_s")),
        "follows from visits that are drawn before the run; the law of presence has its interval",
    ),
    "energy.first_empty_at_s": "a minimum falls with the number of devices",
    "queue.max": "a maximum grows with the length of the run",
    **dict.fromkeys(
        (
            "work.service_s",
            "work.wasted_s",
            "retries.attempts",
            "wire.bytes_up",
            "cost.charged_attempts",
            "cost.total",
            "cost.spend",
            *(f"calls.{name}" for name in ("made", "cold", "usd")),
            *(f"money.{name}" for name in ("calls_usd", "replicas_usd", "usd_per_1000_answers")),
            *(f"energy.{name}_j" for name in ("idle", "inference", "radio", "harvested", "spilled")),
        ),
        TOTAL,
    ),
    "loads.*.*": "counts of this run; the law of models that take turns, where it speaks, has an interval",
    "transmissions.*.made": TOTAL,
    **dict.fromkeys(
        ("transmissions.*.size_mean", "transmissions.*.held_mean_s"),
        "set by how many requests a batch is of, and by the deferral rate and arrivals, which have intervals",
    ),
    "sessions.*.items": TOTAL,
    "sessions.*.*": "of items that follow each other; only other seeds show how another run would go, and "
    "the law of sessions, where it speaks, has an interval",
    "prototypes.answered": TOTAL,
    **dict.fromkeys(
        (f"prototypes.{name}" for name in ("answered_share", "age_s", "age_max_s")),
        "follows from when the server was away and when it merged; only other outages show how else it is",
    ),
    **dict.fromkeys(
        (f"prototypes.{name}" for name in ("classes", "samples", "fewest")),
        "counts what stands behind the means of this run",
    ),
    **dict.fromkeys(("heads.answered", "heads.bytes_down", "heads.steps"), TOTAL),
    "heads.labels": "set by how long the run is; other seeds show how it varies",
    "heads.work_jain": "follows from who was there as rounds began; other seeds show how it varies",
    "warm_start.*": "follows from what was learned before any traffic; other seeds show how another would go",
    **dict.fromkeys(
        ("staleness.*", "rounds.*", "rounds.by_model.*.*", "federation.*"),
        "follows from when versions were made in this run",
    ),
    **dict.fromkeys(
        (
            "availability.usable_share",
            "availability.replica_share",
            "availability.outage_share",
            "availability.outages",
            "availability.targets",
            "retries.amplification_during_outages",
            "outages.normal_waiting",
            "outages.of_single_links",
            "outages.each.*.recovery_s",
            "outages.each.*.queue_recovery_s",
            "outages.each.*.service_recovery_s",
        ),
        COURSE,
    ),
    **dict.fromkeys(
        (f"outages.each.*.{name}" for name in ("target", "label", "from_s", "to_s", "after_until_s")), FACT
    ),
    "study": "means over clients before any traffic, on samples that all settings share",
}
WITHOUT |= {
    f"{part}.{name}": COURSE
    for part in (
        *(f"outages.{place}" for place in PLACES if place != "whole_run"),
        *(f"{section}.*.{which}" for section in OF_WHOM for which in ("affected", "unaffected")),
    )
    for name in WINDOW
    if name not in OWN_INTERVAL
}
WITHOUT |= {
    f"{part}.whole_run.{name}": TOTAL
    for part in ("outages", *(f"{section}.*" for section in OF_WHOM))
    for name in ("requests", "spend")
}
WITHOUT["queues.*.*"] = "as the load, the queue and the availability of all servers together, which have one"


def why_without(path: str) -> str | None:
    """Why the number at a path has no interval in a single run; None where it has one, or there is none."""
    segments = path.split(".")
    for pattern, reason in WITHOUT.items():
        parts = pattern.split(".")
        if len(parts) == len(segments) and all(p in ("*", s) for p, s in zip(parts, segments, strict=True)):
            return reason
    return None
