"""One run from its scenario to its report: builds, learns, decides, simulates, analyses.
The only place that wires the simulation to learners and analysis; `main` and `run_cache` call it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.time_in_words import span
from commands.interrupts import CtrlC, ending_at_once
from commands.learnings import Learning, Learnings, heard
from commands.options import CHECKPOINT_EVERY_S
from commands.plugins.loading import call_hooks, preparation
from commands.progress import Reporter
from commands.sources import sources, sources_now
from commands.stages import Spent, beside, path_of, stage, timing_of, virtual_time
from sim.errors import RunFailed
from sim.messages import Learned
from sim.results.checkpoints import LEARNED, Checkpoints
from sim.results.learned_files import write_learned
from sim.results.packages import provenance, versions
from sim.results.resuming import begun_with, claimed, require_resumable
from sim.results.run_folder import LIVE, VERSIONS, write_json, write_sums
from sim.results.whole_files import write_whole
from sim.scenario import Scenario, write
from sim.scenario.learning_part import learning_part
from sim.scenario.text.writing import written
from sim.simulation import Simulated, simulate
from sim.world.arrivals.beside import drawn_beside, is_worth_drawing_beside
from sim.world.arrivals.source import ArrivalSource, ScenarioArrivals
from sim.world.windows import EvenWindows, WindowsByWork
from sim.world.world import World

if TYPE_CHECKING:
    from agents.fleet import Fleet
    from live.playing import LivePath

KEPT = "kept from before"
WAITING = "waiting for another process that learns the same"


def execute(
    plan: Scenario,
    question: str,
    folder: Path,
    force: bool,
    workers: int,
    ray_address: str | None,
    progress: Reporter,
    resume: bool = False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ctrl_c: CtrlC | None = None,
    pictures: bool = True,
    models: Mapping[str, Any] | None = None,
    live: LivePath | None = None,
    is_one_of_many: bool = False,
) -> None:
    """One whole run: build, learn, decide, run, report; with `resume`, what of it is missing.

    models: objects of a caller in Python in place of models that would be trained, by name, `server` or
    `fleet.GROUP`; what they say decides the run, so it is a part of what is kept and resumed. live: plays it
    on the wall's clock, before a server that is there. is_one_of_many: whether others use the other cores.

    The folder is claimed once everything else that the user gave has been found good. From then on the
    scenario's own file may be gone, since it may lie in that folder, and nothing is bad input any more.
    """
    with ending_at_once():
        from agents.brought_names import libraries_of
        from agents.data.folders import contents

        said = _said_by(models, plan) | libraries_of(plan)
        from analysis import finish

    spent = Spent({}, {})
    ctrl_c, begun = ctrl_c or CtrlC(), begun_with(plan, versions()) | said
    if live is not None:
        begun |= {"live": live.why}
    if resume:
        require_resumable(folder, begun)
    world = World(plan)
    observed = world.availabilities[0] if plan.training.availability == "observed" else None
    part = learning_part(plan, observed)
    learnings = Learnings(part, contents(plan.data) | said)
    with ExitStack() as until_finished, ExitStack() as until_learned, ExitStack() as while_needed:
        until_learned.enter_context(learnings.my_turn(lambda: progress.report("learn", 0, 1, WAITING)))
        kept, told = learnings.find(), until_learned.enter_context(heard())
        is_asked = live is not None and live.served.asks_model
        fleet = while_needed.enter_context(
            learners(part, kept, workers, ray_address, progress, models, is_asked)
        )
        until_finished.enter_context(claimed(folder, force, resume))
        is_beside = until_finished.enter_context(beside([] if live else [plan], progress))
        write_json(folder / VERSIONS, provenance())
        write_whole(folder / "scenario.yaml", (f"# {question}\n" + write(plan)).encode())
        checkpoints = Checkpoints(folder, checkpoint_every_s)
        checkpoints.begin(begun)
        learned = learn(fleet, kept, folder, checkpoints, spent, progress)
        if fleet is not None and kept is None:
            learnings.keep(Learning(learned, fleet.state(), told))
        until_learned.close()
        arriving = arrivals(world, live is not None or is_one_of_many)
        done = run(
            world, learned, fleet, folder, checkpoints, spent, progress, ctrl_c, is_beside, arriving, live
        )
        while_needed.close()
        timing = timing_of(done, spent, checkpoints.cost) | {"workers": workers}
        write_json(folder / "timing.json", timing)
        progress.report("report", 0, 1)
        with stage("report", spent, folder):
            finish(folder, pictures, said=written(plan))
        write_json(folder / "timing.json", timing | spent.as_json())
        checkpoints.discard()
    progress.report("report", 1, 1)
    call_hooks(folder)


def _said_by(models: Mapping[str, Any] | None, plan: Scenario) -> dict[str, str]:
    """A digest of what each object says, by name; nothing where there are none."""
    if not models:
        return {}
    from agents.models.own_models import digests_of

    return digests_of(models, plan)


@contextmanager
def learners(
    part: Scenario,
    kept: Learning | None,
    workers: int,
    ray_address: str | None,
    progress: Reporter,
    models: Mapping[str, Any] | None = None,
    is_asked: bool = False,
) -> Iterator[Fleet | None]:
    """The learners; None where nobody will ask them, since all that they would give before t = 0 is kept and
    nothing is trained later. is_asked: their model is."""
    if kept is not None and not part.learns_in_run and not is_asked:
        yield None
        return
    with ending_at_once():
        from agents.fleet import open_fleet  # torch takes seconds
    with open_fleet(
        part,
        workers=workers,
        ray_address=ray_address,
        progress=progress.report,
        models=models,
        prepare=preparation(),
    ) as fleet:
        yield fleet


def learn(
    fleet: Fleet | None,
    kept: Learning | None,
    folder: Path,
    checkpoints: Checkpoints,
    spent: Spent,
    progress: Reporter,
) -> Learned:
    """The stages before the run, from what is kept of this run or of another one."""
    if kept is not None:
        progress.report("learn", 1, 1, KEPT)
    if fleet is None:
        assert kept is not None
        return kept.learned
    with stage("build", spent, folder):
        fleet.build()
    with stage("learn", spent, folder):
        known = checkpoints.learned()
        if known:
            progress.report("learn", 1, 1, KEPT)
            fleet.restore(known["learners"])
        elif kept is not None and kept.state is not None:
            fleet.restore(dict(kept.state))
            fleet.go_on(kept.learned)
            return kept.learned
        else:
            fleet.learn()
            checkpoints.save(LEARNED, {"learners": fleet.state()})
    with stage("decide", spent, folder):
        return fleet.decide()


@contextmanager
def arrivals(world: World, is_drawn_here: bool) -> Iterator[ArrivalSource]:
    """Those of the scenario; drawn in another process where that pays and would load the code of this one."""
    if not is_drawn_here and is_worth_drawing_beside(world.scenario) and sources() == sources_now():
        with drawn_beside(world, WindowsByWork(world)) as source:
            yield source
    else:
        yield ScenarioArrivals(world)


def run(
    world: World,
    learned: Learned,
    fleet: Fleet | None,
    folder: Path,
    checkpoints: Checkpoints,
    spent: Spent,
    progress: Reporter,
    ctrl_c: CtrlC,
    is_beside: bool,
    arriving: AbstractContextManager[ArrivalSource],
    live: LivePath | None = None,
) -> Simulated:
    """The run from where the checkpoints say; the tables of the folder are then there."""
    plan, since = world.scenario, checkpoints.newest()
    if since:
        progress.report("going on", 1, 1, f"from {span(since['loop']['at_s'])}")
    if live is not None and live.served.asks_model:
        assert fleet is not None
        progress.report("server", 0, 1, "replicas load the model")
        live.take_model(fleet.server_to_run())
    with stage("run", spent, folder), arriving as source, ctrl_c.at_safe_points():
        done = simulate(
            world,
            learned,
            folder,
            virtual_time(progress, plan.horizon_s),
            source,
            learner=fleet,
            checkpoints=checkpoints,
            since=since,
            is_to_stop=lambda: ctrl_c.is_pressed,
            path=live or path_of(plan, progress, is_beside),
            windows=EvenWindows(plan.horizon_s) if live else None,
        )
        if live is not None:
            write_json(folder / LIVE, live.observed())
        hashes = fleet.client_hashes() if fleet else learned.client_hashes
        if hashes != learned.client_hashes:
            raise RunFailed("run", "a frozen client model changed during the run")
        write_learned(
            world, learned, hashes, folder, done.learning, done.prototypes, done.heads, done.hand_over
        )
        write_sums(folder, checkpoints.written)
    return done
