"""Each client's own accuracy, with the fleet's help and by its own model: what fairness is counted from and
drawn with. A client that asked about few held-out samples says little about itself, and is left out."""

from __future__ import annotations

import pandas as pd

from analysis.run_folder.traffic import Traffic

LEAST_REQUESTS = 10  # of a client: with fewer, its accuracy is mostly chance (a standard error above 0.1)


def accuracy_by_client(traffic: Traffic) -> pd.DataFrame:
    """Per client with `LEAST_REQUESTS` held-out requests, by `fleet`: group, fleet, client (shares)."""
    rows = traffic.requests[traffic.held_out].groupby("client_id")
    table = rows[["correct", "client_right"]].mean()
    table.columns = pd.Index(["fleet", "client"])
    table["group"] = rows["group"].first().astype("str")
    return table[rows.size() >= LEAST_REQUESTS].sort_values(["fleet", "client"], kind="stable")
