"""The columns of a run folder's tables, declared once: names, types, and the codes behind the dictionaries.
Filled by `sim.results.table`, `sim.results.timeline`, `sim.simulation` and `sim.results.learned_files`; read
by `analysis`."""

from __future__ import annotations

import pyarrow as pa

from sim import __version__
from sim.world.population import CLIENT_SHIFT as CLIENT_SHIFT  # noqa: PLC0414  (of request_id, for who reads it)

OWN_KEY, VERSION = "l2h-fleet", __version__  # who wrote a folder, as its versions.json says

OUTCOMES = (
    "local",
    "remote",
    "over_budget",
    "link_down",
    "breaker_open",
    "refused",
    "timed_out",
    "in_flight",
    "no_power",
)
CAUSES = ("none", "down", "queue_full", "admission", "expired", "lost", "cancelled")
ANSWERERS = ("client", "server", "none")

NAME = pa.dictionary(pa.int16(), pa.string())

REQUESTS = pa.schema(
    [
        ("request_id", pa.int64()),
        ("client_id", pa.int32()),
        ("group", NAME),
        ("sample_id", pa.int32()),
        ("held_out", pa.bool_()),
        ("label", pa.int16()),
        ("server_version_at_decision", pa.int32()),
        ("arrived_at_s", pa.float64()),
        ("decided_at_s", pa.float64()),
        ("score", pa.float32()),
        ("threshold", pa.float64()),
        ("propensity", pa.float32()),
        ("deferred", pa.bool_()),
        ("attempts", pa.int8()),
        ("sent_at_s", pa.float64()),
        ("reached_at_s", pa.float64()),
        ("started_at_s", pa.float64()),
        ("finished_at_s", pa.float64()),
        ("first_answer_at_s", pa.float64()),
        ("answered_at_s", pa.float64()),
        ("replica", pa.int16()),
        ("batch_size", pa.int16()),
        ("outcome", NAME),
        ("server_cause", NAME),
        ("answered_by", NAME),
        ("client_label", pa.int16()),
        ("server_label", pa.int16()),
        ("answer_label", pa.int16()),
        ("correct", pa.bool_()),
        ("cost", pa.float32()),
        ("server_version", pa.int32()),
        ("copy_version", pa.int32()),
        ("rejector_version", pa.int32()),
    ]
)

ATTEMPTS = pa.schema(
    [
        ("request_id", pa.int64()),
        ("attempt", pa.int8()),
        ("sent_at_s", pa.float64()),
        ("reached_at_s", pa.float64()),
        ("started_at_s", pa.float64()),
        ("finished_at_s", pa.float64()),
        ("replica", pa.int16()),
        ("batch_size", pa.int16()),
        ("server_cause", NAME),
        ("charged", pa.bool_()),
    ]
)


# One row a second of virtual time. Counts are the state just before `at_s`; the rest covers [at_s, at_s + 1).
TIMELINE = pa.schema(
    [
        ("at_s", pa.float64()),
        ("waiting", pa.int32()),
        ("in_service", pa.int32()),
        ("waiting_mean", pa.float64()),
        ("waiting_max", pa.int32()),
        ("busy_replicas_mean", pa.float64()),
        ("usable_replicas_mean", pa.float64()),
        ("requeued_s", pa.float64()),  # replica-seconds of batches that were stopped and put back
        ("arrivals", pa.int32()),
        ("first_sends", pa.int32()),
        ("retries", pa.int32()),
        ("server_version", pa.int32()),  # just before `at_s`, as the two below
        ("copy_staleness", pa.float64()),  # versions behind the server, mean over clients that follow it
        ("rejector_staleness", pa.float64()),
    ]
)

# What happened to the system: kind is "outage_start", "outage_end", "slowdown_start", "slowdown_end",
# "usable_replicas", "model_in_force", "round_start", "round_lost", "round_skipped", "round_gap",
# "first_copy", "last_copy", "first_rejector", "last_rejector", "rejectors_merged", "prototypes_merged",
# "heads_merged", "heads_personal", "merge_lost", "round_due", "cluster_left_out", "hand_over".
EVENTS = pa.schema(
    [
        ("at_s", pa.float64()),
        ("kind", NAME),
        # "server", "replicas:1", "links:cameras", ...; a group; "model", of several that learn
        # "model:NAME"; "rejectors", "prototypes", "heads"; "neighbours"
        ("target", NAME),
        # usable replicas from now on; the version; the round; its gap; the factor; NaN
        ("value", pa.float64()),
    ]
)

# Every period [from_s, until_s) of every outage, written or drawn.
OUTAGES = pa.schema(
    [
        ("target", NAME),  # as in the events
        ("effect", NAME),  # "down" or "slowdown"
        ("factor", pa.float64()),  # of service or transfer times; 1 where the target is down
        ("client_id", pa.int32()),  # whose link; -1: all that the outage hits
        ("from_s", pa.float64()),
        ("until_s", pa.float64()),
        ("outage", pa.int32()),  # its place in the scenario's list
    ]
)

# Learning curves, one row per stage, owner and recorded step.
LEARNING = pa.schema(
    [
        ("stage", NAME),  # "client", "server", "rejector"
        ("group", NAME),  # "" for the server, of several models their names
        ("step", pa.int32()),
        ("at_s", pa.float64()),  # virtual time; NaN before the run
        ("loss", pa.float64()),  # mean training loss over the members of the group
        ("accuracy", pa.float64()),  # on the pool the stage trains on; NaN for rejectors
        ("staleness", pa.float64()),  # server steps that rejectors' copies of it were behind; else NaN
    ]
)

# How a rejector, or an untrained score, was set: the columns that the tables of a study begin with.
_SETTING = [
    ("group", NAME),
    ("score", NAME),
    ("form", NAME),  # "" where the loss has no form
    ("c_e", pa.float64()),
    ("c_1", pa.float64()),
    ("sync_every", NAME),  # "1", "100", "1000" or "epoch"; "" for a score that is not trained
]

# What deciding by a score at a price comes to on the held-out traffic samples, means over the clients.
STUDY = pa.schema(
    [
        *_SETTING,
        ("price", pa.float64()),
        # "bayes"; "calibration": the threshold of least risk on that pool; else the price that chooses it
        ("price_from", NAME),
        ("deferral_rate", pa.float64()),
        ("accuracy", pa.float64()),
        ("risk", pa.float64()),  # generalised 0-1 loss
        ("risk_all_local", pa.float64()),
        ("risk_all_remote", pa.float64()),
        ("risk_oracle", pa.float64()),  # of a policy that knows both answers
        ("excess_over_oracle", pa.float64()),
        ("above_constant", pa.float64()),  # risk less that of the better constant decision, 95% interval
        ("above_constant_low", pa.float64()),
        ("above_constant_high", pa.float64()),
        ("samples_local", pa.float64()),  # held-out samples on each side, of the average client
        ("samples_remote", pa.float64()),
        ("client_accuracy_local", pa.float64()),  # m and e on the LOCAL and on the REMOTE side; NaN if empty
        ("server_accuracy_local", pa.float64()),
        ("server_gain_local", pa.float64()),  # e's accuracy less m's
        ("client_accuracy_remote", pa.float64()),
        ("server_accuracy_remote", pa.float64()),
        ("server_gain_remote", pa.float64()),
        ("final_loss", pa.float64()),  # mean training loss of the last epoch; NaN if not trained
    ]
)

STUDY_CURVES = pa.schema(
    [
        *_SETTING,
        ("deferral_rate", pa.float64()),
        ("accuracy", pa.float64()),
        ("risk", pa.float64()),
    ]
)

# The paper's coin that holds a setting to a deferral rate, in expectation, and sending at random beside it.
STUDY_BOUNDED = pa.schema(
    [
        *_SETTING,
        ("bound", pa.float64()),  # the deferral rate asked for
        ("deferral_rate", pa.float64()),  # the one that comes out, on the held-out samples
        ("accuracy", pa.float64()),
        ("risk", pa.float64()),
        ("accuracy_random", pa.float64()),  # of sending at random, at the rate asked for
        ("risk_random", pa.float64()),
    ]
)

STUDY_LOSSES = pa.schema(
    [
        *_SETTING,
        ("step", pa.int32()),
        ("loss", pa.float64()),
        ("staleness", pa.float64()),
    ]
)

CLIENTS = pa.schema(
    [
        ("client_id", pa.int32()),
        ("group", NAME),
        ("variant", pa.int32()),
        ("block", pa.int32()),
        ("hash_before", pa.string()),  # of the frozen model's weights, hexadecimal
        ("hash_after", pa.string()),
        ("held_out_accuracy", pa.float64()),  # of the frozen model over the client's traffic, held-out half
        (
            "server_held_out_accuracy",
            pa.float64(),
        ),  # of the server's model, of several the first option's, over the same
        ("outages", NAME),  # those that hit its link, by their places in the scenario's list: "0 2"
    ]
)

SAMPLES = pa.schema(
    [
        ("sample_id", pa.int32()),  # view · (size of the data set) + index in the data set
        ("base_id", pa.int32()),  # index in the data set
        ("view", pa.int32()),  # 0 is the sample as it is; else the corrupted view of a group
        ("label", pa.int16()),
        ("pool", NAME),
        ("held_out", pa.bool_()),
    ]
)
WORK = pa.field("work", pa.float64())  # of samples: what the service time is multiplied by, where it is given

# What the frozen models were trained on: a row per group, variant and class of the data set.
PARTITIONS = pa.schema(
    [
        ("group", NAME),
        ("variant", pa.int32()),
        ("class", pa.int16()),
        ("samples", pa.int32()),  # of this class among those that the model was trained on
        ("pool_samples", pa.int32()),  # of this class in the client pool
        ("traffic_samples", pa.int32()),  # of this class among those that the group's requests are drawn from
    ]
)

# How likely models are said to be right, and whether they are, by held-out sample and tenth of the estimate.
RELIABILITY = pa.schema(
    [
        ("group", NAME),
        ("source", NAME),  # "softmax", the model's own; or a score whose rejectors estimate it
        ("model", NAME),  # "client" or "server": whose being right is estimated
        ("sample_id", pa.int32()),
        ("weight", pa.float64()),  # share of the group's clients whose estimate lies in this tenth
        ("estimated", pa.float64()),  # their mean estimate of P(right)
        ("right", pa.float64()),  # the share of them for which the model is right
    ]
)

# Accuracy against deferral rate on the held-out traffic samples, per score, from the tables alone.
DEFERRAL = pa.schema(
    [
        ("score", NAME),
        ("group", NAME),  # a group's name, or "all" (groups weighted by their requests per second)
        ("deferral_rate", pa.float64()),
        ("accuracy", pa.float64()),
        ("risk", pa.float64()),  # generalised 0-1 loss
    ]
)
