"""The summary of a run in plain sentences, a paragraph per item.
Between the numbers of `summary.json` and the report."""

from __future__ import annotations

from typing import Any

from analysis.reports.formatting import (
    NOTHING,
    Summary,
    data_size,
    load_of,
    number,
    percent,
    recovery,
    taken,
)
from analysis.reports.learning_alone import learning_alone
from analysis.time_in_words import between, span

CLEARLY = 0.1  # of the time, by which replicas are busier than full batches would have them


def sentences(summary: Summary) -> list[str]:
    """What happened, in plain words with the numbers in them; a paragraph per item."""
    if not summary["counts"]["requests"]:
        return learning_alone(summary) or [
            "No request arrived after the warm-up, so there is nothing to sum up."
        ]
    parts = [_answers(summary), _deferral(summary), _service(summary)]
    parts += [_outage(summary, outage) for outage in summary["outages"]["each"][:5]]
    parts += [*_single_links(summary), *_training(summary), *_together(summary)]
    parts += [*_prototypes(summary), *_heads(summary), *_warm_start(summary)]
    more = len(summary["outages"]["each"]) - 5
    if more > 0:
        during = percent(summary["outages"]["during_any"]["accuracy"]["value"])
        parts.append(f"{more} more outages are listed in summary.json; over all, accuracy was {during}.")
    return parts


def _single_links(summary: Summary) -> list[str]:
    """What the outages of single clients' links came to, where there were any."""
    count, met = summary["outages"]["of_single_links"], summary["outages"]["own_links"]
    if not count:
        return []
    share = met["requests"] / max(1, summary["counts"]["requests"])
    return [
        f"Links failed one by one, in {count:,} outages: {percent(share)} of the requests came while "
        f"their own client's link was out or slow; accuracy among those was "
        f"{percent(met['accuracy']['value'])}."
    ]


def _training(summary: Summary) -> list[str]:
    """What became of training during the run, and of the rounds that fell into an outage; nothing without."""
    rounds, behind = summary["rounds"], summary["staleness"]
    if not _due(rounds):
        return []
    of_each = [
        f"{_of_rounds(one, f'a new version of {name}', 'no server that has it was up')}; "
        f"its version in force was {number(one['age_mean_s'])} s old on average"
        for name, one in rounds.get("by_model", {}).items()
    ]
    text = ". ".join(of_each) or _of_rounds(rounds, "a new version of the server", "no replica was usable")
    if "gap_mean_s" in rounds:
        text += (
            f"; the next was {number(rounds['gap_mean_s'])} s away on average, {number(rounds['gap_min_s'])} "
            f"to {number(rounds['gap_max_s'])} s, by how fast the server's answers had got worse"
        )
    whom = "what is new to them" if of_each else "it"
    return [
        f"{text}. Rejectors were {number(behind['rejector_mean'])} versions behind {whom} on average, at "
        f"most {number(behind['rejector_max'])}."
    ]


def _due(rounds: Summary) -> int:
    return int(rounds["made"] + rounds["lost"] + rounds["skipped"])


def _of_rounds(rounds: Summary, what: str, why: str) -> str:
    text = f"Of {_due(rounds)} rounds of training during the run {rounds['made']} made {what}"
    if rounds["lost"] or rounds["skipped"]:
        text += (
            f"; {rounds['skipped']} were skipped because {why}, and {rounds['lost']} lost "
            "when the last one stopped, so no version was made in that time"
        )
    return text


def _together(summary: Summary) -> list[str]:
    """What became of rounds in which clients learned together; nothing where they did not."""
    rounds, behind = summary.get("federation"), summary["staleness"]
    if not rounds:
        return []
    if rounds["own"] and not summary.get("heads"):
        how = " and what neighbours handed over" if "handed_over" in rounds else ", each alone"
        return [
            f"In {_rounds(rounds['own'])} rejectors learned from their clients' answers{how}.",
            *_neighbours(rounds),
        ]
    if not rounds["merged"] and not rounds["lost"] and summary.get("heads"):
        return []
    what = next((name for name in ("prototypes", "heads") if summary.get(name)), "rejector")
    lost = f", without a merge: {rounds['lost']}" if rounds["lost"] else ""
    came = "Nobody uploaded"
    if rounds["uploaded_share"] is not None:
        came = f"{percent(rounds['uploaded_share'])} of the uploads came in time"
    return [
        f"Clients learned together. Rounds merged: {rounds['merged']}{lost}. "
        f"{came}, {data_size(rounds['bytes_up'])} in all, and {data_size(rounds['bytes_down'])} went back. "
        f"Clients lay {number(behind['copy_mean'])} versions behind the merged {what} on average, at most "
        f"{number(behind['copy_max'])}.",
        *_neighbours(rounds),
    ]


def _rounds(many: int) -> str:
    return "1 round" if many == 1 else f"{many} rounds"


def _neighbours(rounds: Summary) -> list[str]:
    """What neighbours spared and handed over; nothing where clients have none."""
    found = []
    if "uplinks" in rounds:
        found.append(
            f"Neighbours shared uplinks: {rounds['uplinks']} uploads, and "
            f"{data_size(rounds['bytes_between'])} between devices."
        )
    if rounds.get("handed_over_share") is not None:
        found.append(
            f"Of what they were told clients handed over {percent(rounds['handed_over_share'])}, "
            f"{rounds['handed_over']} labelled samples, {data_size(rounds['handed_over_bytes'])}."
        )
    return found


def _prototypes(summary: Summary) -> list[str]:
    """What the nearest prototype answered; nothing where nobody falls back to one."""
    told = summary.get("prototypes")
    if not told:
        return []
    if not told["answered"]:
        return ["No request was answered by a prototype."]
    right = summary["accuracy"]["held_out"]["by_answerer"]["prototype"]
    text = (
        f"The nearest prototype answered {percent(told['answered_share'])} of the requests in place of the "
        f"server, {_ci(right)} of them right"
    )
    if told["age_s"] is not None:  # rows of requests are kept
        text += (
            f", {_points(told['gain'])} against the clients' own models. It had been merged "
            f"{number(told['age_s'])} s before on average"
        )
    return [
        f"{text}. In the end it knew {told['classes']} classes from {told['samples']:,} labelled samples, "
        f"and the smallest mean that a client uploaded was of {told['fewest']}."
    ]


def _heads(summary: Summary) -> list[str]:
    """What heads answered from features; nothing where nobody has one."""
    told = summary.get("heads")
    if not told:
        return []
    if not told["answered"]:
        return ["No request was answered by a client's own head."]
    text = (
        f"Clients answered {told['answered']:,} requests by heads of their own, from "
        f"{data_size(told['bytes_down'])} of features that the server sent back"
    )
    if told["gain"] is not None:  # rows of requests are kept
        text += f", {_points(told['gain'])} against its own last layer"
    if told["personal_gain"] is not None:
        text += f" ({_points(told['personal_gain'])} once each learned alone)"
    own = summary["federation"]["own"]
    rounds = f", in {_rounds(own)} each alone" if own else ""
    return [f"{text}. Heads learned from {number(told['labels'] or 0)} labels a client{rounds}."]


def _warm_start(summary: Summary) -> list[str]:
    """What the server began with, where clients told it; nothing where its weights were drawn."""
    begun = summary.get("warm_start")
    if not begun:
        return []
    labels = f"labels of {begun['labelled']:,} of them" if begun["labelled"] else "no label"
    return [
        f"The server began with what {begun['clients']:,} clients together say of {begun['samples']:,} "
        f"samples, {data_size(begun['bytes_up'])} in all, and then saw {labels}. As it began, it agreed with "
        f"them on {percent(begun['agreement'])} of other samples, of which they get "
        f"{percent(begun['ensemble_accuracy'])} right."
    ]


def _answers(summary: Summary) -> str:
    run, held_out = summary["run"], summary["accuracy"]["held_out"]
    client, server = (
        percent(held_out["client_accuracy"]["value"]),
        percent(held_out["server_accuracy"]["value"]),
    )
    return (
        f"{run['clients']:,} clients made {summary['counts']['requests']:,} requests in "
        f"{span(run['horizon_s'] - run['warm_up_s'])}. "
        f"On held-out samples {_ci(held_out['all'])} of them were answered right; "
        f"the clients' own models would have got {client}, the server's {server}. "
        f"The gain over the clients' own models is {_points(held_out['gain'])}."
    )


def _deferral(summary: Summary) -> str:
    rates, sent, kept = summary["rates"], summary["contrast"]["deferred"], summary["contrast"]["local"]
    if not rates["deferral_rate"]["value"]:
        return "The policy sent nothing to the server."
    text = (
        f"The policy sent {percent(rates['deferral_rate']['value'])} of the requests, and "
        f"{percent(rates['answered_if_sent'])} of those came back answered by the server. "
    )
    if sent["client"]["value"] is not None and kept["client"]["value"] is not None:
        text += (
            f"On what it sent, clients are right in {percent(sent['client']['value'])} and the server in "
            f"{percent(sent['server']['value'])}; on what it kept, {percent(kept['client']['value'])} and "
            f"{percent(kept['server']['value'])}. "
        )
    risk = summary["risk"]
    if risk["realised"]["value"] is not None:
        text += (
            f"The generalised risk paid was {number(risk['realised']['value'], 3)}, "
            f"{number(risk['excess']['value'], 3)} above an oracle that knows both answers; had nothing "
            f"been sent, it would have been {number(risk['all_local']['value'], 3)}."
        )
        above = risk["above_all_local"]
        if above["low"] is not None and above["low"] > 0:
            text += (
                f" The fleet paid {number(above['value'], 3)} [{number(above['low'], 3)}, "
                f"{number(above['high'], 3)}] more than it would have by sending nothing."
            )
    return text.strip()


def _service(summary: Summary) -> str:
    load, wasted = summary["load"], summary["work"]["wasted_share"]
    p50, p95, p99 = (taken(summary, "final", name) for name in ("p50", "p95", "p99"))
    text = f"The median latency was {p50}, the 95th percentile {p95}, the 99th {p99}."
    answered = summary["outages"]["whole_run"]["answered_share"]
    if answered is not None and answered < 1:
        text += f" {percent(1 - answered)} of the requests got no answer."
    if load["offered"] is not None:
        text += f" The offered load outside outages was {load_of(load['offered'])}."
    if load["utilisation"] is not None and not summary.get("queues"):  # of several servers the tables tell
        text += f" Replicas were busy {percent(load['utilisation'])} of the time they were up"
        is_by_batches = load["utilisation"] - (load["offered"] or load["utilisation"]) > CLEARLY
        text += "; batching keeps this high, as batches are not full at a low load." if is_by_batches else "."
    if wasted is not None:
        text += f" {percent(wasted)} of the server's work was for answers that nobody used."
    if summary["retries"]["amplification"] is not None:
        text += (
            f" A request that was sent took {number(summary['retries']['amplification'])} sends on average."
        )
    return text


def _outage(summary: Summary, outage: dict[str, Any]) -> str:
    before, during, after = (
        percent(window["accuracy"]["value"])
        for window in (summary["outages"]["before"], outage["during"], outage["after"])
    )
    back = {
        "not judged": "whether the queue got back to normal was not judged: too little time before the first "
        "outage shows what is normal",
        "not seen": "the queue was not seen to get back to normal",
    }
    taken = recovery(summary, outage, "queue_recovery_s")
    service_s = outage["service_recovery_s"]
    served = ""
    if service_s is not None and service_s > (outage["queue_recovery_s"] or 0.0):
        late = span(round(service_s), summary["run"]["horizon_s"])
        served = f"; what was sent was answered as before only {late} after its end"
    when = between(outage["from_s"], outage["to_s"], of_s=summary["run"]["horizon_s"])
    return (
        f"In the outage from {when} ({outage['label']}), accuracy was {during} (before the first outage "
        f"{before}, after this one {after}); {percent(outage['during']['timed_out_share'])} of the requests "
        f"timed out, {percent(outage['during']['refused_share'])} were refused, and "
        f"{back.get(taken) or f'the queue was back to normal {taken} after its end'}{served}."
    )


def _ci(estimate: dict[str, Any]) -> str:
    text = percent(estimate["value"])
    if estimate["low"] is not None:
        text += f" (95% interval {100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"
    return text


def _points(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None:
        return NOTHING
    text = f"{100 * estimate['value']:+.1f} points"
    if estimate["low"] is not None:
        text += f" ({100 * estimate['low']:+.1f} to {100 * estimate['high']:+.1f})"
    return text
