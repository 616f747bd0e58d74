"""A study of policies: one scenario, several ways to decide, the same seeds for all of them.
Read from scenarios/studies/*.yaml; refused here where the policies would not meet the same traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sim.errors import BadInput
from sim.scenario.library import STUDIES, is_file, locate, question_of
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.values import Name, Part
from sim.scenario.text import complaints
from sim.scenario.text.draft import UNKNOWN, Draft, Finding, complaint, refusal
from sim.scenario.text.grid import changed, with_seeds
from sim.scenario.text.overrides import Change, put, split_option
from sim.scenario.text.reading import changed_draft, read_draft
from sim.scenario.text.wording import nearest, show
from sim.scenario.text.yaml_text import parse

LEAST_SEEDS = 3  # fewer show no spread to speak of
OF_STUDY = ("seeds", "baseline")  # what may be changed of the study itself, beside its scenario
TRAFFIC = ("horizon_s", "warm_up_s", "seed", "data")
TRAFFIC_OF_GROUP = ("group", "clients", "partition", "traffic", "arrivals")


class PolicyEntry(Part):
    """A policy: its name, and what it changes in the scenario, values by path as with `--set`."""

    name: Name
    set: Mapping[str, Any] = Field(default_factory=dict)


class PolicyStudy(Part):
    """The document.

    set: changes the scenario for every policy; baseline: what they are held against, without one the first.
    """

    scenario: str
    seeds: Annotated[int, Field(ge=LEAST_SEEDS, le=1000)] = 5
    baseline: Name | None = None
    set: Mapping[str, Any] = Field(default_factory=dict)
    policies: Annotated[tuple[PolicyEntry, ...], Field(min_length=2)]


@dataclass(frozen=True)
class ReadStudy:
    """A study ready to run: scenarios by policy, in its order, each under the same seeds, baseline named."""

    name: str
    question: str
    baseline: str
    policies: dict[str, tuple[Scenario, ...]]


def is_study(source: str) -> bool:
    """Whether `source` means a study, not a scenario: a file with policies, or a shipped study's name."""
    try:
        path = locate(source)
    except BadInput:
        return is_file(STUDIES / f"{source}.yaml")
    try:
        return "policies" in read_draft(path).value
    except BadInput:
        return False  # reading it as a scenario says what is wrong


def read_study(source: str | Path, overrides: Sequence[str] = ()) -> ReadStudy:
    """The study in a file or of that shipped name, every policy's scenario checked; `overrides` hold for all,
    those of OF_STUDY for the study itself.

    Raises BadInput for what is no study, for policies that come to the same scenario, and for
    policies whose runs would not share their traffic.
    """
    path = locate(source, STUDIES)
    draft = read_draft(path)
    if "fleet" in draft.value and "policies" not in draft.value:
        raise BadInput(f"{draft.origin(()).label}: is a scenario: give it to the command run")
    own = [one for one in overrides if one.partition("=")[0].strip() in OF_STUDY]
    for nth, written in enumerate(own):
        draft = _with_own(draft, written, nth)
    study = _checked(draft)
    beside = path.parent / study.scenario
    others = [one for one in overrides if one not in own]
    base = changed_draft(beside if is_file(beside) else study.scenario, others)
    found: dict[str, Scenario] = {}
    for index, policy in enumerate(study.policies):
        changes = [
            Change(name, value, draft.origin((*where, name)))
            for where, part in ((("set",), study.set), (("policies", index, "set"), policy.set))
            for name, value in part.items()
        ]
        found[policy.name] = changed(base, changes, path.parent)
    baseline = study.baseline or study.policies[0].name
    _require_comparable(found, baseline)
    seeds = {name: tuple(with_seeds(scenario, study.seeds)) for name, scenario in found.items()}
    return ReadStudy(path.stem, question_of(path), baseline, seeds)


def _with_own(draft: Draft, written: str, nth: int) -> Draft:
    """The draft with one of OF_STUDY changed."""
    key, text, origin = split_option("--set", written, "seeds=9", nth)
    return put(draft, (key,), parse(text, lambda _line: origin).value, origin)


def _checked(draft: Draft) -> PolicyStudy:
    found = list(_unknown_keys(draft.value))
    if not found:
        try:
            study = PolicyStudy.model_validate(draft.value)
        except ValidationError as error:
            raise BadInput(*complaint(draft, complaints.findings(error, draft.value))) from None
        found = list(_wrong_names(study))
    if found:
        raise BadInput(*complaint(draft, found))
    return study


def _unknown_keys(value: dict[str, Any]) -> Iterator[Finding]:
    policies = value.get("policies")
    entries = policies if isinstance(policies, tuple) else ()
    parts: list[tuple[tuple[str | int, ...], Any, type[Part]]] = [((), value, PolicyStudy)]
    parts += [(("policies", index), entry, PolicyEntry) for index, entry in enumerate(entries)]
    for path, part, model in parts:
        for key in part if isinstance(part, dict) else ():
            if key not in model.model_fields:
                yield Finding((*path, key), f"{UNKNOWN}: {nearest(key, list(model.model_fields))}")


def _wrong_names(study: PolicyStudy) -> Iterator[Finding]:
    names = [policy.name for policy in study.policies]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield refusal(("policies", index, "name"), name, "another policy has this name")
    if study.baseline is not None and study.baseline not in names:
        yield refusal(("baseline",), study.baseline, nearest(study.baseline, names))


def _require_comparable(found: dict[str, Scenario], baseline: str) -> None:
    """Raises BadInput unless all policies differ and would meet the same requests."""
    base = found[baseline]
    for name, scenario in found.items():
        for other, told in found.items():
            if other == name:
                break
            if scenario == told:
                raise BadInput(f"policies: {other} and {name} come to the same scenario: change one of them")
        differs = _first_difference(traffic_key(base), traffic_key(scenario))
        if differs is not None:
            path, one, two = differs
            raise BadInput(
                f"policies: {name} would not share its traffic with {baseline}: {path} is {show(two)} for it "
                f"and {show(one)} for {baseline}; a study holds one traffic for all, so change it in set"
            )
    for group in base.fleet:
        if not group.arrivals.process.is_open:
            raise BadInput(
                f"policies: would not share their traffic: in group {group.group} the next request waits for "
                f"the last answer ({group.arrivals.process.kind}), so each policy makes arrivals of its own"
            )


def traffic_key(scenario: Scenario) -> dict[str, Any]:
    """All that decides which requests arrive when and about which samples, as plain data.

    Partitions are in it because the views that groups see are counted over the whole fleet.
    """
    told = scenario.model_dump(include=set(TRAFFIC))
    groups = [group.model_dump(include=set(TRAFFIC_OF_GROUP)) for group in scenario.fleet]
    return (
        told
        | {"fleet.*.group": [group["group"] for group in groups]}
        | {f"fleet.{group['group']}": {key: group[key] for key in TRAFFIC_OF_GROUP} for group in groups}
    )


def _first_difference(one: Any, two: Any, path: str = "") -> tuple[str, Any, Any] | None:
    if isinstance(one, dict) and isinstance(two, dict):
        keys = [*one, *(key for key in two if key not in one)]
        found = (
            _first_difference(one.get(key), two.get(key), f"{path}.{key}" if path else key) for key in keys
        )
        return next((difference for difference in found if difference is not None), None)
    return None if one == two else (path, one, two)
