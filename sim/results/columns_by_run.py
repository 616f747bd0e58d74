"""Columns that `requests` and `attempts` have in some runs alone, behind those that `columns` declares.
What is traced, graded, priced by the sample, asked of several options, or drawn and computed by devices."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from sim.results.columns import ANSWERERS, ATTEMPTS, NAME, REQUESTS, TIMELINE

# What a trace says of a request; behind the other columns of `requests`, where one plays that says it.
OF_TRACES = pa.schema(
    [
        ("trace_row", pa.int64()),  # of the file, counted from 0; −1: a request of no trace
        ("work", pa.float64()),  # NaN: the trace says none
    ]
)
# Of runs whose answers are graded: those of the client's model, of the server's, and of the answer given.
QUALITIES = (
    pa.field("client_quality", pa.float32()),
    pa.field("server_quality", pa.float32()),
    pa.field("quality", pa.float32()),
)
# Of runs whose clients have several options: the one that was asked last, -1: none, its server and its model,
# which are those of the first option where none was asked.
ASKED = (
    pa.field("option", pa.int8()),
    pa.field("server", NAME),
    pa.field("model", NAME),
)
OWN_COST = pa.field("c_e", pa.float64())  # of runs whose samples have costs of their own: of a charged send
COLD = pa.field("cold_start", pa.bool_())  # of runs with serverless servers: whether its call found none warm
LOADS = pa.field("loads", pa.int16())  # of runs with servers that swap: how often one brought in its model
# Of runs whose devices have a part in what some option asks: when they were done with it, NaN: they had none.
COMPUTED = pa.field("computed_at_s", pa.float64())
DRAWN = pa.field("energy_j", pa.float64())  # of runs that say what devices draw: for this request

# Of runs in which some group falls back to prototypes: what the nearest said where it answered, else -1, and
# how long ago it was merged, else NaN.
NEAREST = (pa.field("prototype_label", pa.int16()), pa.field("prototype_age_s", pa.float64()))

# Of runs whose clients move between cells: where the client was as it came; "": it does not move.
CELL = pa.field("cell", NAME)

# Of runs whose devices send several requests together: the request_id of the first of those that its first
# send left with, and how long it waited for that from its decision; -1 and NaN: it did not leave so.
TOGETHER = (pa.field("transmission", pa.int64()), pa.field("held_s", pa.float64()))

# What `requests` lack under `detail: lean`: what ids, `clients` and `samples` tell, and what nothing counts.
TOLD_ELSEWHERE = ("client_id", "group", "held_out", "label")
GIVEN_UP = ("threshold", "propensity", "answer_label", "server_version", "copy_version")


def requests(
    is_graded: bool,
    has_own_costs: bool,
    told: Sequence[str] = (),
    has_options: bool = False,
    is_metered: bool = False,
    has_calls: bool = False,
    computes: bool = False,
    has_prototypes: bool = False,
    has_cells: bool = False,
    swaps: bool = False,
    batches: bool = False,
) -> pa.Schema:
    """The columns of `requests` in a run of this sort, where traces say so much."""
    own = (*(QUALITIES if is_graded else ()), *((OWN_COST,) if has_own_costs else ()))
    own = (*own, *(ASKED if has_options else ()), *((DRAWN,) if is_metered else ()))
    own = (*own, *((COLD,) if has_calls else ()), *((LOADS,) if swaps else ()))
    own = (*own, *((COMPUTED,) if computes else ()), *(NEAREST if has_prototypes else ()))
    own = (*own, *((CELL,) if has_cells else ()), *(TOGETHER if batches else ()))
    return pa.schema([*REQUESTS, *own, *(OF_TRACES.field(name) for name in told)])


def answerers(has_prototypes: bool) -> tuple[str, ...]:
    """What `answered_by` may be: the codes of a run in which some group falls back to prototypes."""
    return (*ANSWERERS, "prototype") if has_prototypes else ANSWERERS


def kept(schema: pa.Schema, detail: str) -> pa.Schema:
    """Those columns of `requests` that are written under `detail`, `full` or `lean`."""
    left_out = {*TOLD_ELSEWHERE, *GIVEN_UP} if detail != "full" else set()
    return pa.schema([field for field in schema if field.name not in left_out])


def attempts(
    has_options: bool = False, has_calls: bool = False, computes: bool = False, swaps: bool = False
) -> pa.Schema:
    """The columns of `attempts`; in runs with several options whom each asked."""
    own = (*(ASKED if has_options else ()), *((COLD,) if has_calls else ()), *((LOADS,) if swaps else ()))
    return pa.schema([*ATTEMPTS, *own, *((COMPUTED,) if computes else ())])


# Of runs with several servers: those columns of the time line that are a server's own, a row per second and
# server; the time line itself has their sums.
SERVERS = pa.schema(
    [
        ("at_s", pa.float64()),
        ("server", NAME),
        *(
            TIMELINE.field(name)
            for name in (
                "waiting",
                "in_service",
                "waiting_mean",
                "waiting_max",
                "busy_replicas_mean",
                "usable_replicas_mean",
                "requeued_s",
            )
        ),
    ]
)

# Of runs with shared links: a row per second and link, counted as in the time line.
LINKS = pa.schema(
    [
        ("at_s", pa.float64()),
        ("link", NAME),
        ("payloads", pa.int32()),  # on it, waiting or passing
        ("payloads_mean", pa.float64()),
        ("busy_mean", pa.float64()),  # share of the second in which it has something to do
        ("passed_bytes", pa.int64()),  # of payloads that have passed
    ]
)

# Of runs that say what devices draw: a row per client of whose energy something is said, as at the horizon.
ENERGY = pa.schema(
    [
        ("client_id", pa.int32()),
        ("group", NAME),
        ("capacity_j", pa.float64()),  # of its battery; NaN on mains, as the two others
        ("start_j", pa.float64()),
        ("harvested_j", pa.float64()),
        ("spilled_j", pa.float64()),  # harvested by a full battery
        ("idle_j", pa.float64()),
        ("inference_j", pa.float64()),
        ("radio_j", pa.float64()),
        ("left_j", pa.float64()),
        ("empty_at_s", pa.float64()),  # when it first ran empty; NaN: never
        ("times_empty", pa.int64()),
        ("silent_s", pa.float64()),
    ]
)

# Of runs whose clients join and leave: a row per visit of a client that began before the horizon.
PRESENCE = pa.schema(
    [
        ("client_id", pa.int32()),
        ("group", NAME),
        ("from_s", pa.float64()),
        ("until_s", pa.float64()),  # may lie behind the horizon
    ]
)

# Of runs under `detail: none`: sums over counted requests that are alike in what is named first. Of graded
# answers qualities stand for being right; seconds are from arrival to that answer, of those that had one.
TOTALS = pa.schema(
    [
        ("group", NAME),
        ("outcome", NAME),
        ("server_cause", NAME),
        ("answered_by", NAME),
        ("held_out", pa.bool_()),
        ("deferred", pa.bool_()),
        ("is_decided", pa.bool_()),
        ("requests", pa.int64()),
        ("attempts", pa.int64()),
        ("sent", pa.int64()),  # requests with an attempt
        ("in_time", pa.int64()),  # by the group's deadline
        ("right", pa.float64()),
        ("right_in_time", pa.float64()),
        ("client_right", pa.float64()),
        ("server_right", pa.float64()),
        ("cost", pa.float64()),
        ("first_n", pa.int64()),
        ("first_s", pa.float64()),
        ("final_n", pa.int64()),
        ("final_s", pa.float64()),
    ]
)

# How long these requests took, in steps of less than 1%: [from_s, until_s).
LATENCIES = pa.schema(
    [
        ("group", NAME),
        ("outcome", NAME),
        ("from_s", pa.float64()),
        ("until_s", pa.float64()),
        ("first", pa.int64()),  # requests whose first, or final, answer took so long
        ("final", pa.int64()),
        ("open", pa.int64()),  # that had waited so long at the horizon, where they are in flight
    ]
)

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
BROKEN = pa.field("broken", pa.int32())  # of runs with clients whose uploads are wrong: of those uploaded


# Of runs whose neighbours share an uplink: uploads that were there in time, and what went between neighbours.
ONE_UPLINK = (pa.field("uplinks", pa.int32()), pa.field("bytes_between", pa.int64()))


# Of runs whose devices are not equally fast: of those that took part, 0 where nobody did.
STEPS = (pa.field("least_steps", pa.int32()), pa.field("most_steps", pa.int32()))


def federation(has_broken: bool, has_one_uplink: bool = False, is_unequal: bool = False) -> pa.Schema:
    """The columns of `federation` in a run of this sort."""
    own = (*((BROKEN,) if has_broken else ()), *(ONE_UPLINK if has_one_uplink else ()))
    return pa.schema([*FEDERATION, *own, *(STEPS if is_unequal else ())])


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
