"""Rules of data sets that a user brings as a file, tables of answers first of all.
Part of the table in `sim.scenario.rules.checks`; each file is read to its end, so no run stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from sim.registry.data_sets import DATA_SETS
from sim.registry.partitions import Ids
from sim.registry.scores import SCORES
from sim.scenario.files.answers import AnswerTable, answer_table
from sim.scenario.files.partition_ids import partition_ids
from sim.scenario.files.rows import BadFile
from sim.scenario.rules.servers import server_models
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.server import ServerModel
from sim.scenario.text.draft import Path
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]
TRAINED = ("rejector",)  # pools that rejectors train on
NEEDED = ("calibration", "traffic")
NAMED = "torchvision"


def files_are_named_where_they_are_read(scenario: Scenario) -> Iterator[Breach]:
    data = scenario.data
    if DATA_SETS[data.set].is_brought and data.file is None:
        yield ("data", "file"), None, f"set: {data.set} needs a file"
    elif data.file is not None and not DATA_SETS[data.set].is_brought:
        brought = ", ".join(name for name, kind in DATA_SETS.items() if kind.is_brought)
        yield ("data", "file"), data.file, f"is for set: {brought}, not {data.set}"


def names_and_sizes_are_of_pictures(scenario: Scenario) -> Iterator[Breach]:
    data = scenario.data
    if (data.name is None) == (data.set == NAMED):
        rule = f"set: {NAMED} needs a name" if data.name is None else f"is for set: {NAMED}, not {data.set}"
        yield ("data", "name"), data.name, rule
    if data.image_size is not None and data.set not in (NAMED, "image_folder"):
        rule = f"is for set: image_folder or {NAMED}, not {data.set}"
        yield ("data", "image_size"), data.image_size, rule


def tables_can_be_read(scenario: Scenario) -> Iterator[Breach]:
    data = scenario.data
    if DATA_SETS[data.set].has_answers and data.file is not None:
        try:
            answer_table(data.file)
        except BadFile as error:
            yield ("data", "file"), data.file, f"{PurePath(data.file).name}: {error}"


def keys_of_tables_go_with_tables(scenario: Scenario) -> Iterator[Breach]:
    if DATA_SETS[scenario.data.set].has_answers:
        return
    written: list[tuple[Path, Any]] = [
        ((*path, "answers"), model.answers) for path, model in server_models(scenario)
    ]
    for index, group in enumerate(scenario.fleet):
        written.append((("fleet", index, "model", "answers"), group.model.answers))
        if SCORES[group.policy.score].is_given:
            written.append((("fleet", index, "policy", "score"), group.policy.score))
    if scenario.data.cost_scale != 1.0:
        written.append((("data", "cost_scale"), scenario.data.cost_scale))
    for path, value in written:
        if value is not None:
            yield path, value, f"is for set: table, not {scenario.data.set}"


def pools_that_train_are_not_empty(scenario: Scenario) -> Iterator[Breach]:
    names = ("client", "server", "rejector", "calibration", "traffic")
    has_answers, table = DATA_SETS[scenario.data.set].has_answers, table_of(scenario)
    if table is not None and table.pool is not None:
        return  # its rows say in which pool they are
    trains = any(_trained(scenario, group) for group in scenario.fleet)
    needed = (*(TRAINED if trains else ()), *NEEDED) if has_answers else names
    for name, share in zip(names, scenario.data.pools, strict=True):
        if name in needed and not share:
            yield ("data", "pools"), scenario.data.pools, f"the share of {name} must be greater than 0"


def given_answers_train_nothing(scenario: Scenario) -> Iterator[Breach]:
    """What would need a model, or pictures, where there are answers alone."""
    if not DATA_SETS[scenario.data.set].has_answers:
        return
    if scenario.training.online is not None:
        rule = "the answers of the server are given: nothing is trained during the run, so it must be null"
        yield ("training", "online"), "...", rule
    for index, group in enumerate(scenario.fleet):
        if group.partition.kind != "iid":
            rule = "the answers of the clients are given, and trained on nothing: must be iid"
            yield ("fleet", index, "partition", "kind"), group.partition.kind, rule
        for number, drift in enumerate(group.traffic.drift):
            if drift.noise is not None:
                rule = "the answers are given for samples as they are: must be null"
                yield ("fleet", index, "traffic", "drift", number, "noise"), drift.noise, rule


def partitions_are_listed(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        partition = group.partition
        if not isinstance(partition, Ids):
            continue
        path: Path = ("fleet", index, "partition", "file")
        if scenario.data.samples is not None:
            rule = "lists samples by their number in the whole set: data.samples must be null"
            yield path, partition.file, rule
        try:
            count = len(partition_ids(partition.file))
        except BadFile as error:
            yield path, partition.file, f"{PurePath(partition.file).name}: {error}"
            continue
        if count < group.model.variants:
            rule = f"it has {count} partitions, and the group has {group.model.variants} variants, one each"
            yield path, partition.file, f"{PurePath(partition.file).name}: {rule}"


def models_are_in_the_table(scenario: Scenario) -> Iterator[Breach]:
    table = table_of(scenario)
    if table is None:
        return
    for at, model in server_models(scenario):
        path, server = (*at, "answers"), model.answers
        if server is None and len(table.servers) > 1:
            yield path, None, f"the table has several, so one must be named: {', '.join(table.servers)}"
        elif server is not None and server not in table.servers:
            yield path, server, f"the table has no such server: {nearest(server, list(table.servers))}"
    for index, group in enumerate(scenario.fleet):
        here: Path = ("fleet", index, "model")
        named = group.model.answers
        for place, name in enumerate(named or ()):
            if name not in table.clients:
                rule = f"the table has no such variant: {nearest(name, list(table.clients))}"
                yield (*here, "answers", place), name, rule
        count = len(table.clients if named is None else named)
        if group.model.variants != count:
            what = "the table has" if named is None else "answers names"
            yield (*here, "variants"), group.model.variants, f"{what} {count}: must be {count}"


def scores_have_what_they_need(scenario: Scenario) -> Iterator[Breach]:
    table = table_of(scenario)
    if table is None:
        return
    for index, group in enumerate(scenario.fleet):
        path: Path = ("fleet", index, "policy", "score")
        for score in sorted({group.policy.score, *((scenario.study and scenario.study.score) or ())}):
            if lacks := _lacks(table, group, score):
                yield path if score == group.policy.score else ("study", "score"), score, lacks
        if SCORES[group.policy.score].is_given:
            yield from _given_score(table, group, index)


def costs_of_a_table_are_not_studied(scenario: Scenario) -> Iterator[Breach]:
    table, study = table_of(scenario), scenario.study
    if table is None or study is None or study.c_e is None:
        return
    if any(server.cost is not None for server in table.servers.values()):
        rule = "each sample of the table has its own cost: vary data.cost_scale instead"
        yield ("study", "c_e"), study.c_e, rule


def options_have_the_costs_of_the_table(scenario: Scenario) -> Iterator[Breach]:
    table = table_of(scenario)
    if table is None or all(server.cost is None for server in table.servers.values()):
        return
    for index, group in enumerate(scenario.fleet):
        for position, option in enumerate(group.options or ()):
            if option.c_e is not None:
                path: Path = ("fleet", index, "options", position, "c_e")
                yield path, option.c_e, "each sample of the table has its own cost: must be null"


def table_of(scenario: Scenario) -> AnswerTable | None:
    """The table of a scenario; None if it has none, or one that cannot be read, as another rule says."""
    data = scenario.data
    if not DATA_SETS[data.set].has_answers or data.file is None:
        return None
    try:
        return answer_table(data.file)
    except BadFile:
        return None


def mean_work(scenario: Scenario) -> float:
    """What service times are multiplied by on average over the samples, by the model that works most; 1 where
    nothing says so."""
    return max(_mean_work(table_of(scenario), model) for _, model in server_models(scenario))


def _mean_work(table: AnswerTable | None, model: ServerModel) -> float:
    name = model.answers
    if table is None or (name is None and len(table.servers) > 1) or (name and name not in table.servers):
        return model.work
    server = table.servers[name] if name else next(iter(table.servers.values()))
    return model.work * (1.0 if server.work is None else float(server.work.mean()))


def _trained(scenario: Scenario, group: Group) -> bool:
    studied = (scenario.study and scenario.study.score) or ()
    return any(SCORES[score].needs_rejector for score in (group.policy.score, *studied))


def _lacks(table: AnswerTable, group: Group, score: str) -> str:
    """What of the table a score would need and does not find; "" where there is all."""
    known = SCORES[score]
    variants = [table.clients[name] for name in group.model.answers or table.clients if name in table.clients]
    has_probabilities = all(variant.logits is not None for variant in variants)
    if known.needs == "label" and table.is_graded:
        return "compares classes, and the answers of the table are graded"
    has = {"probability": has_probabilities, "logits": all(variant.has_logits for variant in variants)}
    if not has.get(known.needs, True):
        what = {"probability": "probabilities"}.get(known.needs, known.needs)
        return f"needs {what} of the clients ({known.needs}.NAME.0, ...), which the table does not have"
    if not known.needs_rejector:
        return ""
    looks = group.rejector.input
    there = {"raw": table.features.shape[1] > 0, "features": has_probabilities}
    if looks != "raw+features" and not there[looks]:
        what = "features.NAME" if looks == "raw" else "probability.NAME.0, ..."
        return f"its rejector looks at {looks}, and the table has no {what}"
    if not any(there.values()):
        return "is trained, and the table has neither features nor probabilities to learn from: use given"
    return ""


def _given_score(table: AnswerTable, group: Group, index: int) -> Iterator[Breach]:
    path: Path = ("fleet", index, "policy", "column")
    names, column = list(dict.fromkeys(name for name, _ in table.scores)), group.policy.column
    if not names:
        yield path, column, "the table has no score.NAME"
    elif column is None and len(names) > 1:
        yield path, None, f"the table has several, so one must be named: {', '.join(names)}"
    elif column is not None and column not in names:
        yield path, column, f"the table has no such score: {nearest(column, names)}"
    else:
        name = names[0] if column is None else column
        for variant in group.model.answers or table.clients:
            if not {(name, ""), (name, variant)} & table.scores.keys():
                yield path, name, f"the table has no score.{name}.{variant}"


TABLE_CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    files_are_named_where_they_are_read,
    names_and_sizes_are_of_pictures,
    tables_can_be_read,
    keys_of_tables_go_with_tables,
    pools_that_train_are_not_empty,
    given_answers_train_nothing,
    partitions_are_listed,
    models_are_in_the_table,
    scores_have_what_they_need,
    costs_of_a_table_are_not_studied,
    options_have_the_costs_of_the_table,
)
