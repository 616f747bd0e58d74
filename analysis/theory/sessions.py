"""How many items a block brings where client and server agree at random, and how fast that is: speculative
decoding's law. One of the laws of this package; from the run it reads how often they agree, and the wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.run_folder.own_work import has_own_work
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic
from analysis.theory.prediction import Law, Prediction, Simulated, around, mean_of
from analysis.theory.service_laws import service_of
from analysis.theory.streams import mean_s, reply_s

LEAST_BLOCKS = 100


def predict(traffic: Traffic) -> list[Prediction] | None:
    """Of each group with sessions that asks a server."""
    run = traffic.run
    if not run.has_sessions:
        return None
    found = [
        one
        for name, group in run.groups.items()
        if group.get("session") and group["policy"]["price"]["kind"] == "always_remote"
        for one in _of_group(traffic, name, group)
    ]
    return found or None


def items_per_block(alpha: Any, draft: int) -> Any:
    """E = (1 − α^(γ+1))/(1 − α): the accepted drafts and one answer of the server, at most γ + 1 items."""
    return sum(alpha**n for n in range(draft + 1))


def _of_group(traffic: Traffic, name: str, group: dict[str, Any]) -> list[Prediction]:
    run, rule = traffic.run, group["session"]
    draft, items = int(rule["draft"]), run.items[run.items["group"] == name]
    blocks = _full_blocks(run, traffic.requests[traffic.is_of_group(name)], items, rule)
    if len(blocks) < LEAST_BLOCKS:
        return []
    same = items["client_label"] == items["server_label"]
    alpha = same[items["final_at_s"].notna()].groupby(items["client_id"]).mean()
    expected = items_per_block(alpha.reindex(blocks["client_id"]).to_numpy(dtype=float), draft)
    brought = blocks["items"].to_numpy(dtype=float)
    found = [Prediction("items a block", name, "ratio", float(expected.mean()), mean_of(brought))]
    takes_s, fresh = _block_s(run, name, group), (blocks["drafts"] == draft).to_numpy()
    if takes_s is not None and fresh.sum() >= LEAST_BLOCKS:
        waits_s = (blocks["started_at_s"] - blocks["reached_at_s"]).to_numpy()[fresh].mean()
        lasts_s = (blocks["answered_at_s"] - blocks["arrived_at_s"]).to_numpy()[fresh]
        speed_hz = float(expected[fresh].mean() / (takes_s + waits_s))
        simulated, rounding = _rate_of(brought[fresh], lasts_s), 1e-9 * speed_hz
        found.append(Prediction("items a second", name, "1/s", speed_hz, simulated, margin=rounding))
    return found


def _full_blocks(run: Run, requests: pd.DataFrame, items: pd.DataFrame, rule: dict[str, Any]) -> pd.DataFrame:
    """Blocks that a server answered at the first attempt and that the end of no session cut short, with how
    many items are final by each."""
    answered = requests[(requests["outcome"] == "remote") & (requests["attempts"] == 1)]
    place = answered["first_item"] % int(rule["items"])
    full = answered[place + int(rule["draft"]) + 1 <= int(rule["items"])]
    brought = items.groupby("request_id").size()
    columns = ["request_id", "sent_at_s", "reached_at_s", "started_at_s", "answered_at_s"]
    told = run.requests[columns].set_index("request_id")
    full = full[["request_id", "client_id", "arrived_at_s", "drafts"]].join(told, on="request_id")
    return full.assign(items=full["request_id"].map(brought))


def _block_s(run: Run, name: str, group: dict[str, Any]) -> float | None:
    """What a block takes but for its wait: drafts, the way there and back, and service alone in its batch;
    None where servers take several at once, are slowed down, or say no mean."""
    (option,) = run.options[name]
    server, link, size = run.servers[option["server"]], option["link"], int(group["session"]["draft"]) + 1
    service = service_of(server["service"])
    slow = any(one["effect"]["kind"] == "slowdown" for _, one in run.outages_asked)
    if service is None or slow or server["max_batch"] > 1 or has_own_work(run) or option.get("work", 1) != 1:
        return None
    if server.get("stages", 1) > 1 or server.get("serverless") or group.get("moves"):
        return None
    payload_s = 8 * float(link["payload_bytes"]) / float(link["bandwidth_bps"] or np.inf)
    drafts_s = (size - 1) * float(group["device"]["inference_s"])
    there_and_back_s = 2 * mean_s(link["latency"]) + size * payload_s + reply_s(link)
    return drafts_s + there_and_back_s + service.mean_s(size)


def _rate_of(items: np.ndarray[Any, Any], lasts_s: np.ndarray[Any, Any]) -> Simulated:
    """Items over seconds of blocks that are independent: the ratio of two means."""
    rate, n = float(items.sum() / lasts_s.sum()), len(items)
    off = (items - rate * lasts_s) / lasts_s.mean()
    return around(rate, float(off.var(ddof=1)) / n)


LAW = Law(
    title="What a block of drafts brings",
    formula="(1 − α^(γ+1))/(1 − α) items are final by a block of γ drafts, and so many over "
    "γ·t_d + RTT + W + t_v(γ + 1) a second; a server is asked that many times less often than for each item",
    assumes="client and server agree on each item with probability α (read from the run, client by client), "
    "whatever they say of others; blocks that a server answered at the first attempt and no end of a session "
    "cut short; the wait W is the run's; speed only where a server takes one block at a time",
    source="Leviathan, Kalman and Matias 2023, equation 1; mixture of attentions (arXiv 2410.03804)",
    fails="where whether they agree hangs together from item to item",
    predict=predict,
    knows=frozenset({"sessions", "servers", "options"}),
)
