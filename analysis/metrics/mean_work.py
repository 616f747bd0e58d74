"""How much longer than the server says the requests of a run take it, on average, and their items.
Below every number of load: what samples, models, options, groups and traces multiply service times by."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.run_folder.own_work import has_own_work, work_of_models
from analysis.run_folder.payloads import items_sent
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Mask, Traffic


def mean_work(traffic: Traffic, among: Mask) -> float:
    """What service times are multiplied by on average, over requests `among` (n,); 1 where there are none.

    Of several models that of the one asked last.
    """
    requests, run = traffic.requests, traffic.run
    if not has_own_work(run) or not among.any():
        return 1.0
    found = np.ones(np.count_nonzero(among))
    if run.has_work_of_samples:
        of_sample = run.work.set_index("sample_id")["work"]
        found *= of_sample.loc[requests["sample_id"].to_numpy()[among]].to_numpy(dtype=float)
    name, of_model = requests["group"].to_numpy()[among], work_of_models(run)
    for group in run.scenario["fleet"]:
        mine, one_work = name == group["group"], group["arrivals"]["process"].get("work_of_one")
        found[mine] *= group.get("service_factor", 1.0)
        if one_work is not None:
            found[mine] *= requests["work"].to_numpy(dtype=float)[among][mine] / one_work
        options = run.options[group["group"]]
        of_option = np.array([one["work"] for one in options])
        if run.has_options:
            asked = np.maximum(requests["option"].to_numpy()[among][mine], 0)
            found[mine] *= of_option[asked]
            continue
        found[mine] *= of_option[0]
        if of_model:
            found[mine] *= of_model[options[0]["model"]]
    if of_model and run.has_options:
        found *= requests["model"].map(of_model).to_numpy(dtype=float)[among]
    return float(found.mean())


def mean_items(run: Run, requests: pd.DataFrame, among: Mask) -> float:
    """How many items a server answers of each request `among` some (n,), on average: 1 of whatever is no
    block."""
    if not run.has_sessions or not among.any():
        return 1.0
    group = requests["group"].map({name: place for place, name in enumerate(run.groups)}).to_numpy(dtype=int)
    first = requests["first_item"].to_numpy()[among]
    return float(items_sent(run, {"first_item": first}, group[among]).mean())
