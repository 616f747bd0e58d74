"""L2H Fleet: devices with frozen models that learn when to ask a shared, limited server for help.

Try: run outage
"""

# The command line, which `commands.entry` enters; `commands.one_run` is what a run consists of.

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from analysis.time_in_words import span
from commands import capacity, fidelity, homes, live, many_runs, placement, planning, reading, replay
from commands.interrupts import EXIT_CODE, CtrlC, ending_at_once
from commands.options import CHECKPOINT_EVERY_S, Changes, Quietly, RayAddress, ScenarioName, Seed
from commands.terminal import Terminal, printable
from sim import __version__
from sim.another_process import cores
from sim.errors import BadInput, RunFailed


class Interrupted(Exception):
    """Ctrl-C during a run, with a word on how to go on."""


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)

app.add_typer(reading.app)
app.add_typer(many_runs.app)
app.add_typer(capacity.app)
app.add_typer(placement.app)
app.add_typer(homes.app)
app.add_typer(planning.app)
app.add_typer(live.app)
app.add_typer(fidelity.app)
app.add_typer(replay.app)


def tell_version(is_asked: bool) -> None:
    """Says which version this is, and of which commit where that is known."""
    if is_asked:
        from sim.results.commit import commit

        of = commit()
        print(f"l2h-fleet {__version__}" + (f" ({of})" if of else ""))
        raise typer.Exit


@app.callback()
def before(
    _version: Annotated[
        bool, typer.Option("--version", callback=tell_version, is_eager=True, help="Say the version.")
    ] = False,
    plugins: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            metavar="FILE",
            help="Run this Python file, which registers kinds of one's own; may stand anywhere, repeatedly.",
        ),
    ] = None,
) -> None:
    """What stands before a command."""
    from commands.plugins.loading import load, load_installed

    load_installed()
    for path in plugins or []:
        load(path)


@app.command()
def run(
    scenario: ScenarioName,
    changes: Changes = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder (default: runs/NAME).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Ray actors with clients (default: a core each).")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Everything in this process, without Ray.")] = False,
    ray_address: RayAddress = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that broke off there.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the run that the folder holds.")] = False,
    checkpoint_every: Annotated[
        float, typer.Option(min=0, metavar="S", help="Wall seconds between checkpoints; 0: every window.")
    ] = CHECKPOINT_EVERY_S,
    quiet: Quietly = False,
) -> None:
    """Runs a scenario: learns, simulates, analyses.

    Prints the summary and leaves a run folder with a report.
    """
    if local and (workers or ray_address):
        raise BadInput("--local: goes with neither --workers nor --ray-address")
    if resume and force:
        raise BadInput("--resume: goes on with a run, --force starts it over: give one of them")
    with ending_at_once():
        from commands import one_run
        from commands.progress import reporter_for
        from sim.results.run_folder import require_free
        from sim.scenario import question_of, read
        from sim.scenario.library import locate

    actors = 0 if local else workers or cores()
    progress, ctrl_c = reporter_for(quiet), CtrlC()
    try:
        # Whether the learners can do it, opening the fleet says, before anything is claimed or started.
        plan, question = read(scenario, changes or [], seed), question_of(locate(scenario))
        folder = out or Path("runs") / plan.name
        if not resume:
            require_free(folder, force)
        try:
            with ctrl_c.handled(lambda: interrupted(folder, force)):
                one_run.execute(
                    plan,
                    question,
                    folder,
                    force,
                    actors,
                    ray_address,
                    progress,
                    resume,
                    checkpoint_every,
                    ctrl_c,
                )
        except KeyboardInterrupt:
            raise Interrupted(interrupted(folder, force)) from None
        except RunFailed as error:
            if not isinstance(error.__cause__, OSError):
                raise
            why = f"{error.why}; once that is mended, {how_to_go_on(folder, force)}"
            raise RunFailed(error.stage, why) from error
    finally:
        progress.close()
    show(folder)


def interrupted(folder: Path, force: bool) -> str:
    """The line that Ctrl-C leaves."""
    return f"interrupted: {how_to_go_on(folder, force)}"


def how_to_go_on(folder: Path, force: bool) -> str:
    """What to do after a run broke off."""
    from sim.results.resuming import is_broken_off

    if not is_broken_off(folder):
        return "nothing had begun"
    return f"give the same command with --resume{' in place of --force' if force else ''} to go on"


@app.command()
def scenarios() -> None:
    """Lists shipped scenarios and studies, and what each asks."""
    from sim.scenario.library import FOLDER, STUDIES, shipped

    for what, folder in (("scenario", FOLDER), ("study", STUDIES)):
        table = Table(what, "question", box=None, header_style="bold")
        for known in shipped(folder):
            table.add_row(known.name, known.question)
        Terminal().print(table)


@app.command()
def check(scenario: ScenarioName, changes: Changes = None, seed: Seed = None) -> None:
    """Says whether a scenario or study can run; runs nothing."""
    with ending_at_once():
        from commands.checking import check_study, load
        from sim.scenario.rules.estimates import estimate, in_words
        from sim.scenario.rules.traces import traces_in_words
        from sim.scenario.schema.policy_study import is_study
    if is_study(scenario):
        check_study(scenario, changes or [], seed)
        return
    plan = load(scenario, changes or [], seed)
    groups = ", ".join(f"{group.clients} {group.group}" for group in plan.fleet)
    print(f"{plan.name}: fine ({groups}; {span(plan.horizon_s)})")
    if plan.horizon_s:
        print(in_words(estimate(plan)))
    for line in traces_in_words(plan):
        print(line)


@app.command()
def schema() -> None:
    """Prints the JSON schema of a scenario, for editors."""
    from sim.scenario import json_schema

    print(json.dumps(json_schema(), indent=2))


def show(folder: Path) -> None:
    """Prints the summary of a finished run and where its report is."""
    from analysis import summary_table

    Terminal().print(summary_table(json.loads((folder / "summary.json").read_text())))
    cost = json.loads((folder / "timing.json").read_text())["checkpoints"]
    print(f"checkpoints: {cost['written']} in {cost['wall_s']:.2f} s, {cost['share']:.1%} of the run")
    print(f"report: {folder / 'report.html'}")


def refused(error: OSError) -> int:
    """The exit code for what the system refused, after a word on it; a path that is too long is bad input."""
    from sim.results.whole_files import in_words

    if isinstance(error, BrokenPipeError):  # who read the results has had enough, as `head` does
        return 1
    is_bad_input = error.errno == errno.ENAMETOOLONG
    return complain(in_words(error), 2) if is_bad_input else complain(f"failed: {in_words(error)}", 1)


def main() -> int:
    """Runs the command line; gives the exit code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    try:
        with CtrlC().handled(lambda: "interrupted"):
            code: int = app(plugins_first(sys.argv[1:]) or ["--help"], standalone_mode=False) or 0
            sys.stdout.flush()
    except typer.TyperException as error:  # a word too many, a number that is none
        return complain(getattr(error, "format_message", error.__str__)(), 2)
    except BadInput as error:
        return complain(error.args, 2)
    except RunFailed as error:
        return complain(str(error), 1)
    except Interrupted as error:
        return complain(str(error), EXIT_CODE)
    except OSError as error:  # a full disk, a folder that went away
        return refused(error)
    return complain("interrupted", code) if code == EXIT_CODE else code


def plugins_first(words: list[str]) -> list[str]:
    """The words of a command line with every `--plugin FILE` before the command."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--plugin":
            file = next(waiting, None)
            if file is None:
                raise BadInput("--plugin: needs a file")
            first += [word, file]
        else:
            (first if word.startswith("--plugin=") else rest).append(word)
    return first + rest


def complain(why: str | tuple[str, ...], code: int) -> int:
    """One line on stderr, or several."""
    for line in (why,) if isinstance(why, str) else why:
        print(printable(" ".join(str(line).split())), file=sys.stderr)
    return code
