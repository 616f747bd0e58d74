"""Options that several commands take, each said once, with the words of its help.
Read by `main` and the modules beside it; what one command alone takes stands there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A YAML file, or the name of a shipped scenario.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change the scenario: fleet.sensors.clients=10. May be repeated."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", help="In place of the scenario's seed; of several seeds, the first."),
]
RayAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Join this Ray cluster, in place of a private one.")
]
Width = Annotated[
    str, typer.Option(metavar="WIDTH", help="In inches: 3.33in, a column of a paper, or 7.0in, a page.")
]
Png = Annotated[bool, typer.Option("--png", help="Write the figures as PNG, too, at 300 dpi.")]
Show = Annotated[
    list[str] | None,
    typer.Option(metavar="METRIC", help="Show accuracy, latency.p95, ...: with commas, or repeated."),
]
Quietly = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]

CHECKPOINT_EVERY_S = 10.0

# Of the commands that make many runs.
STORE = Path("runs/cache")
Store = Annotated[
    Path,
    typer.Option(
        "--run-cache", metavar="DIR", help="Where runs are kept; one that is there is not made again."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Runs at a time, on Ray if more than 1 (default: a core each)."),
]
ActorsEach = Annotated[
    int,
    typer.Option(
        "--workers", min=0, metavar="N", help="Ray actors for each run; the runs then come one by one."
    ),
]
