"""Numbers as people read them, and the summary of a run in plain sentences.
Used by the table at the end of a run and by the report, so that both say the same."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from math import isnan
from pathlib import Path
from typing import Any

NOTHING, NEVER, OPEN = "–", "never", "open"
Summary = dict[str, Any]


def program() -> list[str]:
    """What a command to type begins with: how this process was called, if by the installed command."""
    return ["l2h-fleet"] if Path(sys.argv[0]).stem == "l2h-fleet" else ["python", "run_sim.py"]


def percent(share: float | None, sign: str = "%") -> str:
    """0.834 -> '83.4%'; a number that does not exist is a dash."""
    return NOTHING if share is None else f"{100 * share:.1f}{sign}"


def with_interval(estimate: dict[str, Any]) -> str:
    """An estimated share in percent with its interval: '83.4 [80.1, 86.0]'."""
    text = percent(estimate["value"], "")
    if estimate["low"] is None:
        return text
    return f"{text} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def number(value: float | None, digits: int = 2) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def seconds(value: float | None) -> str:
    """Three significant digits, in ms below one second."""
    if value is None:
        return NOTHING
    return f"{1000 * value:.3g} ms" if 0 < value < 1 else f"{value:,.{2 if value < 10 else 1}f} s"


def instant(at_s: float) -> str:
    """An instant or a span in whole digits, never 2.592e+06: '2,592,000', '0.5'."""
    return f"{at_s:,.10g}"


def data_size(count: float | None) -> str:
    """Bytes in decimal units, as links are rated."""
    if count is None:
        return NOTHING
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count:.0f} B"


def answered_within(window: Summary) -> str:
    """The time in which 95% of a window's requests were answered; "never" if too few were at all, "open" if
    too many are open to tell."""
    if window["p95_latency_s"] is None and window["answered_share"] is not None:
        return NEVER if window["answered_share"] < 0.95 else OPEN
    return seconds(window["p95_latency_s"])


def recovery(summary: Summary, outage: dict[str, Any], of: str = "recovery_s") -> str:
    """How long it took until all was as before, known to the whole second; or why that is not told."""
    if summary["outages"]["normal_waiting"] is None:
        return "not judged"
    return "not seen" if outage[of] is None else f"{outage[of]:.0f} s"


def outcome_shares(summary: Summary) -> str:
    """The outcomes with their shares, in one line; those below 0.05% are left out."""
    count = max(1, summary["counts"]["requests"])
    shares = {name: n / count for name, n in summary["counts"]["outcome"].items()}
    return ", ".join(f"{name} {percent(part)}" for name, part in shares.items() if part >= 0.0005) or "none"


def outage_name(outage: dict[str, Any]) -> str:
    return f"{outage['label']} out {instant(outage['from_s'])}–{instant(outage['to_s'])} s"


def verdict(summary: Summary) -> str:
    """One line: whether the run may be believed, else why not."""
    if summary["valid"]:
        return "Valid: every check passed."
    return "Read with care: " + "; ".join(summary["invalid_because"]) + "."


def _learning(summary: Summary) -> list[str]:
    """A paragraph per group about its own policy's score, without any traffic."""
    own = [row for row in summary["study"] if row["is_policy"]]
    told = [
        f"Learning alone: {row['group']} sends {percent(row['deferral_rate'])} of the held-out samples by "
        f"{row['score']} and has {percent(row['accuracy'])} right; its risk is {row['risk']:.3f}, against "
        f"{row['risk_all_local']:.3f} if nothing is sent, {row['risk_all_remote']:.3f} if everything is and "
        f"{row['risk_oracle']:.3f} for the oracle."
        for row in own
    ]
    return told + pays_too_much(own)


def pays_too_much(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each row of a study whose policy pays more than the best constant decision beyond chance."""
    return [
        f"{row['group']} pays more by {row['score']} than it would by always "
        f"{'keeping' if row['risk_all_local'] <= row['risk_all_remote'] else 'sending'}: "
        f"{row['above_constant']:+.3f} [{row['above_constant_low']:+.3f}, {row['above_constant_high']:+.3f}]."
        for row in rows
        if row["above_constant_low"] > 0
    ]


def taken(summary: Summary, which: str, percentile: str) -> str:
    """A percentile of the latency to the first or final answer; what it is at least where that is all that
    is known."""
    value, told = (
        summary["latency_s"][which][percentile],
        summary["intervals"]["latency_s"][which][percentile],
    )
    if value is None and told["low"] is not None:
        return f"at least {seconds(told['low'])}"
    return seconds(value)


def sentences(summary: Summary) -> list[str]:
    """What happened, in plain words with the numbers in them; a paragraph per item."""
    if not summary["counts"]["requests"]:
        return _learning(summary) or ["No request arrived after the warm-up, so there is nothing to sum up."]
    parts = [_answers(summary), _deferral(summary), _service(summary)]
    parts += [_outage(summary, outage) for outage in summary["outages"]["each"][:5]]
    parts += [*_single_links(summary), *_training(summary)]
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
    due = rounds["made"] + rounds["lost"] + rounds["skipped"]
    if not due:
        return []
    text = f"Of {due} rounds of training during the run {rounds['made']} made a new version of the server"
    if rounds["lost"] or rounds["skipped"]:
        text += (
            f"; {rounds['skipped']} were skipped because no replica was usable, and {rounds['lost']} lost "
            "when the last one stopped, so no version was made in that time"
        )
    return [
        f"{text}. Rejectors were {number(behind['rejector_mean'])} versions behind it on average, at most "
        f"{number(behind['rejector_max'])}."
    ]


def _answers(summary: Summary) -> str:
    run, held_out = summary["run"], summary["accuracy"]["held_out"]
    client, server = (
        percent(held_out["client_accuracy"]["value"]),
        percent(held_out["server_accuracy"]["value"]),
    )
    return (
        f"{run['clients']:,} clients made {summary['counts']['requests']:,} requests in "
        f"{instant(run['horizon_s'] - run['warm_up_s'])} s. "
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
        text += f" The offered load outside outages was {load['offered']:.2f}."
    if load["utilisation"] is not None:
        text += (
            f" Replicas were busy {percent(load['utilisation'])} of the time they were up; batching keeps "
            "this high even at low load, as batches are then not full."
        )
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
        served = f"; what was sent was answered as before only {service_s:.0f} s after its end"
    when = f"{instant(outage['from_s'])} to {instant(outage['to_s'])} s"
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


def headline(summary: Summary) -> list[dict[str, str]]:
    """The numbers to read first: label, value, and a note that says what to hold it against."""
    held_out, whole = summary["accuracy"]["held_out"], summary["outages"]["whole_run"]
    rates, load = summary["rates"], summary["load"]
    low, high = held_out["all"]["low"], held_out["all"]["high"]
    interval = "" if low is None else f"{100 * low:.1f} to {100 * high:.1f} (95%)"
    answered = f"{percent(rates['remote_answer_rate'])} answered by the server"
    gain = held_out["gain"]["value"]
    rows = [
        ("accuracy", percent(held_out["all"]["value"]), interval),
        ("gain", NOTHING if gain is None else f"{100 * gain:+.1f}", "points over client accuracy"),
        ("deferral rate", percent(rates["deferral_rate"]["value"]), answered),
        ("95% answered within", answered_within(whole), f"{percent(whole['answered_share'])} got an answer"),
        (
            "offered load",
            number(load["offered"]),
            f"{percent(summary['work']['wasted_share'])} of work wasted",
        ),
    ]
    if summary["outages"]["each"]:
        during = summary["outages"]["during_any"]
        note = f"{percent(during['client_accuracy']['value'])} by the clients' own models"
        rows.insert(2, ("accuracy in outages", percent(during["accuracy"]["value"]), note))
    return [dict(zip(("label", "value", "note"), row, strict=True)) for row in rows]


PLAIN = ("", 1.0, 3)  # of a number without a unit
MOST_DIGITS = 6
SHOWN_AS = {  # unit of a measure: the unit it is shown in, the factor, and digits after the point
    "share": ("%", 100.0, 1),
    "s": ("ms", 1000.0, 1),
    "bytes": ("kB", 0.001, 2),
    "loss": ("loss", 1.0, 4),
    "ratio": ("", 1.0, 3),
    "requests": ("", 1.0, 1),
    "money": ("", 1.0, 2),
    "1/s": ("1/s", 1.0, 1),
}


def difference_with_interval(difference: Mapping[str, Any], unit: str) -> str:
    """'+1.2 [+0.3, +2.1]'; as many digits as it takes that an end is written 0 only if it is."""
    middle, *ends = (_or_none(difference[end]) for end in ("difference", "low", "high"))
    if any(end is None for end in ends):
        return quantity(middle, unit, signed=True)
    _, factor, digits = SHOWN_AS.get(unit, PLAIN)
    while digits < MOST_DIGITS and any(end and not round(factor * end, digits) for end in ends):
        digits += 1
    middle_text, low, high = (quantity(one, unit, True, digits) for one in (middle, *ends))
    return f"{middle_text} [{low}, {high}]"


def _or_none(value: float | None) -> float | None:
    return None if value is None or isnan(value) else value


def quantity(value: float | None, unit: str, signed: bool = False, digits: int | None = None) -> str:
    """A measure's value, scaled as SHOWN_AS says and without its unit; `signed` for differences."""
    if value is None:
        return NOTHING
    _, factor, usual = SHOWN_AS.get(unit, PLAIN)
    text = f"{factor * value:{'+' if signed else ''},.{usual if digits is None else digits}f}"
    return text[1:] if set(text) <= set("-+0.") and signed else text
