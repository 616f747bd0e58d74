"""The commands that read finished runs: report, figure, table, metrics and compare; and diff, of scenarios.
Part of the command line; `main` adds them to its own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.interrupts import ending_at_once
from commands.options import Png, RunFolder, Show, Width
from commands.terminal import Terminal, printable

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report(run_folder: RunFolder, png: Png = False) -> None:
    """Makes the report of a finished run anew.

    That is summary.json, the figures, the trace and report.html, from the tables in its folder.
    """
    with ending_at_once():
        from analysis import write_report

    print(f"report: {write_report(run_folder, png)}")


class FigureFormat(StrEnum):
    pdf = "pdf"
    svg = "svg"
    png = "png"


@app.command()
def figure(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a run, a study, a sweep or a comparison.")
    ],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="timeline, latency, ... of a run; differences, ... of a study; curves of a sweep; "
            "compare_timelines.",
        ),
    ],
    width: Width = "3.33in",
    kind: Annotated[
        FigureFormat, typer.Option("--format", help="Text is text in pdf and svg; png has 300 dpi.")
    ] = FigureFormat.pdf,
    panels: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="These panels alone, by what their axis shows.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For the figure (default: NAME.FORMAT, here).")
    ] = None,
) -> None:
    """Draws one figure for print.

    Text of 8 points or more at that width; strokes, marks and hatches that survive grey.
    """
    with ending_at_once():
        from analysis.reports.print_figure import print_figure
        from sim.results.whole_files import require_writable_file, write_whole

    if out is not None:
        require_writable_file(out, "--out")  # before it is drawn
    wanted = [one.strip() for one in panels.split(",")] if panels else []
    content = print_figure(folder, name, width, kind.value, wanted)
    out = out or Path(f"{name}.{kind.value}")
    write_whole(out, content)
    print(f"figure: {out}")


class TableFormat(StrEnum):
    csv = "csv"
    latex = "latex"


@app.command()
def table(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run, a sweep or a study.")],
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="windows, groups, answers of a run; policies, differences of a study; settings of a sweep.",
        ),
    ],
    kind: Annotated[TableFormat, typer.Option("--format", help="LaTeX wants booktabs.")] = TableFormat.csv,
) -> None:
    """Prints a table with its intervals, for a paper."""
    with ending_at_once():
        from analysis.reports.paper_table import paper_table

    print(printable(paper_table(folder, name, kind.value)), end="")


@app.command()
def metrics(
    run_folder: RunFolder,
    every: Annotated[float, typer.Option(metavar="S", help="Virtual seconds between two scrapes.")] = 15.0,
    epoch: Annotated[float, typer.Option(metavar="S", help="Seconds since 1970 that are t = 0.")] = 0.0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For the text (default: metrics.txt, here).")
    ] = None,
) -> None:
    """Writes a run as OpenMetrics text, in virtual time.

    It is what a Prometheus that scraped the fleet would have seen; promtool makes blocks of it.
    """
    with ending_at_once():
        from analysis.reports.open_metrics import open_metrics
        from analysis.run_folder.run import load_run
        from sim.results.whole_files import require_writable_file, write_whole

    out = out or Path("metrics.txt")
    require_writable_file(out, "--out")
    text = "\n".join(open_metrics(load_run(run_folder), every, epoch)) + "\n"
    write_whole(out, text.encode())
    print(f"metrics: {out}")


@app.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A scenario: a YAML file, a shipped name, a run.")],
    other: Annotated[str, typer.Argument(metavar="B", help="What it is held against A for.")],
) -> None:
    """Tells in words how scenario B differs from A; runs nothing."""
    with ending_at_once():
        from analysis.reports.compare_report import differences, scenario_differences
        from sim.scenario import read

    def resolved(source: str) -> dict[str, Any]:
        inside = Path(source) / "scenario.yaml"
        return read(inside if inside.is_file() else source).model_dump(mode="json")

    told = scenario_differences(resolved(one), resolved(other))
    print(printable("\n".join(differences(told, most=None))))


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Run folders, two or more, the baseline first.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="For compare.html and compare.json.")] = Path(
        "runs/comparison"
    ),
    unpaired: Annotated[
        bool, typer.Option("--unpaired", help="Compare runs of different traffic too.")
    ] = False,
    over_seeds: Annotated[
        bool,
        typer.Option("--over-seeds", help="Runs of one scenario are replications: intervals over seeds."),
    ] = False,
    show: Show = None,
    png: Png = False,
) -> None:
    """Tells how runs differ from the first one, with intervals.

    Runs of the same traffic are paired by request.
    """
    with ending_at_once():
        from analysis import comparison_table, write_comparison
        from analysis.metrics.measures import MEASURES
        from analysis.metrics.naming import all_named

    shown = all_named(show or [], tuple(MEASURES))
    Terminal().print(comparison_table(write_comparison(runs, out, unpaired, over_seeds, png, shown)))
    print(f"comparison: {out / 'compare.html'}")
