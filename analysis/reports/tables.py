"""The summary as tables: one for the terminal at the end of a run, the same rows for the report.
A row is a label and a function of the summary; both readers print what `windows` and `facts` give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.reports.formatting import (
    NEVER,
    OPEN,
    answered_within,
    data_size,
    load_of,
    number,
    outage_name,
    outcome_shares,
    percent,
    rate,
    recovery,
    taken,
    verdict,
    with_interval,
)
from analysis.reports.learning_alone import pays_too_much
from analysis.reports.server_table import SERVER_COLUMNS, of_servers
from analysis.time_in_words import between, span

Summary = dict[str, Any]
MOST_OUTAGES = 5  # so that the table stays on one screen
MOST_MODELS = 4
MOST_LINES = 12  # in all, so many groups are shown as well
RECOVERY = "recovery after outages"

WINDOW_COLUMNS = (
    "requests",
    "number",
    "accuracy % [95%]",
    "client\nright",
    "by\nserver",
    "timed\nout",
    "refused",
    "p95 s",
)
WINDOW_COLUMNS_LONG = (
    "requests that arrived",
    "number",
    "accuracy, % [95% interval]",
    "client accuracy, %",
    "answered by server, %",
    "timed out, %",
    "refused, %",
    "95% answered within, s",
)


def windows(summary: Summary, most: int = MOST_OUTAGES) -> list[tuple[str, ...]]:
    """A row per window: the whole run, before the first outage, during and after each of the first `most`,
    and what came while its own link alone was out."""
    outages, of_s = summary["outages"], summary["run"]["horizon_s"]
    rows = [_window("in the whole run", outages["whole_run"])]
    if outages["before"]["requests"] is None:  # nobody kept rows of requests
        return rows
    if outages["each"]:
        rows.append(_window("before outages", outages["before"]))
    for outage in outages["each"][:most]:
        rows.append(_window(outage_name(outage, of_s), outage["during"]))
        rows.append(_window(f"  then to {span(outage['after_until_s'], of_s)}", outage["after"]))
    if len(outages["each"]) > most:
        rows.append(_window(f"in all {len(outages['each'])} outages", outages["during_any"]))
        rows.append(_window("outside outages", outages["outside"]))
    if outages["own_links"]["requests"]:
        rows.append(_window("with own link out", outages["own_links"]))
    return rows


def notes(summary: Summary) -> list[str]:
    """What of the windows would be read wrongly: an outage in which answers come sooner than before it."""
    outages = summary["outages"]
    usual = outages["before"]["p95_latency_s"] if outages["each"] else None
    sooner = [
        outage
        for outage in outages["each"]
        if None not in (usual, outage["during"]["p95_latency_s"])
        and outage["during"]["p95_latency_s"] < usual
        and outage["during"]["answered_by_server_share"] < outages["before"]["answered_by_server_share"]
    ]
    if not sooner:
        return []
    names = " and ".join(outage_name(outage, summary["run"]["horizon_s"]) for outage in sooner[:MOST_OUTAGES])
    return [
        f"{names}: 95% are answered sooner than before the outage because fewer are answered by the server. "
        "Who is refused or kept off at once answers by its own model, without the way to the server: "
        "that is quick, not better."
    ]


def of_parts(summary: Summary, most: int) -> list[tuple[str, ...]]:
    """A row per group, of the whole run, and per cell where clients move; of either none where there is one,
    and no more than `most` in all."""
    found: list[tuple[str, ...]] = []
    for word, section in (("by", summary["groups"]), ("in", summary.get("cells") or {})):
        parts = {name: part["whole_run"] for name, part in section.items()}
        is_told = all(part["requests"] is not None for part in parts.values())  # without rows cells are not
        if is_told and 1 < len(parts) <= most - len(found):
            found += [_window(f"{word} {name}", part) for name, part in parts.items()]
    return found


def _window(name: str, window: dict[str, Any]) -> tuple[str, ...]:
    shares = ("answered_by_server_share", "timed_out_share", "refused_share")
    within = answered_within(window)
    return (
        name,
        f"{window['requests']:,}",
        with_interval(window["accuracy"]),
        percent(window["client_accuracy"]["value"], ""),
        *(percent(window[share], "") for share in shares),
        within if within in (NEVER, OPEN) else number(window["p95_latency_s"], 3),
    )


def facts(summary: Summary) -> dict[str, list[tuple[str, str]]]:
    """The rest of the headline numbers, label and value, under three headings."""
    held_out, rates, contrast = summary["accuracy"]["held_out"], summary["rates"], summary["contrast"]
    load, queue = summary["load"], summary["queue"]
    server, fairness = summary["availability"], summary["fairness"]
    return {
        "answers (held-out)": [
            ("gain over client accuracy, points", with_interval(held_out["gain"])),
            ("answered requests right, %", with_interval(held_out["answered"])),
            ("accuracy on training half, %", with_interval(summary["accuracy"]["training_half"]["all"])),
            ("right if client / server answered", _pair(held_out["by_answerer"])),
            ("deferred: client / server right", _pair(contrast["deferred"])),
            ("kept local: client / server right", _pair(contrast["local"])),
            ("deferral rate, %", with_interval(rates["deferral_rate"])),
            ("answered by server if sent", percent(rates["answered_if_sent"])),
            ("risk / none sent / all sent / oracle", _risk(summary)),
            ("worst decile (by chance) / Jain index", _fairness(fairness)),
        ],
        "service": [
            *_latencies(summary),
            ("answered / served in time", _in_time(summary["goodput"])),
            *_of_models(summary),
            *_of_each(summary, "loads", "batches that load a model", lambda part: percent(part["share"])),
            *_of_each(
                summary, "transmissions", "requests a transmission", lambda part: number(part["size_mean"], 2)
            ),
            *_of_each(summary, "sessions", "items a block", lambda part: number(part["items_per_answer"], 2)),
            ("correct in time", f"{rate(summary['goodput']['correct_in_time_hz'])} /s"),
            ("arrivals", f"{rate(summary['goodput']['arrivals_hz'])} /s"),
            *[("offered load", load_of(load["offered"]))] * (load["offered"] is not None),
            ("utilisation", percent(load["utilisation"])),
            ("waiting mean / max", f"{number(queue['mean'], 1)} / {number(queue['max'], 0)}"),
            ("availability", percent(server["usable_share"])),
            (RECOVERY, _recovery(summary)),
        ],
        "what it took": [
            ("sends per sent request", number(summary["retries"]["amplification"])),
            (
                "sends per sent request, in outages",
                number(summary["retries"]["amplification_during_outages"]),
            ),
            ("replica time / wasted", _work(summary)),
            ("payload up", data_size(summary["wire"]["bytes_up"])),
            ("cost (loss) / per request", _cost(summary)),
            *_money(summary),
        ],
    }


def _study(summary: Summary) -> Table:
    """What each score comes to where nothing but learning was asked for; a star marks the policies'."""
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
    for name in ("group", "score", "sent %", "right %", "risk", "none sent", "all sent", "oracle's"):
        table.add_column(name, justify="left" if name in ("group", "score") else "right")
    for row in summary["study"]:
        shares = (percent(row["deferral_rate"], ""), percent(row["accuracy"], ""))
        score = row["score"] + ("*" if row["is_policy"] else "")
        risks = (row[name] for name in ("risk", "risk_all_local", "risk_all_remote", "risk_oracle"))
        table.add_row(row["group"], score, *shares, *(f"{risk:.3f}" for risk in risks))
    return table


def summary_table(summary: Summary) -> RenderableType:
    """What a run prints at its end; about forty lines that fit a terminal of eighty columns."""
    run = summary["run"]
    title = f"{run['name']}, seed {run['seed']}: {run['clients']:,} clients, " + (
        f"{summary['counts']['requests']:,} requests, {between(run['warm_up_s'], run['horizon_s'])}"
        if run["horizon_s"]
        else "learning alone"
    )
    style = "green" if summary["valid"] else "bold red"
    parts: list[RenderableType] = [Text(title, style="bold"), Text(verdict(summary), style=style)]
    if run["horizon_s"] == 0 and summary["study"]:
        too_much = pays_too_much(row for row in summary["study"] if row["is_policy"])
        return Group(*parts, *(Text(line, style="bold red") for line in too_much), Text(), _study(summary))
    lines = windows(summary)
    lines += of_parts(summary, MOST_LINES - len(lines))
    parts += [Text(), _grid(WINDOW_COLUMNS, lines), Text()]
    if servers := of_servers(summary):
        parts += [_grid(SERVER_COLUMNS, servers), Text()]
    parts.append(Text("outcomes: " + outcome_shares(summary)))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    for heading, rows in facts(summary).items():
        grid.add_row(Text(heading, style="bold"), "")
        for label, value in rows:
            grid.add_row(f"  {label}", value)
    return Group(*parts, grid)


def _grid(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """On a narrow terminal names alone are folded: a cut number would be a wrong one."""
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        width = max(map(len, (*name.split("\n"), *(row[index] for row in lines)))) if index else 12
        justify: JustifyMethod = "right" if index else "left"
        table.add_column(name, justify=justify, no_wrap=bool(index), min_width=width, vertical="bottom")
    for row in lines:
        table.add_row(*row)
    return table


def _pair(side: dict[str, Any]) -> str:
    return f"{percent(side['client']['value'])} / {percent(side['server']['value'])}"


def _risk(summary: Summary) -> str:
    risks = (summary["risk"][name]["value"] for name in ("realised", "all_local", "all_remote", "oracle"))
    return " / ".join(number(risk, 3) for risk in risks)


def _fairness(fairness: dict[str, Any]) -> str:
    worst, chance = (percent(fairness[f"worst_decile_{name}"]) for name in ("shrunk", "by_chance"))
    return f"{worst} ({chance}) / {number(fairness['jain'], 3)}"


def _in_time(goodput: dict[str, Any]) -> str:
    return f"{percent(goodput['answered_in_time_share'])} / {percent(goodput['served_in_time_share'])}"


def _of_models(summary: Summary) -> list[tuple[str, str]]:
    """Goodput at the client of each model, where there are several, but not many."""
    shares = {
        name: percent(part["whole_run"]["served_in_time_share"])
        for name, part in summary.get("models", {}).items()
    }
    said = ", ".join(f"{name} {share}" for name, share in shares.items())
    return [("served in time", said)] * (1 < len(shares) <= MOST_MODELS)


def _of_each(
    summary: Summary, section: str, what: str, told: Callable[[dict[str, Any]], str]
) -> list[tuple[str, str]]:
    """One number of each part of a section, where there are some, but not many."""
    parts = summary.get(section) or {}
    said = ", ".join(f"{name} {told(part)}" for name, part in parts.items())
    return [(what, said)] * (0 < len(parts) <= MOST_MODELS)


def _latencies(summary: Summary) -> list[tuple[str, str]]:
    """One row where the first answer is the final one, as it is without provisional answers."""
    latency = summary["latency_s"]
    names = ["final"] if latency["first"] == latency["final"] else ["first", "final"]
    shown = {name: [taken(summary, name, p) for p in ("p50", "p95", "p99")] for name in names}
    return [(f"{name} answers p50 / p95 / p99", " / ".join(shown[name])) for name in names]


def _recovery(summary: Summary) -> str:
    outages = summary["outages"]["each"]
    times = [recovery(summary, outage) for outage in outages]
    if len(set(times)) == 1 < len(times):
        return f"{times[0]}, each of {len(times)}"
    return ", ".join(times[:MOST_OUTAGES] + ["…"] * (len(times) > MOST_OUTAGES)) or "no outage"


def _work(summary: Summary) -> str:
    work = summary["work"]
    return f"{number(work['service_s'], 0)} s / {percent(work['wasted_share'])}"


def _money(summary: Summary) -> list[tuple[str, str]]:
    """What was spent of budgets in money, and what servers cost; nothing where nothing has a price."""
    spent, money = summary["cost"]["spend"], summary.get("money")
    rows = [] if spent is None else [("spent of budgets in money", number(spent))]
    if money is not None and None not in (money["calls_usd"], money["replicas_usd"]):
        paid = money["calls_usd"] + money["replicas_usd"]
        each = number(money["usd_per_1000_answers"])
        rows.append(("servers, USD / 1,000 answers", f"{number(paid)} / {each}"))
    return rows


def _cost(summary: Summary) -> str:
    return f"{number(summary['cost']['total'], 1)} / {number(summary['cost']['per_request'], 4)}"
