"""What holds for all numbers of a summary: who counts, what an interval and a percentile is.
Printed above the definitions of the numbers themselves."""

from __future__ import annotations

GENERAL = {
    "counted requests": (
        "Those that arrived in [warm_up_s, horizon_s); nothing that arrived earlier counts anywhere."
    ),
    "held-out": (
        "The half of the traffic samples whose labels trained nothing; headline accuracy uses only these."
    ),
    "graded answers": (
        "Where answers have a quality between 0 and 1, it stands for being right: accuracy is mean quality, "
        "1 - quality is the loss, and a request without an answer has 0. What chance alone would show of a "
        "reliability is that of answers that are right or wrong, so it is an upper bound. Where samples have "
        "costs of their own, these stand for c_e."
    ),
    "options with a c_e of their own": (
        "A request's c_e is that of the option it asked last, of one that asked none that of its group's "
        "first."
    ),
    "known outcome": (
        "Requests in flight at the horizon are counted, but every accuracy, gain, risk and fairness, and "
        "every share of a window, is over the others alone."
    ),
    "interval": (
        "95%, by two-way clustering: the variance between clients of a group plus that between distinct base "
        "samples minus that between their pairs, with Student's t, since samples repeat; clients or samples "
        "that are asked more often than others count as fewer; for a share, Wilson's for as many trials as "
        "would give it this variance. It holds given the trained models and this one course of events; over "
        "new seeds rates move more. None with under 10 distinct samples; n counts requests, samples and "
        "clients distinct ones."
    ),
    "spread": (
        "n and mean over the requests that have a value, and the 50th, 95th and 99th percentile. p99 is none "
        "where the requests are worth fewer than 100 independent ones."
    ),
    "percentile": (
        "The shortest time in which at least that share of all the requests that arrived was answered. One "
        "that ended without an answer takes for ever; one that is open at the horizon takes longer than it "
        "has (product-limit estimate, Kaplan and Meier). None where too few were answered to tell."
    ),
    "interval in time": (
        "95%, for numbers that requests have in common with their neighbours in time: from ten stretches of "
        "the run, with the variance that a run of so many relaxation times has at least of what neighbours "
        "have in common; of a percentile, "
        "the percentiles at the bounds of the share below it. It holds for as long a time again under the "
        "same models, and for none where the run is too short for it, drifts, or has 1 to 9 outages."
    ),
    "windows of an outage": (
        "before = warm-up to the first outage, during, after = its end to the next outage or the horizon, "
        "less what another outage still touches; a request belongs to the window in which it arrived. "
        "during_any: in any outage, also one of its own client's link alone (own_links); affected: those of "
        "them that it could touch, as an outage of links is none to clients of other groups, nor one of a "
        "server to those who may not ask it."
    ),
    "several servers": (
        "load, queue, availability, outages.normal_waiting and queue_recovery_s are of all of them together: "
        "usable is any of them, what waits is the sum, and load.offered is none. Whether one is overloaded "
        "while others idle tells queues, a section of each alone."
    ),
}
