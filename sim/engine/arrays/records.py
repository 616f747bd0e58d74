"""The numbers of the walk and of each server, as records that the handlers change in place.
Beside the arrays of `layout`; filled by `context` and `servers`."""

from __future__ import annotations

import numpy as np

# Numbers of the walk, one record. The counts say how far arrays are filled.
REGISTERS = np.dtype(
    [
        ("has_begun", "i8"),
        ("must_serve", "i8"),  # the server whose queue is to be served, -1: none
        ("cursor", "i8"),  # on what is known to come
        ("events", "i8"),
        ("sends", "i8"),
        ("stopped", "i8"),
        ("steps", "i8"),
        ("attempts_drawn", "i8"),
        ("put_back", "i8"),  # sends in `listed` that want another draw
        ("rows", "i8"),
        ("passed", "i8"),
        ("now", "f8"),
    ]
)

# A server, one record of each: its rules, then how it stands. Codes are those of `sim.engine.events`; -1
# stands for nobody.
STATION = np.dtype(
    [
        ("number", "i8"),
        ("max_batch", "i8"),
        ("stages", "i8"),
        ("stage_share", "f8"),  # of a batch's service time, that each stage takes
        ("stage_overhead", "f8"),
        ("batch_wait_s", "f8"),
        ("queue_limit", "f8"),
        ("discipline", "i8"),
        ("ranked_by", "i8"),  # the place of its discipline among the functions, -1: it does not rank
        ("sheds_worse", "i8"),
        ("admission", "i8"),
        ("drops_expired", "i8"),
        ("when_down", "i8"),
        ("in_flight", "i8"),
        ("queue_survives", "i8"),
        ("is_redrawn", "i8"),
        ("is_serverless", "i8"),
        ("keep_alive_s", "f8"),
        ("cold_start_s", "f8"),
        ("provisioned", "i8"),
        ("swaps", "i8"),  # whether its models take turns in the memory of its replicas
        ("load_s", "f8"),
        ("memory_bytes", "f8"),
        ("first_memory", "i8"),  # where its replicas begin in `used_at`, a place for each of its models
        ("scales", "i8"),
        ("interval_s", "f8"),
        ("target_utilisation", "f8"),  # 0: it goes by the queue
        ("target_queue", "f8"),
        ("tolerance", "f8"),
        ("cool_down_s", "f8"),
        ("first_wanted", "i8"),
        ("remembers", "i8"),  # ticks, of which it does not go below the most that was wanted
        ("changed_at", "f8"),
        ("asked", "i8"),  # of the autoscaler from outside, -1: nothing
        ("least", "i8"),
        ("most", "i8"),
        ("provisioning_s", "f8"),
        ("first_scale", "i8"),  # where its part of `scale` and `mean` begins
        ("first_replica", "i8"),
        ("room", "i8"),  # replicas that there will ever be, pipelines once for each stage
        ("first_coming", "i8"),
        ("door", "i8"),  # the account of its token bucket, -1: none
        ("first_client", "i8"),  # of what is kept per server and client
        ("switch", "i8"),  # how it chooses among its models as a batch starts, 0: it does not
        ("first_width", "i8"),  # where these begin in `widths`
        ("widths", "i8"),
        ("above", "i8"),
        ("below", "i8"),
        ("every_s", "f8"),
        ("most_load", "f8"),
        ("width", "i8"),  # the model that it is at
        ("period", "i8"),
        ("arrivals", "i8"),
        ("arrivals_before", "i8"),
        ("waiting", "i8"),
        ("returned", "i8"),  # of those that wait: put back, served first
        ("first_returned", "i8"),
        ("first", "i8"),
        ("last", "i8"),
        ("lined", "i8"),
        ("came", "i8"),
        ("inside", "i8"),
        ("busy", "i8"),  # usable replicas that work
        ("coming", "i8"),  # replicas on order
        ("held", "i8"),  # batches that stand still with their replica
        ("idle", "i8"),
        ("lowest", "i8"),  # no replica below it is idle
        ("replicas", "i8"),
        ("taken", "i8"),
        ("limit", "f8"),  # places in the queue; -1 while the server is down and nobody may wait
        ("area", "f8"),
        ("counted_to", "f8"),
        ("busy_s", "f8"),  # replica-seconds since the last tick of the autoscaler
        ("usable_s", "f8"),
        ("replica_s", "f8"),
        ("measured_at", "f8"),
    ]
)
