"""Servers that swap models in: which of them are in a replica's memory, and which go out as another comes.
Below `server`, which starts the batches, and `capacity`, which stops replicas."""

from __future__ import annotations

from math import inf
from typing import Any

from sim.engine.handlers.work import model_of
from sim.engine.linking import handler


@handler
def holder(w: Any, s: Any, replica: Any) -> Any:
    """The idle replica that a batch goes to, which the lowest one has formed: of those that have its model in
    their memory the lowest, else it stays there."""
    replicas, width = w.replicas, width_of(w, s, w.replicas.head[replica])
    for other in range(replica, s.first_replica + s.replicas - s.taken):
        if replicas.is_idle[other] and w.used_at[memory_of(s, other) + width] > -inf:
            if other != replica:
                replicas.head[other], replicas.size[other] = replicas.head[replica], replicas.size[replica]
                replicas.size[replica] = 0
            return other
    return replica


@handler
def load_model(w: Any, s: Any, now: Any, replica: Any) -> Any:
    """Seconds until a replica has the model of its batch in its memory, where it is the last used from now
    on."""
    head, memory = w.replicas.head[replica], memory_of(s, replica)
    width, takes = width_of(w, s, head), 0.0
    if w.used_at[memory + width] == -inf:
        make_room(w, s, memory, w.widths.memory_bytes[s.first_width + width])
        w.sends.loads[head] += 1
        takes = s.load_s
    w.used_at[memory + width] = now
    return takes


@handler
def make_room(w: Any, s: Any, memory: Any, needed: Any) -> Any:
    """The models least recently used go out until so many bytes are free."""
    while True:
        taken, oldest = 0.0, -1
        for width in range(s.widths):
            if w.used_at[memory + width] > -inf:
                taken += w.widths.memory_bytes[s.first_width + width]
                if oldest < 0 or w.used_at[memory + width] < w.used_at[memory + oldest]:
                    oldest = width
        if oldest < 0 or taken + needed <= s.memory_bytes:
            return
        w.used_at[memory + oldest] = -inf


@handler
def come_back(w: Any, s: Any, replica: Any) -> Any:
    """A replica is up anew: of what it had in its memory only the model of a batch that it has kept is
    there."""
    kept = width_of(w, s, w.replicas.head[replica]) if w.replicas.size[replica] > 0 else -1
    lose_memory(w, s, replica, kept)


@handler
def lose_memory(w: Any, s: Any, replica: Any, kept: Any) -> Any:
    """All goes out but one, -1: none."""
    memory = memory_of(s, replica)
    for width in range(s.widths):
        if width != kept:
            w.used_at[memory + width] = -inf


@handler
def memory_of(s: Any, replica: Any) -> Any:
    """Where a replica's part of `used_at` begins."""
    return s.first_memory + (replica - s.first_replica) * s.widths


@handler
def width_of(w: Any, s: Any, send: Any) -> Any:
    """The place of an attempt's model among those of its server."""
    model, width = model_of(w, send), 0
    while w.widths.model[s.first_width + width] != model:
        width += 1
    return width
