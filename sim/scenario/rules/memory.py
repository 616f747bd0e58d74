"""A rough count of the memory that a scenario needs, so that one far too large is refused at once.
Meant to be right within a factor of about two; a run that fits is not promised to be fast."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from sim.registry.data_sets import DATA_SETS
from sim.registry.durations import mean_s
from sim.registry.families import ModelFamily, model_family
from sim.registry.scores import SCORES
from sim.scenario.files.machine import gib, installed_bytes
from sim.scenario.files.rows import BadFile
from sim.scenario.options import written
from sim.scenario.rules.learning import classes_of, shortest_gap
from sim.scenario.rules.outages import MOST_PERIODS, drawn_outages
from sim.scenario.rules.rates import busiest_rate_hz, mean_rate_hz
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.values import CHUNK_S
from sim.scenario.text.draft import Path

MOST_PERSONAL = 10_000  # clients of a group that may have a rejector each
OWN_BYTES = 600 * 2**20  # the program with its libraries
ROW_BYTES = 500  # one request of the whole run, while its results are analysed
TRAINING_COPIES = 4  # weights, gradients and two moments of the optimiser
REQUEST_BYTES = 1_200  # one request of the chunk in work: rows, sends, events ahead, and copies
CLIENT_BYTES = 100  # one client's state in the loop
COUNTED_BYTES = 500  # one client in the metrics, the intervals and the figures
OUTAGE_BYTES = 20_000  # one outage of servers in the summary, with what was before and after it
LINK_OUTAGE_BYTES = 1_000  # one of a single link: drawn, walked, written, and read again
SCORE_BYTES = 4
CURVE_BYTES = 40  # one calibration score of one table, while its group's are put in order
FLOAT_BYTES = 4
REJECTOR_HIDDEN = 32
LOOK_COPIES = 3  # of what rejectors look at: as read, gathered, standardised
LABEL_BYTES = 2
PROTOTYPE_BYTES = 24  # a client's sum, what the server has of it, and copies while means are made
UNKNOWN_CLASSES = 100
VERSIONS_KEPT = 3  # tables of scores that some client still uses, while the next one is made
WAY_BYTES = 24  # seconds up and down, and the factor of service, of one request
MOVE_BYTES = 100  # a client's move to another cell: drawn, sorted, kept
COPY_BYTES = 64  # when a client's copy and rejector of one version come into force


class Need(NamedTuple):
    """Memory that grows with the value at `path`."""

    path: Path
    value: Any
    bytes: float
    what: str


def memory(scenario: Scenario) -> Iterator[tuple[Path, Any, str]]:
    """A breach naming what needs most, if all needs together exceed the machine's memory."""
    needs = all_needs(scenario)
    total, most = sum(need.bytes for need in needs), installed_bytes()
    if total > most:
        too_large = [need for need in needs if need.bytes > most]
        worst = too_large[0] if too_large else max(needs, key=lambda need: need.bytes)
        share = f"{gib(worst.bytes)} of it for {worst.what}"
        rule = f"the run needs about {gib(total)} of memory, {share}: this machine has {gib(most)}"
        yield worst.path, worst.value, rule


def memory_bytes(scenario: Scenario) -> float:
    """What all needs come to, and the program itself."""
    return OWN_BYTES + sum(need.bytes for need in all_needs(scenario))


def all_needs(scenario: Scenario) -> list[Need]:
    """What the groups need, their data set, and the outages."""
    seen = views(scenario)
    fleet = enumerate(scenario.fleet)
    needs = [need for index, group in fleet for need in needs_of(scenario, group, index, seen)]
    needs += [Need(("data", "set"), scenario.data.set, images_bytes(scenario), "the images in all views")]
    needs += [
        Need(path, kind, outages * (LINK_OUTAGE_BYTES if is_of_links else OUTAGE_BYTES), "the outages")
        for path, kind, outages, is_of_links in drawn_outages(scenario)
        if outages <= MOST_PERIODS  # more are refused by another rule
    ]
    if DATA_SETS[scenario.data.set].is_drawn:
        mixture = scenario.data.mixture
        means = mixture.classes * mixture.components * mixture.dimensions
        components: Path = ("data", "mixture", "components")
        needs += [Need(components, mixture.components, 2 * 8 * means, "the means of the mixture")]
    return needs


def needs_of(scenario: Scenario, group: Group, index: int, seen: int) -> list[Need]:
    """What one group needs. seen: in how many ways samples are, as `views` counts them."""
    clients: Path = ("fleet", index, "clients")
    # Beyond the most that may be personal another rule asks for `per: variant`: count it as followed.
    personal = is_personal(scenario, group) and group.clients <= MOST_PERSONAL
    *_, calibration, traffic = scenario.data.pools
    rows = group.clients if personal else group.model.variants
    tables = rows if SCORES[group.policy.score].needs_rejector else group.model.variants
    samples, width = samples_of(scenario), sum(rejector_widths(scenario, group))
    looked_up = samples * (calibration + traffic) * seen
    kept = VERSIONS_KEPT if scenario.learns_in_run else 1
    scores = tables * looked_up * SCORE_BYTES * kept
    labels = looked_up * len(scenario.server_models) * LABEL_BYTES
    versions = rounds(scenario) * (group.clients * COPY_BYTES + labels)
    networks = rows * settings_in(scenario, group)
    weights = networks * width * REJECTOR_HIDDEN * FLOAT_BYTES * TRAINING_COPIES
    requests = group.clients * busiest_rate_hz(scenario, index) * CHUNK_S * REQUEST_BYTES
    of_client = _requests_of_a_client(scenario, index)
    variants: Path = ("fleet", index, "model", "variants")
    return [
        Need(clients, group.clients, group.clients * CLIENT_BYTES, "the state of its clients"),
        Need(
            clients,
            group.clients,
            group.clients * min(1.0, of_client) * COUNTED_BYTES,
            "the metrics of its clients",
        ),
        Need(clients, group.clients, scores, "the scores of its samples"),
        Need(
            clients,
            group.clients,
            tables * samples * calibration * CURVE_BYTES if group.policy.price.needs_calibration else 0,
            "its calibration scores in order",
        ),
        Need(*_rounds(scenario), versions, "the versions of its models"),
        Need(clients, group.clients, weights if personal else 0, "personal rejectors"),
        Need(variants, group.model.variants, _prototypes(scenario, group, looked_up), "its prototypes"),
        Need(clients, group.clients, _heads(scenario, group, looked_up), "its heads"),
        Need(
            variants, group.model.variants, looked_at_bytes(scenario, group, seen), "what rejectors look at"
        ),
        Need(variants, group.model.variants, group.model.variants * model_bytes(group), "the client models"),
        Need(("fleet", index, "options"), "...", _ways(scenario, group, index), "what is drawn for each way"),
        Need(("fleet", index, "moves"), "...", _moves(scenario, group), "the moves of its clients"),
        Need(*_rate(group, index), requests, f"the requests of {CHUNK_S:g} s"),
        *_unfolded(group, index),
        Need(
            ("horizon_s",),
            scenario.horizon_s,
            group.clients * of_client * ROW_BYTES,
            "the analysis of its requests",
        ),
    ]


def _prototypes(scenario: Scenario, group: Group, looked_up: float) -> float:
    """Features of all samples by each model, sums of each client, and what each version says of samples."""
    if group.fallback != "prototype":
        return 0.0
    features, classes = _family(group).features, classes_of(scenario) or UNKNOWN_CLASSES
    said = looked_up * group.model.variants * (features * FLOAT_BYTES + rounds(scenario) / 2 * LABEL_BYTES)
    return said + group.clients * classes * features * PROTOTYPE_BYTES


def _heads(scenario: Scenario, group: Group, looked_up: float) -> float:
    """What each head says of all samples, in the versions that are kept; its numbers, and the features."""
    if group.reply != "features":
        return 0.0
    family = model_family(scenario.first_model.family) or ModelFamily("")
    classes = classes_of(scenario) or UNKNOWN_CLASSES
    said = VERSIONS_KEPT * looked_up * group.clients * LABEL_BYTES
    return said + (looked_up + group.clients * classes) * family.features * FLOAT_BYTES


def _ways(scenario: Scenario, group: Group, index: int) -> float:
    """Three numbers of each request for each option from each cell, at most, and for each attempt."""
    ways = len(written(scenario, group)) * (len(group.moves.cells) if group.moves else 1)
    requests = group.clients * busiest_rate_hz(scenario, index) * CHUNK_S
    return requests * ways * (group.retry.attempts if group.retry else 1) * WAY_BYTES if ways > 1 else 0.0


def _moves(scenario: Scenario, group: Group) -> float:
    if group.moves is None or group.moves.stays is None:
        return 0.0
    try:
        return group.clients * (1 + scenario.horizon_s / mean_s(group.moves.stays)) * MOVE_BYTES
    except BadFile:  # which another rule tells
        return 0.0


def samples_of(scenario: Scenario) -> int:
    """How many samples the run uses."""
    return DATA_SETS[scenario.data.set].samples_of(scenario.data)


def images_bytes(scenario: Scenario) -> float:
    """The clean view as bytes (a mixture's as it is drawn), and each corrupted view as floats."""
    shifts = {group.partition for group in scenario.fleet if group.partition.has_view}
    clean = DATA_SETS[scenario.data.set].number_bytes
    return samples_of(scenario) * pixels_of(scenario) * (clean + FLOAT_BYTES * len(shifts))


def pixels_of(scenario: Scenario) -> int:
    """Numbers in one image."""
    return DATA_SETS[scenario.data.set].pixels_of(scenario.data)


def rejector_widths(scenario: Scenario, group: Group) -> tuple[int, int]:
    """About how many numbers a rejector of the group looks at: of the picture, and what its client's model
    makes of it."""
    told, features = group.rejector.input, _family(group).features + (classes_of(scenario) or UNKNOWN_CLASSES)
    return ("raw" in told) * pixels_of(scenario), ("features" in told) * features


def looked_at_bytes(scenario: Scenario, group: Group, seen: int) -> float:
    """What the rejectors of a group look at, first while they train and then as they score the sample axis:
    one set of pictures, and features per model. Rounds of training keep both."""
    if not trained_scores(scenario, group):
        return 0.0
    _, server, rejector, calibration, traffic = scenario.data.pools
    pool = rejector + server * scenario.training.shared_batch
    pixels, features = rejector_widths(scenario, group)
    one_way = samples_of(scenario) * (pixels + group.model.variants * features) * FLOAT_BYTES
    trains, scores = one_way * pool * LOOK_COPIES, one_way * (calibration + traffic) * seen
    return trains + scores if scenario.learns_in_run else max(trains, scores)


def model_bytes(group: Group) -> int:
    """One frozen model of the group."""
    return _family(group).model_bytes


def _family(group: Group) -> ModelFamily:
    """That of the clients' models; one that there is not, as another rule says, counts as a small one."""
    return model_family(group.model.family) or ModelFamily("")


def trained_scores(scenario: Scenario, group: Group) -> set[str]:
    """The scores of a group that are read off a trained rejector: its policy's and those of the study."""
    studied = (scenario.study and scenario.study.score) or ()
    return {score for score in (group.policy.score, *studied) if SCORES[score].needs_rejector}


def settings_in(scenario: Scenario, group: Group) -> int:
    """How many settings each owner of rejectors has one for, at most."""
    scores, study = len(trained_scores(scenario, group)), scenario.study
    if study is None:
        return scores
    lists = (study.c_e, study.c_1, study.sync_every, study.form)
    return scores * (1 + math.prod(len(one or (None,)) for one in lists))


def views(scenario: Scenario) -> int:
    """At most how many ways in which samples are seen: clean, and as each group and each drift has it."""
    shifted = sum(group.partition.has_view for group in scenario.fleet)
    noises = sum(drift.noise is not None for group in scenario.fleet for drift in group.traffic.drift)
    return 1 + shifted + noises


def rounds(scenario: Scenario) -> float:
    """How many rounds of training fall due in the run."""
    online, federation = scenario.training.online, scenario.federation
    if federation is not None:
        return 2 * scenario.horizon_s / federation.every_s  # each trains, and merges
    return 0.0 if online is None else scenario.horizon_s / online.shortest_s


def _rounds(scenario: Scenario) -> tuple[Path, Any]:
    """The key that says how many versions a run has."""
    online, federation = scenario.training.online, scenario.federation
    if federation is not None:
        return ("federation", "every_s"), federation.every_s
    if online is None:
        return ("horizon_s",), scenario.horizon_s
    return shortest_gap(online)


def is_personal(scenario: Scenario, group: Group) -> bool:
    """Whether each client has a rejector of its own; some scores ask none."""
    return group.rejector.per == "client" and bool(trained_scores(scenario, group))


def _requests_of_a_client(scenario: Scenario, index: int) -> float:
    """Over the whole run, on average; none if they are in a trace that cannot be read."""
    try:
        return mean_rate_hz(scenario, index) * scenario.horizon_s
    except BadFile:
        return 0.0  # another rule says so


def _unfolded(group: Group, index: int) -> list[Need]:
    """What a chunk of the process unfolds before its requests are drawn."""
    process = group.arrivals.process
    key, of_client = process.unfolded(group.arrivals.shape)
    path: Path = ("fleet", index, "arrivals", "process", key)
    what = f"the states of {CHUNK_S:g} s"
    return [Need(path, getattr(process, key), group.clients * of_client, what)] if key else []


def _rate(group: Group, index: int) -> tuple[Path, Any]:
    """The key of the arrival rate, or of the clients where they alone drive the load."""
    process = group.arrivals.process
    key = process.load_key()
    if key:
        return ("fleet", index, "arrivals", "process", key), getattr(process, key)
    return ("fleet", index, "clients"), group.clients
