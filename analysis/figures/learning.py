"""How the models learned before the run: training loss over steps, for clients, server and rejectors."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import INK, SERIES, WIDTH_IN, styled
from analysis.run_folder.run import Run
from analysis.run_folder.traffic import Traffic

STAGES = {"client": "client models (then frozen)", "server": "server model", "rejector": "rejectors"}


def owners(run: Run) -> list[str]:
    """Whose curves there may be: the one server's, "", or those of several models by name; the groups'."""
    models = list(run.scenario.get("models") or ())
    return ["", *run.groups, *(models if len(models) > 1 else ())]


@styled
def learning(traffic: Traffic) -> Figure:
    """A panel per stage; in it a line per group, in the same colour throughout."""
    run = traffic.run
    figure = Figure(figsize=(WIDTH_IN, 3.0), layout="constrained")
    panels = figure.subplots(1, len(STAGES))
    table = run.learning[run.learning["at_s"].isna()]
    named: dict[str, Line2D] = {}
    for axes, (stage, title) in zip(panels, STAGES.items(), strict=True):
        rows = table[table["stage"] == stage]
        for index, group in enumerate(owners(run)):
            curve = rows[rows["group"] == group].sort_values("step")
            if len(curve):
                colour = SERIES[(index - 1) % len(SERIES)] if group else INK
                name = group or "server"
                (line,) = axes.plot(curve["step"], curve["loss"], color=colour, lw=1.6, label=name)
                named.setdefault(name, line)
        axes.grid(visible=True)
        axes.set_ylim(bottom=0)
        axes.set_title(title)
        axes.set_xlabel("training step (batches)")
    panels[0].set_ylabel("mean training loss (nats)")
    if named:
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=6)
    return figure
