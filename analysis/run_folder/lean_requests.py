"""The requests of a run as few, narrow columns, about 60 bytes each: what metrics and figures count.
Between the run folder and `analysis.run_folder.traffic`; of its parts few are read at a time, so that wide
rows never pile up."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from analysis.metrics.replica_time import replica_seconds
from analysis.run_folder.calls import calls_of
from analysis.run_folder.charges import charged_attempts, price_of
from analysis.run_folder.files import part_paths, refuse_gaps
from analysis.run_folder.filled import Filled
from analysis.run_folder.kept_rows import read_requests
from analysis.run_folder.own_work import has_work_of_traces
from analysis.run_folder.payloads import bytes_up, items_sent, narrowest
from analysis.run_folder.run import Run
from analysis.run_folder.several_attempts import SERVED, add_several, told_by_own_row
from analysis.run_folder.whom import codes_of, names_of_models, server_asked
from analysis.side_by_side import in_order, side_by_side
from analysis.statistics.cells import narrow
from analysis.statistics.clusters import Clusters
from analysis.statistics.pieces import pieces
from analysis.statistics.room import taken
from analysis.statistics.scattered import Scattered, estimated
from sim.errors import BadInput
from sim.results import columns, columns_by_run
from sim.sorting import by_time

Array = NDArray[Any]

NEEDED = (
    "request_id",
    "client_id",
    "group",
    "sample_id",
    "held_out",
    "label",
    "arrived_at_s",
    "decided_at_s",
    "score",
    "deferred",
    "attempts",
    "sent_at_s",
    "reached_at_s",
    "started_at_s",
    "finished_at_s",
    "first_answer_at_s",
    "answered_at_s",
    "replica",
    "batch_size",
    "outcome",
    "server_cause",
    "answered_by",
    "client_label",
    "server_label",
    "correct",
    "cost",
)
AGE = columns_by_run.NEAREST[1].name
WHOM = "arrived_at_s", "client_id", "base_id", "group"


def read_lean(run: Run, skipped: list[str] | None = None) -> tuple[pd.DataFrame, Clusters | Scattered]:
    """Every request, in order of arrival, then of request_id; and who asked about what after the warm-up.

    As in the tables: request_id, client_id, sample_id, group, held_out, label, arrived_at_s, score, deferred,
    attempts, outcome, server_cause, answered_by, correct. Made here: base_id; is_decided; first_s and final_s
    (seconds from arrival to that answer, single precision, NaN: none); in_time (by the group's deadline,
    exactly at it included); client_right, server_right, server_known (its answer to this sample is on
    record); charged (attempts); of graded answers correct and both right are qualities in [0, 1]; service_s
    (replica time of all attempts, each its equal share of its batch's) and wasted_s (the part of it whose
    answer was not the one given, and that is known), bytes_up (payload of all attempts that left). Where
    samples or options have costs of their own, c_e
    (of a charged send to the option asked last, else to the first) and, where the attempts of a request may
    differ in it, paid (for all of them). Where servers are serverless, calls, cold_calls and what calls
    cost, calls_usd. Where some fall back to prototypes prototype_age_s, single precision. Of several servers
    first_server (the place of the one that was asked first).

    Raises BadInput where parts are missing, damaged or do not belong together. With a list `skipped`, parts
    that cannot be read are named there and left out, no gap is looked for, and replica time is that of
    requests with one attempt alone.
    """
    names = _categories(run)
    several: list[pd.DataFrame] = []
    arrivals = int(run.columns_of("timeline")["arrivals"].sum()) if skipped is None else 0
    filled = Filled(arrivals)
    is_needed = run.horizon_s > 0 and skipped is None and run.keeps_rows
    schema, needed = _schema(run), _needed(run)

    def read(path: Path) -> tuple[dict[str, Array], pd.DataFrame]:
        return _narrow(run, read_requests(run, path, schema, needed), names)

    with side_by_side(arrivals) as work:
        for part in in_order(work, read, part_paths(run.path, "requests", needed=is_needed)):
            try:
                narrow, again = part.result()
            except BadInput as error:
                if skipped is None:
                    raise
                skipped.append(str(error))
                continue
            filled.add(narrow)
            several.append(again)
        if not filled.rows:
            narrow, again = _narrow(run, schema.empty_table().select(needed), names)
            filled.add(narrow)
            several.append(again)
        found = filled.columns()
        del filled
        pa.default_memory_pool().release_unused()
        at_s = found["arrived_at_s"]
        parts = [work.submit(_piece_in_order, at_s, piece) for piece in pieces(at_s.size)]
        order = work.submit(_in_order, parts, at_s, found["request_id"])
        if skipped is None and run.keeps_rows:
            refuse_gaps(run.path / "requests", found["request_id"], arrivals)
            add_several(run, found, several)

        def sort(name: str) -> Array:
            return taken(found.pop(name), order.result())

        # Column by column: a sort of them all at once would hold them twice.
        listed = list(found)
        columns_to_come = {name: work.submit(sort, name) for name in WHOM}
        whom = work.submit(_whom, run.warm_up_s, [columns_to_come[name] for name in WHOM])
        columns_to_come |= {name: work.submit(sort, name) for name in listed if name not in WHOM}
        sorted_columns: dict[str, Any] = {name: columns_to_come[name].result() for name in listed}
    for name, known in names.items():
        sorted_columns[name] = pd.Categorical.from_codes(sorted_columns[name], pd.Index(list(known)))
    return pd.DataFrame(sorted_columns, copy=False), whom.result()


def _whom(warm_up_s: float, columns_to_come: list[Future[Array]]) -> Clusters | Scattered:
    """Of the requests that arrived after the warm-up, from the columns WHOM in order."""
    arrived_at_s, *asked = (column.result() for column in columns_to_come)
    first = int(np.searchsorted(arrived_at_s, warm_up_s))
    return estimated(*(column[first:] for column in asked))


def _piece_in_order(arrived_at_s: Array, piece: slice) -> NDArray[np.intp]:
    """The places of some requests by arrival."""
    return np.asarray(by_time(arrived_at_s[piece]) + piece.start)


def _in_order(
    pieces_in_order: list[Future[NDArray[np.intp]]], arrived_at_s: Array, request_id: Array
) -> NDArray[np.int32]:
    """The places of the requests (n,) by arrival, then by id. Few arrive at one instant, so that one key does
    nearly all of it; and what comes of pieces is nearly in order, as those come one after the other."""
    order = np.concatenate([piece.result() for piece in pieces_in_order])
    pieces_in_order.clear()  # a whole column of places
    order = order[np.argsort(arrived_at_s[order], kind="stable")]
    kept = arrived_at_s[order]
    is_same = kept[1:] == kept[:-1]
    if is_same.any():
        tied = np.append(is_same, False)
        tied[1:] |= is_same
        rows = order[tied]
        order[tied] = rows[np.lexsort((request_id[rows], arrived_at_s[rows]))]
    return narrow(order, np.iinfo(np.int32).max)


def _schema(run: Run) -> pa.Schema:
    told = ("work",) if has_work_of_traces(run) else ()
    return run.columns_of_requests(run.has_options, told)


def _needed(run: Run) -> list[str]:
    return [*NEEDED, *_schema(run).names[len(columns.REQUESTS) :]]


def _categories(run: Run) -> dict[str, tuple[str, ...]]:
    return {
        "group": tuple(run.groups),
        "outcome": columns.OUTCOMES,
        "server_cause": columns.CAUSES,
        "answered_by": run.answerers,
        **({"server": tuple(run.servers), "model": names_of_models(run)} if run.has_options else {}),
        **({columns_by_run.CELL.name: run.cells} if run.has_cells else {}),
    }


def _narrow(
    run: Run,
    table: pa.Table,
    names: dict[str, tuple[str, ...]],
) -> tuple[dict[str, Array], pd.DataFrame]:
    """One part's columns; and of its requests with several attempts what their attempts are read by."""
    codes = {name: codes_of(run, table, name, values) for name, values in names.items()}
    rows = {name: table[name].to_numpy() for name in _needed(run) if name not in names}
    base_id = run.columns_of("samples")["base_id"][run.places_of_samples(rows["sample_id"])]
    deadline_s = np.array([_deadline_s(group) for group in run.groups.values()])[codes["group"]]
    is_remote = codes["outcome"] == columns.OUTCOMES.index("remote")
    is_open = codes["outcome"] == columns.OUTCOMES.index("in_flight")
    asked = {"server": server_asked(run, table)} if len(run.servers) > 1 else {}
    service_s = replica_seconds(run, {name: rows[name] for name in SERVED} | asked)
    items = items_sent(run, rows, codes["group"])
    sent = bytes_up(run, rows, codes["group"], codes["server_cause"]) * rows["attempts"] * items
    once = rows["attempts"] == 1
    again = rows["attempts"] > 1
    told = {name: rows[name] for name in ("request_id", "attempts", *told_by_own_row(run))}
    told |= {"group": codes["group"], "is_remote": is_remote, "is_open": is_open, "items": items}
    columns_of_part = {
        **{name: rows[name] for name in ("request_id", "client_id", "sample_id", "held_out", "arrived_at_s")},
        **{name: rows[name] for name in ("label", "score", "deferred", "attempts")},
        **{name: values.astype(_kind_of(names[name])) for name, values in codes.items()},
        **({"option": rows["option"]} if run.has_options else {}),
        **({"first_server": asked["server"]} if "server" in asked else {}),
        **_prices(run, rows, codes["group"]),
        "base_id": base_id.astype(np.int32, copy=False),
        "is_decided": ~np.isnan(rows["decided_at_s"]),
        "first_s": (rows["first_answer_at_s"] - rows["arrived_at_s"]).astype(np.float32),
        "final_s": (rows["answered_at_s"] - rows["arrived_at_s"]).astype(np.float32),
        "in_time": rows["answered_at_s"] <= rows["arrived_at_s"] + deadline_s,
        **_right(run, rows),
        **({"work": rows["work"]} if has_work_of_traces(run) else {}),
        **({columns_by_run.DRAWN.name: rows[columns_by_run.DRAWN.name]} if run.is_metered else {}),
        **({field.name: rows[field.name] for field in columns_by_run.TOGETHER} if run.batches else {}),
        **({name: rows[name] for name in columns_by_run.BLOCK_NAMES} if run.has_sessions else {}),
        **({AGE: rows[AGE].astype(np.float32)} if run.has_prototypes else {}),
        "charged": charged_attempts(run, rows | asked, codes["server_cause"], is_remote),
        **{
            name: np.where(once, values, 0) for name, values in calls_of(run, rows | asked, service_s).items()
        },
        "bytes_up": sent.astype(narrowest(run)),
        "service_s": np.where(once, service_s, 0.0).astype(np.float32),
        "wasted_s": np.where(once & ~is_remote & ~is_open, service_s, 0.0).astype(np.float32),
    }
    return columns_of_part, pd.DataFrame(told)[again]


def _prices(run: Run, rows: dict[str, Array], group: NDArray[np.int16]) -> dict[str, Array]:
    """What a charged send costs and what was paid, where these are not the same for all."""
    option = rows["option"] if run.has_options else np.zeros(len(group), np.int8)
    if run.has_own_costs:
        c_e = {columns_by_run.OWN_COST.name: rows[columns_by_run.OWN_COST.name]}
        return c_e | ({"paid": rows["cost"]} if run.has_options else {})
    return {"c_e": price_of(run, group, option), "paid": rows["cost"]} if run.has_several_prices else {}


def _right(run: Run, rows: dict[str, Array]) -> dict[str, Array]:
    """Which answers are right, or how good: of the one given, of both models; and whether the server's is
    known."""
    if not run.is_graded:
        return {
            "correct": rows["correct"],
            "client_right": rows["client_label"] == rows["label"],
            "server_right": rows["server_label"] == rows["label"],
            "server_known": rows["server_label"] >= 0,
        }
    client, server, given = (rows[field.name].astype(np.float64) for field in columns_by_run.QUALITIES)
    return {
        "correct": np.nan_to_num(given),
        "client_right": np.nan_to_num(client),
        "server_right": np.nan_to_num(server),
        "server_known": ~np.isnan(server),
    }


def _kind_of(names: tuple[str, ...]) -> type[np.signedinteger[Any]]:
    """As narrow as pandas keeps the codes of so many names; else it would copy them."""
    return np.int8 if len(names) < np.iinfo(np.int8).max else np.int16


def _deadline_s(group: dict[str, Any]) -> float:
    return np.inf if group["deadline_s"] is None else float(group["deadline_s"])
