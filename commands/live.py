"""The commands of the wall's clock: clients of a scenario before a server that is there.
Part of the command line; `main` adds them to its own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.interrupts import CtrlC, ending_at_once
from commands.options import Changes, Quietly, ScenarioName, Seed
from sim.errors import BadInput

if TYPE_CHECKING:
    from sim.scenario import Scenario

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class ServerKind(StrEnum):
    serve = "serve"
    processes = "processes"


class Service(StrEnum):
    slept = "slept"
    model = "model"


class Via(StrEnum):
    handle = "handle"
    http = "http"


For = Annotated[
    float | None, typer.Option("--for", min=1, metavar="S", help="Seconds of the run, in place of horizon_s.")
]
Speed = Annotated[
    float,
    typer.Option(min=0.01, max=100, metavar="X", help="Seconds of the run in each second of wall time."),
]
Server = Annotated[
    ServerKind,
    typer.Option("--server", help="Ray Serve, or plain processes with a queue of their own."),
]
Busy = Annotated[
    Service,
    typer.Option("--service", help="Slept as the scenario draws it, or the trained model answers for real."),
]
How = Annotated[Via, typer.Option("--via", help="How Serve is asked.")]
Port = Annotated[
    int,
    typer.Option(
        min=0, max=65535, metavar="N", help="On the loopback device, of HTTP or the queue; 0: a free one."
    ),
]


def read_for(scenario: str, changes: list[str] | None, seed: int | None, for_s: float | None) -> Scenario:
    """The scenario, of another length where one is given; a length that it cannot have is told as such."""
    from sim.scenario import read

    plan = read(scenario, changes or [], seed)
    if for_s is None:
        return plan
    try:
        return read(scenario, [*(changes or []), f"horizon_s={for_s!r}"], seed)
    except BadInput as error:
        raise error.told(f"--for {for_s:g}: ") from None


@app.command()
def live(
    scenario: ScenarioName,
    changes: Changes = None,
    for_s: For = None,
    speed: Speed = 1.0,
    server: Server = ServerKind.processes,
    service: Busy = Service.slept,
    via: How = Via.handle,
    port: Port = 0,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder (default: runs/NAME-live).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that the folder holds.")] = False,
    quiet: Quietly = False,
) -> None:
    """Plays a scenario in real time before a real server.

    Its clients are those of the simulation; replicas are processes that stop and start for its outages.
    """
    with ending_at_once():
        from commands import one_run
        from commands.main import Interrupted, show
        from commands.progress import reporter_for
        from live.playing import Served, live_path
        from sim.results.run_folder import require_free
        from sim.scenario import question_of
        from sim.scenario.library import locate

    plan, question = read_for(scenario, changes, seed, for_s), question_of(locate(scenario))
    folder = out or Path("runs") / f"{plan.name}-live"
    require_free(folder, force)
    progress, ctrl_c = reporter_for(quiet), CtrlC()
    served = Served(server.value, via.value, port, speed, service.value)
    try:
        with (
            ctrl_c.handled(lambda: "interrupted"),
            live_path(
                plan,
                served,
                lambda word: progress.report("server", 0, 1, word),
                lambda: ctrl_c.is_pressed,
            ) as path,
        ):
            progress.report("server", 1, 1, "is there")
            one_run.execute(plan, question, folder, force, 0, None, progress, ctrl_c=ctrl_c, live=path)
    except KeyboardInterrupt:
        raise Interrupted("interrupted: a live run begins anew with --force") from None
    finally:
        progress.close()
    show(folder)
