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

# Of runs in which some server's answers are features: what the client's head said where it answered, else -1,
# and the version of that head, else -1.
BY_HEAD = (pa.field("head_label", pa.int16()), pa.field("head_version", pa.int32()))

# Of runs whose clients move between cells: where the client was as it came; "": it does not move.
CELL = pa.field("cell", NAME)

# Of runs whose devices send several requests together: the request_id of the first of those that its first
# send left with, and how long it waited for that from its decision; -1 and NaN: it did not leave so.
TOGETHER = (pa.field("transmission", pa.int64()), pa.field("held_s", pa.float64()))

# Of runs with sessions, whose requests are blocks: the number among its client's items of the first that the
# block verifies, -1: it is no block; and how many its device drafted for it.
BLOCK = (pa.field("first_item", pa.int64()), pa.field("drafts", pa.int16()))
BLOCK_NAMES = tuple(field.name for field in BLOCK)

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
    has_sessions: bool = False,
    has_heads: bool = False,
) -> pa.Schema:
    """The columns of `requests` in a run of this sort, where traces say so much."""
    own = (*(QUALITIES if is_graded else ()), *((OWN_COST,) if has_own_costs else ()))
    own = (*own, *(ASKED if has_options else ()), *((DRAWN,) if is_metered else ()))
    own = (*own, *((COLD,) if has_calls else ()), *((LOADS,) if swaps else ()))
    own = (*own, *((COMPUTED,) if computes else ()), *(NEAREST if has_prototypes else ()))
    own = (*own, *((CELL,) if has_cells else ()), *(TOGETHER if batches else ()))
    own = (*own, *(BLOCK if has_sessions else ()))
    own = (*own, *(BY_HEAD if has_heads else ()))
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

# Of runs with sessions: a row per item that was shown, or is final, each client's from 0 on.
ITEMS = pa.schema(
    [
        ("client_id", pa.int32()),
        ("group", NAME),
        ("session", pa.int64()),
        ("item", pa.int64()),
        ("sample_id", pa.int32()),
        ("held_out", pa.bool_()),
        ("label", pa.int16()),
        ("client_label", pa.int16()),
        ("server_label", pa.int16()),
        ("begun_at_s", pa.float64()),  # when its client began to draft it, or sent it without a draft
        ("shown_at_s", pa.float64()),  # when it first had an answer
        ("final_at_s", pa.float64()),  # NaN: not before the horizon
        ("shown_label", pa.int16()),
        ("final_label", pa.int16()),  # -1: none yet
        ("drafts", pa.int32()),  # how often it was drafted, and how many of these drafts were taken back
        ("taken_back", pa.int32()),
        ("request_id", pa.int64()),  # the block by which it is final; -1: none yet
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
