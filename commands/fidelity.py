"""The commands that hold a simulated scenario against a real server: calibrate and fidelity.
Part of the command line; `main` adds them to its own, and benchmarks call `play_live`."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.interrupts import CtrlC, ending_at_once
from commands.live import Busy, For, How, Port, Server, ServerKind, Service, Speed, Via, read_for
from commands.options import Changes, Quietly, ScenarioName, Seed
from commands.progress import Quiet, Reporter
from commands.terminal import Terminal

if TYPE_CHECKING:
    from live.calibration import Calibrated
    from live.playing import Served
    from sim.scenario import Scenario
    from sim.scenario.schema.fleet import Link

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FILES = {"fidelity.json", "fidelity.html", "simulated", "calibrated"}


@app.command()
def calibrate(
    scenario: ScenarioName,
    changes: Changes = None,
    speed: Speed = 1.0,
    server: Server = ServerKind.processes,
    service: Busy = Service.slept,
    via: How = Via.handle,
    port: Port = 0,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The scenario that comes out (default: NAME-calibrated.yaml)."),
    ] = None,
) -> None:
    """Measures a real server without load, and writes the scenario with what it takes.

    The service of a batch by its size, and what lies around it.
    """
    with ending_at_once():
        from live.calibration import described
        from live.playing import Served
        from sim.results.whole_files import require_writable_file, write_whole
        from sim.scenario import question_of, read, write
        from sim.scenario.library import locate

    plan, question = read(scenario, changes or [], seed), question_of(locate(scenario))
    out = out or Path(f"{plan.name}-calibrated.yaml")
    require_writable_file(out, "--out")  # before minutes of measuring
    served = Served(server.value, via.value, port, speed, service.value)
    found = measured(plan, served)
    lines = described(found)
    fitted = with_measured(plan, found)
    head = [question, *provenance(served), *lines]
    write_whole(out, ("".join(f"# {line}\n" for line in head) + write(fitted)).encode())
    print("\n".join(lines))
    print(f"scenario: {out}")


@app.command()
def fidelity(
    scenario: ScenarioName,
    changes: Changes = None,
    for_s: For = None,
    speed: Speed = 1.0,
    server: Server = ServerKind.processes,
    service: Busy = Service.slept,
    via: How = Via.handle,
    port: Port = 0,
    repeats: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Real runs.")] = 5,
    seed: Seed = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="For the runs and the page (default: runs/NAME-fidelity)."),
    ] = None,
    quiet: Quietly = False,
) -> None:
    """Holds the simulation of a scenario against real runs of the same requests.

    It is simulated as written, and with what was measured of the server without load; both are held against
    the same real runs, each number beside their spread.
    """
    with ending_at_once():
        from analysis.reports.fidelity import fidelity_table, write_fidelity
        from commands.main import Interrupted
        from commands.progress import reporter_for
        from live.playing import Served

    plan = read_for(scenario, changes, seed, for_s)
    folder = out or Path("runs") / f"{plan.name}-fidelity"
    require_fidelity(folder)
    served = Served(server.value, via.value, port, speed, service.value)
    ctrl_c, progress = CtrlC(), reporter_for(quiet)
    try:
        with ctrl_c.handled(lambda: "interrupted"):
            found = measured(plan, served)
            simulated = {"as written": plan, "calibrated": with_measured(plan, found)}
            folders = {name: folder / name.replace("as written", "simulated") for name in simulated}
            for name, one in simulated.items():
                play(one, folders[name], progress, ctrl_c)
            real = [folder / f"real-{number}" for number in range(1, repeats + 1)]
            for number, one_run in enumerate(real):
                progress.report("real runs", number, repeats)
                play_live(plan, served, one_run, Quiet(), ctrl_c)
            progress.report("real runs", repeats, repeats)
            told = {name: value for name, value in found._asdict().items() if name != "sizes"}
            result = write_fidelity(folders, real, folder, told)
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    finally:
        progress.close()
    Terminal().print(fidelity_table(result), width=140)
    print(f"page: {folder / 'fidelity.html'}")


def require_fidelity(folder: Path) -> None:
    """Raises BadInput for a folder that holds other things."""
    from sim.errors import BadInput

    own = FILES | {f"real-{number}" for number in range(1, 101)}
    if folder.exists() and not (folder.is_dir() and all(one.name in own for one in folder.iterdir())):
        raise BadInput(f"--out {folder}: exists and holds other things than a comparison with real runs")


def play(plan: Scenario, folder: Path, progress: Reporter, ctrl_c: CtrlC) -> None:
    """A simulated run, without pictures; what the folder held is replaced."""
    from commands import one_run

    one_run.execute(plan, plan.name, folder, True, 0, None, progress, ctrl_c=ctrl_c, pictures=False)


def play_live(plan: Scenario, served: Served, folder: Path, progress: Reporter, ctrl_c: CtrlC) -> None:
    """A run in real time, without pictures; what the folder held is replaced."""
    from commands import one_run
    from live.playing import live_path

    with live_path(plan, served, _silent, lambda: ctrl_c.is_pressed) as path:
        one_run.execute(
            plan, plan.name, folder, True, 0, None, progress, ctrl_c=ctrl_c, pictures=False, live=path
        )


def measured(plan: Scenario, served: Served) -> Calibrated:
    """What the server of a scenario takes without load."""
    from commands.learnings import trained_server
    from live.calibration import calibrate as measure
    from live.playing import live_path

    with live_path(plan, served, _silent, lambda: False) as path:
        if served.asks_model:
            path.take_model(trained_server(plan))
        return measure(path)


def with_measured(plan: Scenario, found: Calibrated) -> Scenario:
    """The scenario with the measured service and ways, under the same name and seed. Links whose latency is
    drawn stay as they are."""
    service = plan.one_server.service.model_copy(update=found.changes())

    def slower(link: Link | None) -> Link | None:
        if link is None or not isinstance(link.latency, float):
            return link
        return link.model_copy(update={"latency": link.latency + found.each_way_s})

    fleet = []
    for group in plan.fleet:
        options = group.options and tuple(
            option.model_copy(update={"link": slower(option.link)}) for option in group.options
        )
        fleet.append(group.model_copy(update={"link": slower(group.link), "options": options}))
    server = plan.one_server.model_copy(update={"service": service})
    return plan.model_copy(update={"server": server, "fleet": tuple(fleet)})


def provenance(served: Served) -> list[str]:
    """Where and when it was measured, a line each."""
    from sim.results.packages import versions

    own = versions()
    machine = f"{platform.machine()}, {platform.processor() or 'processor unknown'}, {platform.system()}"
    return [
        f"calibrated {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine}, python {own['python']}",
        f"server: {served.server}, via {served.via}, speed {served.speed:g}, service {served.service}",
    ]


def _silent(_word: str) -> None:
    """Nobody hears that a server comes up."""
