#!/usr/bin/env python
"""L2H Fleet: devices with frozen models that learn when to ask a shared, limited server for help.

Try: python run_sim.py run outage
"""

# The command line, and the only place that wires the simulation to the learners and to the analysis.

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import reading
from progress import Teller, teller
from sim.engine import simulate
from sim.errors import BadInput, RunFailed, Stage
from sim.learned_files import write_learned
from sim.outages import mean_availability
from sim.run_folder import OWN_KEY, VERSIONS, claim, require_free, write_json
from sim.scenario import Scenario, json_schema, question_of, read, shipped, write
from sim.scenario.library import locate
from sim.whole_files import write_whole

VERSION = "0.1.0"
INTERRUPTED = 130  # what typer makes of Ctrl-C


class Interrupted(Exception):
    """Ctrl-C during a run, with a word on how to go on."""


PACKAGES = (
    "torch",
    "torchvision",
    "ray",
    "simpy",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)

app.add_typer(reading.app)

ScenarioName = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped scenario.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the scenario, e.g. fleet.sensors.clients=10."),
]
Seed = Annotated[int | None, typer.Option(help="Replaces the scenario's seed.")]


@app.command()
def run(
    scenario: ScenarioName,
    changes: Changes = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="The run folder (default: runs/NAME).")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Actors with clients (default: a core each).")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Everything in this process, without Ray.")] = False,
    ray_address: Annotated[str | None, typer.Option(help="Use this Ray cluster.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that the folder holds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Learns, simulates and analyses; prints the summary and leaves a run folder with a report."""
    if local and (workers or ray_address):
        raise BadInput("--local: goes with neither --workers nor --ray-address")
    actors = 0 if local else workers or os.cpu_count() or 1
    told = teller(quiet)
    try:
        # Whether the learners can do it, opening the fleet says, before anything is claimed or started.
        plan, question = read(scenario, changes or [], seed), question_of(locate(scenario))
        folder = out or Path("runs") / plan.name
        require_free(folder, force)
        try:
            execute(plan, question, folder, force, actors, ray_address, told)
        except KeyboardInterrupt:
            raise Interrupted("interrupted: give the same command with --force to start over") from None
    finally:
        told.close()
    show(folder)


@app.command()
def scenarios() -> None:
    """Lists the shipped scenarios and the question each one asks."""
    table = Table("scenario", "question", box=None, header_style="bold")
    for known in shipped():
        table.add_row(known.name, known.question)
    Console().print(table)


@app.command()
def check(scenario: ScenarioName, changes: Changes = None, seed: Seed = None) -> None:
    """Says whether a scenario can be run, without running it."""
    plan = load(scenario, changes or [], seed)
    groups = ", ".join(f"{group.clients} {group.group}" for group in plan.fleet)
    print(f"{plan.name}: fine ({groups}; {plan.horizon_s:g} s)")


@app.command()
def schema() -> None:
    """Prints the JSON schema of a scenario, for editors and other tools."""
    print(json.dumps(json_schema(), indent=2))


def load(scenario: str, changes: Sequence[str], seed: int | None) -> Scenario:
    """Reads a scenario and asks the learners whether they can do what it says. Raises BadInput."""
    plan = read(scenario, changes, seed)
    from agents.checks import validate  # noqa: PLC0415  (torch takes seconds to load; bad YAML should not)

    validate(plan)
    return plan


def execute(
    plan: Scenario,
    question: str,
    folder: Path,
    force: bool,
    workers: int,
    ray_address: str | None,
    told: Teller,
) -> None:
    """One whole run: build, learn, decide, run, report.

    The folder is claimed once everything else that the user gave has been found good. From then on the
    scenario's own file may be gone, since it may lie in that folder, and nothing is bad input any more.
    """
    from agents.fleet import open_fleet  # noqa: PLC0415
    from analysis import finish  # noqa: PLC0415

    seconds: dict[str, float] = {}
    observed = mean_availability(plan) if plan.training.availability == "observed" else None
    with open_fleet(
        plan, workers=workers, ray_address=ray_address, progress=told.tell, availability=observed
    ) as fleet:
        claim(folder, force)
        write_json(folder / VERSIONS, versions())
        write_whole(folder / "scenario.yaml", (f"# {question}\n" + write(plan)).encode())
        with stage("build", seconds, folder):
            fleet.build()
        with stage("learn", seconds, folder):
            fleet.learn()
        with stage("decide", seconds, folder):
            learned = fleet.decide()
        with stage("run", seconds, folder):
            done = simulate(plan, learned, folder, virtual_time(told, plan.horizon_s), learner=fleet)
            hashes = fleet.client_hashes()
            if hashes != learned.client_hashes:
                raise RunFailed("run", "a frozen client model changed during the run")
            write_learned(plan, learned, hashes, folder, done.learning)
    timing = {"requests": done.requests, "loop_s": done.loop_s, "path": done.path.told()}
    if done.loop_s > 0:  # a horizon of 0 has no loop
        timing["requests_per_s"] = done.requests / done.loop_s
    write_json(folder / "timing.json", timing | {"stages_s": seconds, "workers": workers})
    told.tell("report", 0, 1)
    with stage("report", seconds, folder):
        finish(folder)
    write_json(folder / "timing.json", timing | {"stages_s": seconds, "workers": workers})
    told.tell("report", 1, 1)


@contextmanager
def stage(name: Stage, seconds: dict[str, float], folder: Path) -> Iterator[None]:
    """Measures a stage's wall time; whatever breaks in it fails the run with the stage's name."""
    began = time.perf_counter()
    try:
        yield
    except RunFailed:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        with suppress(OSError):  # the disk may be what is broken
            write_whole(folder / "failure.txt", traceback.format_exc().encode())
            why += f" (details: {folder / 'failure.txt'})"
        raise RunFailed(name, why) from error
    seconds[name] = time.perf_counter() - began


def virtual_time(told: Teller, horizon_s: float) -> Callable[[float, int], None]:
    """A listener of the simulation that tells virtual time and the rate of requests."""
    began = time.perf_counter()

    def tell(at_s: float, requests: int) -> None:
        rate = requests / max(time.perf_counter() - began, 1e-9)
        told.tell("run", at_s, horizon_s, f"{at_s:g} of {horizon_s:g} s, {rate:,.0f} requests/s")

    return tell


def versions() -> dict[str, str]:
    """What the bytes of a run depend on besides its scenario."""
    own = {OWN_KEY: VERSION, "python": platform.python_version(), "machine": platform.machine()}
    return own | {name: version(name) for name in PACKAGES}


def show(folder: Path) -> None:
    """Prints the summary of a finished run and where its report is."""
    from analysis import summary_table  # noqa: PLC0415

    Console().print(summary_table(json.loads((folder / "summary.json").read_text())))
    print(f"report: {folder / 'report.html'}")


def main() -> int:
    """Runs the command line; gives the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        code: int = app(sys.argv[1:] or ["--help"], standalone_mode=False) or 0
    except typer.TyperException as error:  # a word too many, a number that is none
        return complain(getattr(error, "format_message", error.__str__)(), 2)
    except BadInput as error:
        return complain(str(error), 2)
    except RunFailed as error:
        return complain(str(error), 1)
    except Interrupted as error:
        return complain(str(error), INTERRUPTED)
    except OSError as error:  # a full disk, a folder that went away
        return complain(f"failed: {error}", 1)
    return complain("interrupted", code) if code == INTERRUPTED else code


def complain(why: str, code: int) -> int:
    """One line on stderr."""
    print(" ".join(why.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
