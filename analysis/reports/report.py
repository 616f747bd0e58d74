"""Makes the results of a run folder: summary.json, the figures, and the report that holds them all.
The last step of a run; asked again, it makes the same files from the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.metrics.summary import summary_of, to_json
from analysis.run_folder.integrity import states_of
from analysis.run_folder.provenance import in_one_line
from analysis.run_folder.run import load_run
from analysis.run_folder.traffic import traffic_kept
from analysis.side_by_side import side_by_side
from sim.errors import BadInput
from sim.results.whole_files import sweep, write_whole


def finish(
    path: str | Path, pictures: bool = True, png: bool = False, said: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Writes summary.json, figures/ and report.html into the run folder `path`; returns the summary.

    Without `pictures` the summary alone: where a run is one of many, nobody looks at most of them. png: the
    figures as PNG, too. said: as in `load_run`.
    Raises BadInput for a folder that is not a finished run; then nothing is written.
    """
    run = load_run(path, said)
    for table in states_of(run):
        if not table.is_fine:
            raise BadInput(table.why)
    if pictures:
        from analysis.reports import run_page  # noqa: PLC0415  (who sums up many runs draws nothing)

        run_page.stages(run)  # refuses damaged times before anything is counted
    sweep(run.path)
    traffic = traffic_kept(run)
    with in_one_line(run.warnings), side_by_side(traffic.count) as work:
        begun = run_page.begin(traffic, work, png) if pictures else None
        summary = summary_of(traffic, work)
        if begun is not None:
            run_page.write_pictures(traffic, summary, begun, png)
    write_whole(run.path / "summary.json", to_json(summary))
    return summary


def write_report(path: str | Path, png: bool = False) -> Path:
    """Makes the results of a run folder anew, so that report and summary agree; returns the report's path.

    Raises BadInput for a folder that cannot be summed up; it names the page of what can still be read of it,
    unless the folder is no run's at all.
    """
    try:
        finish(path, png=png)
    except BadInput as error:
        from analysis.reports.partial_report import write_partial  # noqa: PLC0415

        partial = write_partial(path, str(error))
        why = str(error).rstrip(".")
        raise BadInput(f"{why}; what can still be read is in {partial}") from None
    return Path(path) / "report.html"
