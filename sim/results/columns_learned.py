"""Columns of the tables that tell how clients and servers learned from each other, where they did.
Declared apart from `columns_by_run`, whose tables are of requests."""

from __future__ import annotations

import pyarrow as pa

from sim.results.columns import NAME

# Of runs whose servers' models begin with what clients together say: a row per model.
WARM_START = pa.schema(
    [
        ("model", NAME),
        ("clients", pa.int32()),  # that uploaded what they say
        ("samples", pa.int32()),  # without labels that the model learned from; with labels, afterwards
        ("labelled", pa.int32()),
        ("bytes_up", pa.int64()),  # of all clients, the same upload for all models
        (
            "ensemble_accuracy",
            pa.float64(),
        ),  # of the clients together, on the calibration pool, as the three last
        ("epochs", pa.int32()),  # passes over the pool; after how many the weights were taken
        ("kept", pa.int32()),
        ("kl_before", pa.float64()),  # mean KL(ensemble || model), nats, initially and as taken
        ("kl", pa.float64()),
        ("agreement", pa.float64()),  # share of samples on which both have the same largest probability
    ]
)

# Of runs in which clients learn together: a row per round and group.
FEDERATION = pa.schema(
    [
        ("round", pa.int32()),
        ("group", NAME),
        ("due_at_s", pa.float64()),
        ("merges_at_s", pa.float64()),  # when it would, whatever became of it
        ("fate", NAME),  # "merged", "lost", "own" (as the scenario has it), "unfinished"
        ("version", pa.int32()),  # the number of the merged version, 0: none
        ("trained", pa.int32()),  # clients that took part; that uploaded in time; that got what was merged
        ("uploaded", pa.int32()),
        ("received", pa.int32()),
        ("last_received_at_s", pa.float64()),
        ("bytes_up", pa.int64()),  # of what got through in time
        ("bytes_down", pa.int64()),
    ]
)
# Of runs with clients whose uploads are wrong: of those uploaded; or that drop out: of those that took part.
BROKEN, DROPPED = pa.field("broken", pa.int32()), pa.field("dropped", pa.int32())

# Of runs whose neighbours share an uplink: uploads that were there in time, and what went between neighbours.
ONE_UPLINK = (pa.field("uplinks", pa.int32()), pa.field("bytes_between", pa.int64()))

# Of runs whose devices are not equally fast: of those that took part, 0 where nobody did.
STEPS = (pa.field("least_steps", pa.int32()), pa.field("most_steps", pa.int32()))


def federation(
    has_broken: bool, has_dropout: bool, has_one_uplink: bool = False, is_unequal: bool = False
) -> pa.Schema:
    """The columns of `federation` in a run of this sort."""
    own = (*((BROKEN,) if has_broken else ()), *((DROPPED,) if has_dropout else ()))
    own = (*own, *(ONE_UPLINK if has_one_uplink else ()), *(STEPS if is_unequal else ()))
    return pa.schema([*FEDERATION, *own])


# How heads learned: a row for each round and client that took part.
HEADS = pa.schema(
    [
        ("round", pa.int32()),
        ("client_id", pa.int32()),
        ("group", NAME),
        ("phase", NAME),  # "shared", or "personal": of rounds that merge nothing
        ("labels", pa.int64()),  # samples that it has been told the labels of by then
        ("steps", pa.int32()),  # that it took: none without labels
        ("loss", pa.float64()),  # mean over the steps' batches, each before its step; NaN: no step
    ]
)

# What was merged where clients share prototypes: a row for each round, group, frozen model and class.
PROTOTYPES = pa.schema(
    [
        ("round", pa.int32()),
        ("group", NAME),
        ("variant", pa.int32()),
        ("class", pa.int16()),
        ("clients", pa.int32()),  # whose mean of this class is in it
        ("samples", pa.int64()),  # that these means are of
        ("fewest", pa.int64()),  # of one of these clients: how private it is
        ("recall", pa.float64()),  # of calibration samples of this class those that are nearest to it
    ]
)

# What neighbours handed over: a row for each round and group in which some did.
HAND_OVER = pa.schema(
    [
        ("round", pa.int32()),
        ("group", NAME),
        ("clients", pa.int32()),  # that handed over some
        ("told", pa.int64()),  # labelled samples that they had been told since they last did
        ("samples", pa.int64()),  # of these, that they handed over
        ("bytes", pa.int64()),
        ("last_came_at_s", pa.float64()),  # when the last of them did, or will have after the horizon
    ]
)
