"""Whether those may have answered who are said to: prototypes, and heads.
Asked by `sim.results.verify` of the rows of each window."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.errors import RunFailed
from sim.world.population import CLIENT_SHIFT


def check_answerers(requests: pa.Table) -> None:
    """Raises RunFailed where one did that could not."""
    if "prototype_age_s" in requests.column_names:
        _check_prototypes(requests)
    if "head_version" in requests.column_names:
        _check_heads(requests)


def _check_prototypes(requests: pa.Table) -> None:
    """A prototype answers in place of a server alone, and was merged before it does."""
    answerer, age = requests["answered_by"].to_numpy(), requests["prototype_age_s"].to_numpy()
    outcome, label = requests["outcome"].to_numpy(), requests["prototype_label"].to_numpy()
    answers = answerer == "prototype"
    wrong = answers & (np.isin(outcome, ("local", "remote", "in_flight", "no_power")) | ~(age >= 0))
    wrong |= answers != (label >= 0)
    _refuse(requests, wrong, "was answered by a prototype that its client had not")


def _check_heads(requests: pa.Table) -> None:
    """A head answers what a server sent back and nothing else, and is never older than one that its client
    answered by before; the first is the server's own last layer."""
    label, version = requests["head_label"].to_numpy(), requests["head_version"].to_numpy()
    answers, is_remote = version >= 0, requests["outcome"].to_numpy() == "remote"
    wrong = (answers & ~is_remote) | (answers != (label >= 0))
    if "answer_label" in requests.column_names:
        wrong |= answers & (requests["answer_label"].to_numpy() != label)
        server = requests["server_label"].to_numpy()
        wrong |= (version == 0) & (label != server)
    client, at_s = requests["request_id"].to_numpy() >> CLIENT_SHIFT, requests["answered_at_s"].to_numpy()
    order = np.lexsort((version, at_s, client))
    order = order[answers[order]]
    is_older = (np.diff(client[order]) == 0) & (np.diff(version[order]) < 0)
    wrong[order[1:][is_older]] = True
    _refuse(requests, wrong, "was answered by a head that its client had not")


def _refuse(requests: pa.Table, wrong: NDArray[np.bool_], why: str) -> None:
    if np.any(wrong):
        request = requests["request_id"][int(np.argmax(wrong))].as_py()
        raise RunFailed("run", f"request {request} {why}")
