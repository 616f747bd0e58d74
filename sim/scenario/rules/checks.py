"""Rules that hold between fields, each a small function over the whole scenario.
Run after the schema; a rule yields (path, value, rule) for every place that breaks it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from sim.registry.budgets import Budget, MoneyBudget
from sim.registry.data_sets import DATA_SETS
from sim.registry.families import MODEL_FAMILIES, model_family
from sim.registry.losses import LOSSES
from sim.registry.partitions import MissingClasses
from sim.scenario.asking import links_of
from sim.scenario.options import written
from sim.scenario.rules.batching import BATCH_CHECKS
from sim.scenario.rules.energy import ENERGY_CHECKS
from sim.scenario.rules.engine import the_compiled_clock_can_play_it
from sim.scenario.rules.federation import FEDERATION_CHECKS
from sim.scenario.rules.files import FILE_CHECKS
from sim.scenario.rules.learning import LEARNING_CHECKS, classes_of
from sim.scenario.rules.limits import LIMIT_CHECKS
from sim.scenario.rules.memory import MOST_PERSONAL, is_personal, memory
from sim.scenario.rules.moves import MOVE_CHECKS
from sim.scenario.rules.names import NAME_CHECKS
from sim.scenario.rules.nested import NESTED_CHECKS
from sim.scenario.rules.network import NETWORK_CHECKS
from sim.scenario.rules.options import OPTION_CHECKS
from sim.scenario.rules.outages import OUTAGE_CHECKS
from sim.scenario.rules.own_models import OWN_MODEL_CHECKS
from sim.scenario.rules.peers import PEER_CHECKS
from sim.scenario.rules.presence import PRESENCE_CHECKS
from sim.scenario.rules.prices import PRICE_CHECKS
from sim.scenario.rules.servers import SERVER_CHECKS, server_models, stations
from sim.scenario.rules.sessions import SESSION_CHECKS
from sim.scenario.rules.tables import TABLE_CHECKS
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.training import Mixture
from sim.scenario.schema.values import MOST_TOKENS, SHORTEST_S
from sim.scenario.text.draft import Finding, Path, refusal
from sim.scenario.text.wording import nearest

Breach = tuple[Path, Any, str]
MOST_CLASSES = 2**15


def findings(scenario: Scenario) -> Iterator[Finding]:
    """Every breach of every rule; but without a server, or with names that do not hold, of no other."""
    if not scenario.stations:
        yield Finding(("server",), "is missing: this key must be given, or servers")
        return
    names_hold = True
    for check in (*NAME_CHECKS, *MOVE_CHECKS):
        for path, value, rule in check(scenario):
            names_hold = False
            yield refusal(path, value, rule)
    for check in CHECKS if names_hold else ():
        for path, value, rule in check(scenario):
            yield refusal(path, value, rule)


def groups_have_names_of_their_own(scenario: Scenario) -> Iterator[Breach]:
    seen: set[str] = set()
    for index, group in enumerate(scenario.fleet):
        if group.group in seen:
            yield ("fleet", index, "group"), group.group, "another group has this name"
        seen.add(group.group)


def pools_sum_to_one(scenario: Scenario) -> Iterator[Breach]:
    total = math.fsum(scenario.data.pools)
    if abs(total - 1.0) > 1e-9:
        yield ("data", "pools"), scenario.data.pools, f"must sum to 1, not {total:.12g}"


def warm_up_is_shorter_than_the_run(scenario: Scenario) -> Iterator[Breach]:
    if 0 < scenario.horizon_s <= scenario.warm_up_s:
        yield ("warm_up_s",), scenario.warm_up_s, f"must be less than horizon_s, {scenario.horizon_s:.12g}"


def the_run_takes_time(scenario: Scenario) -> Iterator[Breach]:
    if 0 < scenario.horizon_s < SHORTEST_S:
        yield ("horizon_s",), scenario.horizon_s, f"must be greater than or equal to {SHORTEST_S:g}"


def every_variant_has_a_client(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        if group.model.variants > group.clients:
            rule = f"must be at most clients, {group.clients}: nobody would use the others"
            yield ("fleet", index, "model", "variants"), group.model.variants, rule


def families_are_known(scenario: Scenario) -> Iterator[Breach]:
    named: list[tuple[Path, str]] = [
        ((*path, "family"), model.family) for path, model in server_models(scenario)
    ]
    for index, group in enumerate(scenario.fleet):
        named.append((("fleet", index, "model", "family"), group.model.family))
    for path, family in named:
        if model_family(family) is None:
            known = [kind.written for kind in MODEL_FAMILIES.values()]
            yield path, family, f"unknown family: {nearest(family, known)}"


def samples_are_there(scenario: Scenario) -> Iterator[Breach]:
    name, samples = scenario.data.set, scenario.data.samples
    known = DATA_SETS[name]
    counts = not known.is_drawn and (known.has_answers or not known.is_brought)
    if counts and samples is not None and samples > known.all_of(scenario.data):
        most = known.all_of(scenario.data)
        yield ("data", "samples"), samples, f"must be at most {most}, all that {name} has"


def a_mixture_is_drawn_from(scenario: Scenario) -> Iterator[Breach]:
    data = scenario.data
    if not DATA_SETS[data.set].is_drawn and data.mixture != Mixture():
        yield ("data", "mixture"), data.mixture.model_dump(), f"is for set: gaussian_mixture, not {data.set}"


def missing_classes_exist(scenario: Scenario) -> Iterator[Breach]:
    known = classes_of(scenario) or MOST_CLASSES  # where nobody knows yet, `agents.checks` tells
    for index, group in enumerate(scenario.fleet):
        if not isinstance(group.partition, MissingClasses):
            continue
        classes = group.partition.classes
        path: Path = ("fleet", index, "partition", "classes")
        for position, label in enumerate(classes):
            if label >= known:
                yield (*path, position), label, f"{scenario.data.set} has the classes 0 to {known - 1}"
        if len(set(classes)) < len(classes):
            yield path, classes, "each class must be named once"
        elif len(classes) >= known:
            yield path, classes, "at least one class must be left to train on"


def retries_can_fit_their_deadline(scenario: Scenario) -> Iterator[Breach]:
    """An attempt fails by its timer or by an error, which takes the link both ways."""
    for index, group in enumerate(scenario.fleet):
        retry, deadline_s = group.retry, group.deadline_s
        if retry is None or deadline_s is None or retry.attempts == 1:
            continue
        backoff_s = retry.backoff_s if retry.cap_s is None else min(retry.backoff_s, retry.cap_s)
        if retry.jitter == "none" and backoff_s >= deadline_s:
            rule = f"must be less than deadline_s, {deadline_s:.12g}, or no retry is ever sent"
            yield ("fleet", index, "retry", "backoff_s"), retry.backoff_s, rule
            continue
        fails_s = min(_round_trip_s(scenario, group), group.timeout_s or math.inf) + group.device.inference_s
        if fails_s + (backoff_s if retry.jitter == "none" else 0.0) >= deadline_s:
            rule = f"no retry is ever sent: an attempt fails {fails_s:.12g} s after the arrival at best"
            yield ("fleet", index, "deadline_s"), deadline_s, rule


def _round_trip_s(scenario: Scenario, group: Group) -> float:
    """The least that an error takes, from whom it may come: constant latencies count, drawn ones may be next
    to nothing."""
    links = [link for one in written(scenario, group) for link, _ in links_of(scenario, group, one)]
    return min(
        2 * (float(link.latency) if isinstance(link.latency, float | int) else 0.0) + link.transfer_s
        for link in links
    )


def budgets_can_be_kept(scenario: Scenario) -> Iterator[Breach]:
    of_fleet: tuple[str, Budget] | None = None
    for index, group in enumerate(scenario.fleet):
        budget = group.budget
        path: Path = ("fleet", index, "budget")
        if isinstance(budget, MoneyBudget) and budget.price > budget.limit:
            yield (*path, "limit"), budget.limit, f"buys no send at a price of {budget.price:.12g}"
        if budget is None or budget.shared_by != "fleet":
            continue
        if of_fleet is None:
            of_fleet = group.group, budget
        elif budget != of_fleet[1]:
            rule = f"the fleet shares one budget: must be the same as in {of_fleet[0]}"
            yield (*path, "kind"), budget.kind, rule


def tokens_can_be_counted(scenario: Scenario) -> Iterator[Breach]:
    """In whole millionths; who needs more has no use for a bucket."""
    buckets: list[tuple[Path, Any]] = [
        ((*path, "admission", "rate_hz"), server.admission) for path, server in stations(scenario)
    ]
    buckets += [(("fleet", g, "budget", "rate_hz"), group.budget) for g, group in enumerate(scenario.fleet)]
    for path, bucket in buckets:
        if bucket is None or bucket.kind != "token_bucket":
            continue
        if bucket.rate_hz * scenario.horizon_s > MOST_TOKENS:
            rule = f"would earn more than {MOST_TOKENS:,.0f} tokens before horizon_s"
            yield path, bucket.rate_hz, rule


def a_provisional_answer_is_there(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        if group.provisional_after_s is not None and group.fallback != "client":
            rule = "needs fallback: client, whose answer it shows"
            yield ("fleet", index, "provisional_after_s"), group.provisional_after_s, rule


def requests_can_arrive(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        for key, value, rule in group.arrivals.process.breaches():
            yield ("fleet", index, "arrivals", "process", key), value, rule
        for key, value, rule in group.arrivals.shape.breaches():
            yield ("fleet", index, "arrivals", "shape", key), value, rule


def personal_rejectors_are_few(scenario: Scenario) -> Iterator[Breach]:
    for index, group in enumerate(scenario.fleet):
        if is_personal(scenario, group) and group.clients > MOST_PERSONAL:
            rule = f"is for at most {MOST_PERSONAL} clients in a group, not {group.clients}: use per: variant"
            yield ("fleet", index, "rejector", "per"), group.rejector.per, rule


def momentum_goes_with_sgd(scenario: Scenario) -> Iterator[Breach]:
    pretrain = scenario.training.pretrain
    if pretrain.momentum and pretrain.optimiser != "sgd":
        rule = f"only optimiser: sgd has it, not {pretrain.optimiser}"
        yield ("training", "pretrain", "momentum"), pretrain.momentum, rule


def availability_can_be_learned_for(scenario: Scenario) -> Iterator[Breach]:
    training, path = scenario.training, ("training", "availability")
    forms = {training.form, *((scenario.study and scenario.study.form) or ())}
    if training.availability == "observed" and scenario.horizon_s == 0:
        yield path, training.availability, "a horizon of 0 has no outages to observe: give a number"
    elif training.availability is not None:
        for form in sorted(form for form in forms if not LOSSES[form].knows_availability):
            yield path, training.availability, f"form {form} knows no availability: it must be null"


CHECKS: tuple[Callable[[Scenario], Iterator[Breach]], ...] = (
    groups_have_names_of_their_own,
    pools_sum_to_one,
    warm_up_is_shorter_than_the_run,
    the_run_takes_time,
    every_variant_has_a_client,
    families_are_known,
    samples_are_there,
    a_mixture_is_drawn_from,
    missing_classes_exist,
    *PRICE_CHECKS,
    *SERVER_CHECKS,
    *OPTION_CHECKS,
    *LIMIT_CHECKS,
    *NETWORK_CHECKS,
    *ENERGY_CHECKS,
    *BATCH_CHECKS,
    *PRESENCE_CHECKS,
    *SESSION_CHECKS,
    *PEER_CHECKS,
    *NESTED_CHECKS,
    retries_can_fit_their_deadline,
    budgets_can_be_kept,
    tokens_can_be_counted,
    a_provisional_answer_is_there,
    requests_can_arrive,
    personal_rejectors_are_few,
    momentum_goes_with_sgd,
    availability_can_be_learned_for,
    *OUTAGE_CHECKS,
    *FILE_CHECKS,
    *TABLE_CHECKS,
    *OWN_MODEL_CHECKS,
    *LEARNING_CHECKS,
    *FEDERATION_CHECKS,
    the_compiled_clock_can_play_it,
    memory,
)
