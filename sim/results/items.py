"""The items of sessions: which sample each is, and what client and server say of it.
Asked by the engine, which draws them ahead, and for the table `items`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engine.learning import Learning
from sim.world.parameters import Parameters
from sim.world.population import CLIENT_SHIFT


def samples_of(learning: Learning, g: int, client: NDArray[Any], item: NDArray[Any]) -> NDArray[np.int32]:
    """The sample of each item, as that of the request of its number would be, int32 (n,)."""
    name = client.astype(np.int64) << CLIENT_SHIFT | item
    return learning.traffic.samples_in(g, 0, name, client)


def labels_of(
    parameters: Parameters, learning: Learning, g: int, client: NDArray[Any], sample: NDArray[Any]
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """What each client's own model says of its sample, and what the server's says, int16 (n,) each."""
    own = learning.learned.tables.groups[g].client_label[parameters.clients.variant[client], sample]
    of_server = learning.models.server_label[0, parameters.options[g][0].model, sample]
    return own, of_server
