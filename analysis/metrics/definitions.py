"""What each number of a summary means, in one sentence with its unit.
Printed by the report; a path is matched segment by segment, where * stands for any one segment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analysis.metrics import energy, loads, money, presence, sessions, transmissions
from analysis.metrics.part_definitions import OF_CLASSES, OF_PARTS, OF_ROUNDS
from analysis.run_folder.parts import OF_WHOM

ESTIMATE = {"value", "low", "high", "n", "samples", "clients"}
SPREAD = {"n", "mean", "p50", "p95", "p99"}
TIMED = {"value", "low", "high", "why"}

DEFINITIONS = {
    "valid": "Whether no rule below speaks against the run (yes/no).",
    "invalid_because": (
        "Reasons against the run: under 200 requests, under 30 distinct held-out samples, under 5 clients "
        "that asked about them, over 5% in flight at the end, an offered load over 1, a queue that still "
        "grows at the end (60 s or a quarter of the run) of the latest 20 s or more without outage, or no "
        "such time to judge it by, under 10 relaxation times, a group that sent 10 requests or more outside "
        "outages and got no answer to any, a flash crowd that begins after the horizon; with a horizon of 0, "
        "under 30 held-out samples alone (text)."
    ),
    "study": (
        "Per group and score, at the scenario's own costs: what deciding by it at its Bayes price, at the "
        "threshold that does best on the calibration pool or the one that the group's price chooses there, "
        "comes to on the held-out samples as its clients meet them, without any traffic, mean over clients; "
        "the columns are those of study.parquet (list)."
    ),
    "predictions": (
        "Per law of docs/laws.md that applies to the run: its formula, assumptions, source and limits, and "
        "as `values` the numbers it predicts, each with the simulated one and its 95% interval (null: never "
        "within the run, or no interval), the margin by which the formula itself may be off, and whether "
        "they agree (list)."
    ),
    "reliability": (
        "Per group, source of an estimate and model, on held-out samples before any traffic: the means of "
        "what was said (estimated) and of what was right, and the expected calibration error over ten bins "
        "(value) with a conservative 95% interval (low, high) and with what 95% of perfectly calibrated "
        "estimates stay below on as many samples (by_chance) (list; shares)."
    ),
    "run.name": "Name of the scenario (text).",
    "run.seed": "Seed from which every draw of the run follows (integer).",
    "run.horizon_s": "Virtual time at which the run ended (s).",
    "run.warm_up_s": "Virtual time before which requests are left out of every number here (s).",
    "run.clients": "Clients of all groups (count).",
    "run.requests_in_warm_up": "Requests left out because they arrived in the warm-up (count).",
    "run.held_out_requests": (
        "Counted requests with a known outcome that asked about held-out samples (count)."
    ),
    "run.held_out_samples": "Distinct held-out base samples among them (count).",
    "run.held_out_clients": "Clients that made them (count).",
    "run_length.verdict": (
        "OVERLOADED: more is sent outside outages than can be served; BACKLOGGED: less, but at the end more "
        "than twice as much waits as in 95% of the time outside outages, or the queue still grows, by "
        "the rule of invalid_because; STABLE: neither. Of several servers that of the worst one (text)."
    ),
    "run_length.server": "Of several servers the worst one; queues tells the verdict of each (text).",
    "run_length.relaxation_s": (
        "The time in which the server forgets its state: s/(1 - √load)² of M/M/1, scaled by how variable "
        "arrivals and service are, at least one batch and at most what a full queue takes to empty and fill; "
        "none where it never forgets; of several servers the longest (s)."
    ),
    "run_length.relaxations": (
        "The counted time over it: about as many independent looks at the server; none without bound (ratio)."
    ),
    "run_length.effective_seconds": (
        "As how many independent seconds the run tells the mean number of requests at the server, by the "
        "means of ten stretches (s)."
    ),
    "run_length.mser5_warm_up_s": (
        "Where the start ends by MSER-5, of the requests at the server second by second, from warm_up_s on; "
        "none where that is past the middle (s of virtual time)."
    ),
    "run_length.needed_s.*": (
        "Counted time that is needed for the run to be valid, and for an interval of the mean latency and of "
        "each percentile (s)."
    ),
    "counts.requests": "Counted requests (count).",
    "counts.outcome.*": "Counted requests with this outcome, as the client experienced it (count).",
    "counts.outcome_share.*": "The same over all counted requests (share).",
    "counts.server_cause.*": (
        "Counted requests whose last attempt ended with this cause, the truth at the server (count)."
    ),
    "accuracy.*.all": (
        "Right answers over all requests with a known outcome; one without answer counts as wrong (share)."
    ),
    "accuracy.*.answered": "Right answers over the requests that got an answer (share).",
    "accuracy.*.by_answerer.*": (
        "Right answers over the requests whose final answer came from this model (share)."
    ),
    "accuracy.*.client_accuracy": (
        "Requests that the client's own model gets right, had it answered all of them (share)."
    ),
    "accuracy.*.server_accuracy": (
        "Requests that the server's model gets right, had it answered all of them (share)."
    ),
    "accuracy.*.gain": ("Accuracy over all requests minus client accuracy, paired (difference of shares)."),
    "contrast.*.client": (
        "Accuracy of the client's model on the held-out requests the policy deferred, or kept local (share)."
    ),
    "contrast.*.server": (
        "Accuracy of the server's model on the held-out requests the policy deferred, or kept local (share)."
    ),
    "rates.deferral_rate": "Requests that the policy sent, over those decided (share).",
    "rates.deferral_rate_held_out": "The same on held-out samples only (share).",
    "rates.remote_answer_rate": (
        "Requests whose final answer was the server's, over all with a known outcome (share)."
    ),
    "rates.answered_if_sent": (
        "Requests whose final answer was the server's, over those the policy sent, of known outcome (share)."
    ),
    "risk.realised": (
        "Mean of c_e x charged attempts + w x 1[answer wrong or missing], with w = c_1 if the server "
        "answered, else 1; held-out requests (units of the loss)."
    ),
    "risk.oracle": (
        "Mean of min(1[client wrong], c_e + c_1 x 1[server wrong]) over the same requests (units of the "
        "loss)."
    ),
    "risk.excess": (
        "Realised minus oracle: what learning and the system together left on the table (units of the loss)."
    ),
    "risk.all_local": (
        "Mean of 1[client wrong] over the same requests: had nothing been sent (units of the loss)."
    ),
    "risk.all_remote": (
        "Mean of c_e + c_1 x 1[server wrong] over the same requests: had everything been sent, charged once "
        "and answered (units of the loss)."
    ),
    "risk.above_all_local": (
        "Realised minus all_local, request by request: above 0 the fleet paid more than had it sent nothing "
        "(units of the loss)."
    ),
    "fairness.clients": "Clients with at least 10 held-out requests; the others tell mostly chance (count).",
    "fairness.left_out": "Clients with fewer held-out requests than that, and at least one (count).",
    "fairness.jain": (
        "Jain's index (sum of a)^2 / (n x sum of a^2) of the n clients' held-out accuracies a: 1 all equal, "
        "1/n one has all (number)."
    ),
    "fairness.worst_decile_accuracy": (
        "Mean accuracy of the decile of the clients that fares worst, rounded up, as seen: few requests of "
        "each make it lower than any client's true accuracy (share)."
    ),
    "fairness.worst_decile_by_chance": (
        "What it would be on average if every client had its group's accuracy: what chance alone gives "
        "(share)."
    ),
    "fairness.worst_decile_shrunk": (
        "The same with each client's accuracy drawn towards its group's by as much as chance explains of the "
        "spread (empirical Bayes): the estimate of how the worst decile truly fares (share)."
    ),
    "latency_s.first": "Time from arrival to the first answer shown, provisional ones included (spread, s).",
    "latency_s.final": "Time from arrival to the final answer (spread, s).",
    "latency_s.by_outcome.*": (
        "Time from arrival to the final answer of requests with this outcome (spread, s)."
    ),
    "goodput.correct_in_time_hz": (
        "Right final answers by the deadline, all samples, per second of virtual time (1/s)."
    ),
    "goodput.answered_in_time_share": (
        "Requests with a final answer by the deadline, over all with a known outcome; a fallback to the "
        "client's own answer, at the very deadline too, is one (share)."
    ),
    "goodput.served_in_time_share": (
        "Requests answered by the deadline by whom the policy asked: kept ones by the client, sent ones by "
        "the server, so that no fallback counts; over all with a known outcome (share)."
    ),
    "goodput.arrivals_hz": "Counted requests per second of virtual time (1/s).",
    "load.first_sends_outside_outages_hz": (
        "First sends per second, over the seconds that no outage touches (1/s)."
    ),
    "load.offered": (
        "That rate x (base_s / max_batch + per_item_s x items of a request) / replicas: 1 is all that full "
        "batches serve; of an autoscaled server the mean replicas over the same seconds; where models come "
        "in (load_s) x what a request took of a replica (ratio)."
    ),
    "load.utilisation": (
        "Mean busy over mean usable replicas after the warm-up, counting as usable those that only end their "
        "batches; batching keeps it high at low load (share)."
    ),
    "queue.mean": "Requests waiting at the server, mean over time after the warm-up (count).",
    "queue.max": "Requests waiting at the server, maximum after the warm-up (count).",
    "work.service_s": (
        "Replica time spent on counted requests, a batch's time split equally among its members, and what "
        "outages stopped and threw away (in_flight: requeue, restart) after the warm-up, up to each stop (s)."
    ),
    "work.wasted_s": (
        "The part of it that went to attempts whose answer was not the one given; what serves requests still "
        "in flight at the horizon is not in it. All that outages stopped and put back is (s)."
    ),
    "work.wasted_share": "wasted_s over service_s (share).",
    "retries.attempts": "Sends of counted requests, first ones included (count).",
    "retries.amplification": "Sends per request that was sent at all (ratio).",
    "retries.amplification_during_outages": "The same for requests that arrived during an outage (ratio).",
    "wire.bytes_up": "Payload of all attempts that left, each of its option; not what comes back (bytes).",
    "wire.bytes_up_per_request": "bytes_up over counted requests (bytes).",
    "cost.charged_attempts": "Attempts that were charged (count).",
    "cost.total": "c_e x charged attempts (units of the loss).",
    "cost.per_request": "cost.total over counted requests (units of the loss).",
    "cost.spend": (
        "Price x charged attempts, over the groups whose budget is in money; none without such a budget "
        "(units of money)."
    ),
    "staleness.copy_mean": (
        "Versions by which the clients' copies of the server's model, or where they learn together of the "
        "merged rejector, lie behind it, mean over clients and over time after the warm-up; none where "
        "nothing is trained during the run (versions)."
    ),
    "staleness.copy_max": "The largest mean over clients in any second (versions).",
    "staleness.rejector_mean": (
        "The same of the version that a rejector has learned against; where clients learn together of all "
        "versions of rejectors, what clients trained themselves included (versions)."
    ),
    "staleness.rejector_max": "The largest mean over clients in any second (versions).",
    "rounds.made": "Rounds of training in the run that made a version, of several models each's (rounds).",
    "rounds.lost": "Rounds cut short because the last usable replica stopped (rounds).",
    "rounds.skipped": "Rounds that were due while no replica was usable (rounds).",
    "rounds.gap_mean_s": "Mean of the gaps that rounds decided on, where gaps are adaptive (s).",
    "rounds.gap_min_s": "The shortest of them (s).",
    "rounds.gap_max_s": "The longest of them (s).",
    "availability.usable_share": (
        "Share of the time after the warm-up with at least one usable replica (share)."
    ),
    "availability.replica_share": (
        "Mean usable replicas over mean replicas after the warm-up: those of the scenario, or as many as the "
        "autoscaler has (share)."
    ),
    "availability.answered_in_time_if_sent": (
        "Observed availability: requests answered by the server by their deadline, over those the policy "
        "sent, of known outcome (share)."
    ),
    "availability.outage_share": (
        "Share of the time after the warm-up that lies in an outage or a slowdown of anything shared or of "
        "the client's own link, mean over the clients (share)."
    ),
    "availability.outages": (
        "Outages and slowdowns that began before the horizon, those of single clients' links too (count)."
    ),
    "availability.targets": (
        "For each target and effect of the scenario's outages: `observed`, the share of the time after the "
        "warm-up in which none of them was on (a mean over links that fail on their own), and `expected`, "
        "mean up / (mean up + mean down) as the scenario has it, multiplied where several hit one target; "
        "none where an outage is written down, read from a trace or drawn from a file (shares)."
    ),
}

DEFINITIONS |= OF_PARTS | OF_CLASSES | OF_ROUNDS
DEFINITIONS |= energy.DEFINITIONS | loads.DEFINITIONS | money.DEFINITIONS | presence.DEFINITIONS
DEFINITIONS |= transmissions.DEFINITIONS
DEFINITIONS |= sessions.DEFINITIONS
DEFINITIONS |= {
    f"intervals.{path}": "Interval in time of this number, and `why` there is none (value, low, high, text)."
    for path in (
        "counts.outcome_share.*",
        "latency_s.*.*",
        "latency_s.by_outcome.*.*",
        "goodput.*",
        "rates.*",
        "load.*",
        "queue.*",
        "work.*",
        "retries.*",
        "wire.*",
        "cost.*",
        "energy.per_request_j",
        "energy.per_right_answer_j",
        "calls.cold_share",
        "calls.usd_per_1000_answers",
        "availability.*",
        "outages.whole_run.*",
        *(f"{section}.*.whole_run.*" for section in OF_WHOM),
    )
}


def leaves(summary: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of a summary's numbers; an estimate with its interval, a spread, or a list
    that is defined as a whole is one of them."""
    if isinstance(summary, dict) and set(summary) not in (ESTIMATE, SPREAD, TIMED):
        for name, part in summary.items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(summary, list) and summary and isinstance(summary[0], dict) and path not in DEFINITIONS:
        for index, part in enumerate(summary):
            yield from leaves(part, f"{path}.{index}")
    elif not (isinstance(summary, list) and path == "outages.each"):
        yield path


def definition_of(path: str) -> str | None:
    """The sentence that defines the number at `path`; None where it has none."""
    segments = path.split(".")
    for pattern, meaning in DEFINITIONS.items():
        parts = pattern.split(".")
        if len(parts) == len(segments) and all(p in ("*", s) for p, s in zip(parts, segments, strict=True)):
            return meaning
    return None
