"""Every rule of a request's life, once: what may be sent, who is let in, who is served, who gives up.
Functions of plain arrays that run under every clock; they keep nothing and know no files, models or SimPy.
A new rule is a function here; what it needs stands in `sim.engine.arrays.layout`."""

from sim.engine.handlers import (
    arriving,
    autoscaling,
    capacity,
    choosing,
    clients,
    deciding,
    device,
    door,
    energy,
    heeding,
    links,
    lookups,
    obstacles,
    primitives,
    queue,
    server,
    switching,
    walk,
    work,
)

MODULES = (
    primitives,
    lookups,
    autoscaling,
    queue,
    work,
    switching,
    server,
    capacity,
    deciding,
    door,
    energy,
    obstacles,
    choosing,
    links,
    device,
    heeding,
    clients,
    arriving,
    walk,
)
