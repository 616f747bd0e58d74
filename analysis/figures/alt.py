"""What each figure shows, in one sentence with the numbers, for who cannot see it.
Beside the figures: the report puts these sentences where the pictures are."""

from __future__ import annotations

from typing import Any

from analysis.figures.deferral import as_the_curves, paid_as_the_curves, ran_as_the_curves
from analysis.figures.online import drifts
from analysis.figures.style import score_name
from analysis.metrics.by_client import LEAST_REQUESTS
from analysis.reports.formatting import number, outcome_shares, percent, taken
from analysis.run_folder.traffic import Traffic
from analysis.time_in_words import span

Summary = dict[str, Any]


def timeline(traffic: Traffic, summary: Summary) -> str:
    windows, queue = summary["outages"], summary["queue"]
    if windows["each"]:
        where = f" outside outages and {_accuracy(windows['during_any'])} in them"
        usual, weak = windows["outside"], windows["during_any"]
    else:
        where, usual, weak = "", windows["whole_run"], windows["whole_run"]
    own = percent(weak["client_accuracy"]["value"])
    return (
        f"Over {span(traffic.run.horizon_s)} the fleet's accuracy is {_accuracy(usual)}{where}, where "
        f"the clients' own models would get {own}; {number(queue['mean'], 1)} requests wait on average, "
        f"{number(queue['max'], 0)} at most, and {len(windows['each'])} outages are shaded."
    )


def reliability(_traffic: Traffic, summary: Summary) -> str:
    words = {"client": "its own model", "server": "the server"}
    parts = [
        f"{row['group']}, {score_name(row['source'])} of {words[row['model']]}: says "
        f"{percent(row['estimated'])}, right {percent(row['right'])}, calibration error "
        f"{percent(row['value'])} (chance alone: up to {percent(row['by_chance'])})"
        for row in summary["reliability"]
    ]
    return "How often models are right by how likely they are said to be: " + "; ".join(parts) + "."


def _accuracy(window: Summary) -> str:
    return percent(window["accuracy"]["value"])


def outcomes(_traffic: Traffic, summary: Summary) -> str:
    return f"Stacked shares of the outcomes over virtual time; over the whole run {outcome_shares(summary)}."


def latency(_traffic: Traffic, summary: Summary) -> str:
    p50, p95, p99 = (taken(summary, "final", name) for name in ("p50", "p95", "p99"))
    return f"The median latency was {p50}, the 95th percentile {p95} and the 99th {p99}."


def deferral(traffic: Traffic, _summary: Summary) -> str:
    point, (_, when) = ran_as_the_curves(traffic), as_the_curves(traffic)
    table = traffic.run.deferral
    ends = table[table["group"] == "all"].sort_values("deferral_rate")["accuracy"]
    text = f"Accuracy against deferral rate for each score, {when}"
    if len(ends):
        text += f", from {percent(ends.iloc[0])} with nothing sent to {percent(ends.iloc[-1])} with all sent"
    if point is None:
        return text + "."
    rate, promised, got = point
    return (
        f"{text}; this run sent {percent(rate)} and got {percent(got['value'])}, against {percent(promised)} "
        "had every request sent been answered."
    )


def risk(traffic: Traffic, _summary: Summary) -> str:
    table = traffic.run.deferral
    table = table[table["group"] == "all"]
    least = table.groupby("score")["risk"].min()
    _, when = as_the_curves(traffic)
    text = f"Generalised risk against deferral rate, {when}; least " + ", ".join(
        f"{score} {number(value, 3)}" for score, value in least.items()
    )
    rate, paid = paid_as_the_curves(traffic)
    if rate is None or paid["value"] is None:
        return text + "."
    return f"{text}; this run sent {percent(rate)} and paid {number(paid['value'], 3)}."


def deferring(_traffic: Traffic, summary: Summary) -> str:
    retries, paid = summary["retries"], summary["risk"]
    return (
        f"Over virtual time {percent(summary['rates']['deferral_rate']['value'])} of the requests are sent, "
        f"each {number(retries['amplification'])} times on average and "
        f"{number(retries['amplification_during_outages'])} times in outages, at a mean risk of "
        f"{number(paid['realised']['value'], 3)} against the oracle's {number(paid['oracle']['value'], 3)}."
    )


def contrast(_traffic: Traffic, summary: Summary) -> str:
    sent, kept = summary["contrast"]["deferred"], summary["contrast"]["local"]
    shares = [percent(side[model]["value"]) for side in (sent, kept) for model in ("client", "server")]
    return (
        f"On what was sent the clients' models are right in {shares[0]} and the server's in {shares[1]}, "
        f"on what was kept in {shares[2]} and {shares[3]}."
    )


def fairness(_traffic: Traffic, summary: Summary) -> str:
    fairness = summary["fairness"]
    if not fairness["clients"]:
        return f"No client has {LEAST_REQUESTS} requests on held-out samples, so none is drawn."
    return (
        f"Accuracy of {fairness['clients']} clients as a distribution for each group, the worst decile at "
        f"{percent(fairness['worst_decile_accuracy'])} on average, with a Jain index of "
        f"{number(fairness['jain'], 3)}."
    )


def learning(traffic: Traffic, _summary: Summary) -> str:
    table = traffic.run.learning
    table = table[table["at_s"].isna()].sort_values("step")
    falls = []
    for stage, name in {"client": "client models", "server": "server model", "rejector": "rejectors"}.items():
        rows = table[table["stage"] == stage]
        for group in rows["group"].unique():
            loss = rows.loc[rows["group"] == group, "loss"].to_numpy(dtype=float)
            if loss.size:
                whose = f"{name} of {group}" if group else name
                falls.append(f"{whose} from {loss[0]:.2f} to {loss[-1]:.2f}")
    return "Mean training loss over the steps: " + ("; ".join(falls) or "none recorded") + "."


def online(traffic: Traffic, summary: Summary) -> str:
    rounds, behind = summary["rounds"], summary["staleness"]
    drifted = ", ".join(span(at_s, traffic.run.horizon_s) for at_s in drifts(traffic.run)) or "none"
    of_each = rounds.get("by_model") or {"the server's model": rounds}
    courses = "; ".join(
        f"{name} goes through {one['made']} versions, with {one['lost']} rounds lost and {one['skipped']} "
        "skipped"
        for name, one in of_each.items()
    )
    return (
        f"Over virtual time {courses} (drifts: {drifted}); copies lie "
        f"{number(behind['copy_mean'])} versions behind on average and {number(behind['copy_max'])} at most, "
        f"rejectors {number(behind['rejector_mean'])} and {number(behind['rejector_max'])}."
    )


def together(_traffic: Traffic, summary: Summary) -> str:
    rounds, behind = summary["federation"], summary["staleness"]
    return (
        f"Of the rounds of learning together {rounds['merged']} were merged, {rounds['lost']} lost; "
        f"clients lie {number(behind['copy_mean'])} versions behind the newest merged on average, "
        f"{number(behind['copy_max'])} at most. The risk over time stands above, a line per group."
    )
