"""The command that asks what if: the requests of a run that is over, decided or served in another way.
Part of the command line; `main` adds it to its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.interrupts import CtrlC, ending_at_once
from commands.options import Changes, Quietly, RunFolder
from commands.terminal import Terminal

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SAME = ("request_id", "client_id", "arrived_at_s", "sample_id", "label")  # what makes two requests the same
FILES = {"as_it_was", "replayed", "comparison"}
BESIDE_THE_LOG = (
    *("p50 of answers by the server, s", "p95 of answers by the server, s"),
    "goodput: served in time, share",
)


@app.command()
def replay(
    run_folder: RunFolder,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the runs (default: RUN-replay).")
    ] = None,
    quiet: Quietly = False,
) -> None:
    """Plays the requests of a finished run under other rules, and tells the difference.

    Everything that chance decides is drawn by the same keys, so requests are paired one by one. A run in real
    time is simulated as it was, too, and the difference is taken between the two simulations.
    """
    with ending_at_once():
        from analysis import comparison_table, write_comparison
        from analysis.run_folder.kept_rows import refuse_rowless
        from analysis.run_folder.run import load_run
        from commands.fidelity import play
        from commands.main import Interrupted
        from commands.progress import reporter_for
        from sim.errors import BadInput
        from sim.results.run_folder import LIVE
        from sim.scenario import read

    if not changes:
        raise BadInput("replay: nothing is changed; give --set PATH=VALUE")
    refuse_rowless(load_run(run_folder))  # it is a run, and finished
    as_it_was, otherwise = read(run_folder / "scenario.yaml"), read(run_folder / "scenario.yaml", changes)
    folder = out or run_folder.with_name(f"{run_folder.name}-replay")
    if folder.exists() and not (folder.is_dir() and all(one.name in FILES for one in folder.iterdir())):
        raise BadInput(f"--out {folder}: exists and holds other things than a replay")
    is_real = (run_folder / LIVE).exists()
    progress, ctrl_c = reporter_for(quiet), CtrlC()
    try:
        with ctrl_c.handled(lambda: "interrupted"):
            base = folder / "as_it_was" if is_real else run_folder
            if is_real:
                play(as_it_was, base, progress, ctrl_c)
            play(otherwise, folder / "replayed", progress, ctrl_c)
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    finally:
        progress.close()
    print(sameness(requests_of(base), requests_of(folder / "replayed"), as_it_was.warm_up_s))
    if is_real:
        print(distance(run_folder, base))
    comparison = write_comparison([base, folder / "replayed"], folder / "comparison", unpaired=True)
    Terminal().print(comparison_table(comparison))
    print(f"comparison: {folder / 'comparison' / 'compare.html'}")


def requests_of(run_folder: Path) -> pa.Table:
    """The columns `SAME` of a run, and the outcome, by request."""
    import pyarrow as pa

    from analysis.run_folder.files import part_paths
    from analysis.run_folder.kept_rows import read_requests
    from analysis.run_folder.run import open_run
    from sim.results.columns import REQUESTS

    run = open_run(run_folder)
    parts = part_paths(run_folder, "requests", needed=False)
    tables = [read_requests(run, part, REQUESTS, [*SAME, "outcome"]) for part in parts]
    return pa.concat_tables(tables).sort_by("request_id")


def sameness(base: pa.Table, replayed: pa.Table, warm_up_s: float) -> str:
    """Whether the requests are the same, and how many of them ended in another way; those that came in the
    warm-up apart, since no comparison counts them."""
    import pyarrow.compute as pc

    if all(base[name].equals(replayed[name]) for name in SAME):
        before, after = (table["outcome"].cast("string") for table in (base, replayed))
        moved = pc.sum(pc.cast(pc.not_equal(before, after), "int64")).as_py() or 0
        early = pc.sum(pc.less(base["arrived_at_s"], warm_up_s)).as_py() or 0
        before_it = f", {early:,} of them in the warm-up and not compared" if early else ""
        return f"the same {len(base):,} requests{before_it}; {moved:,} have another outcome"
    return (
        f"not the same requests ({len(base):,} then, {len(replayed):,} now): what was changed changes who "
        "asks or when, as in closed loops, so single requests cannot be paired"
    )


def distance(real: Path, simulated: Path) -> str:
    """What a log of real time cannot tell, and how far its simulation lies from it."""
    import json

    from analysis.reports.fidelity import numbers_of

    log, same = (numbers_of(json.loads((one / "summary.json").read_text())) for one in (real, simulated))
    told = []
    for name in BESIDE_THE_LOG:
        then, now = log[name], same[name]
        if then and now is not None:
            told.append(f"{name} {then:.4g} real, {now:.4g} simulated ({(now - then) / then:+.1%})")
    return (
        "a log of real time does not tell what the server would have done with attempts that were not made: "
        "the run was simulated as it was, and the difference below is one between simulations. "
        "Beside the log: " + "; ".join(told)
    )
