"""Rules between fields: each is broken once, and told in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.scenario import Scenario, read
from sim.scenario.rules import checks, memory
from sim.scenario.rules.outages import deadlines_are_there_to_be_looked_at, what_swallows
from sim.scenario.text.reading import read_draft

Case = tuple[str, str, str]
Spoil = Callable[[str, str], str]


def test_a_broken_rule_is_said_in_one_line(case: Case, spoilt: Spoil) -> None:
    old, new, line = case
    assert spoilt(old, new) == line


def test_every_rule_of_the_table_holds_for_the_example(example: Path) -> None:
    scenario = read(example)
    for rule in checks.CHECKS:
        assert list(rule(scenario)) == []


def valid(example: Path, *changes: tuple[str, object]) -> Scenario:
    """The example with parts replaced, as the schema alone would take it."""
    written = read_draft(example).value
    for path, value in changes:
        here = written
        *parents, last = path.split(".")
        for step in parents:
            here = here[int(step)] if step.isdigit() else here[step]
        here[last] = value
    return Scenario.model_validate(written)


def broken(scenario: Scenario) -> list[str]:
    """The paths that break a rule."""
    return [".".join(map(str, finding.path)) for finding in checks.findings(scenario)]


def outage(kind: str, *intervals: tuple[float, float], **target: object) -> dict[str, object]:
    return {"when": {"kind": "intervals", "at": intervals}, "target": {"kind": kind, **target}}


@pytest.mark.parametrize(
    ("outages", "paths"),
    [
        ([outage("server", (1, 2), (2, 3))], []),  # half-open intervals that touch are apart
        ([outage("server", (5, 6)), outage("server", (1, 2))], []),  # outages may come in any order
        ([outage("server", (1, 3)), outage("replicas", (2, 4), count=1)], []),  # of different targets
        ([outage("replicas", (1, 3), count=2), outage("replicas", (2, 4), count=1)], []),
        ([outage("server", (1, 3)), outage("server", (2, 4))], ["server.outages.1.when.at.0"]),
        ([outage("replicas", (1, 9), count=1), outage("replicas", (2, 4), count=1)], []),  # they add
        ([outage("replicas", (1, 9), (2, 4), count=1)], ["server.outages.0.when.at.1"]),
        (
            [outage("links", (1, 3), groups=("sensors",)), outage("links", (2, 4), groups=("sensors",))],
            ["server.outages.1.when.at.0"],
        ),
        ([outage("server", (0, 900))], []),
        ([outage("server", (900, 901))], ["server.outages.0.when.at.0"]),
    ],
)
def test_outages_of_one_target_do_not_overlap(example: Path, outages: list[object], paths: list[str]) -> None:
    assert broken(valid(example, ("server.outages", tuple(outages)))) == paths


IMPATIENT = (("fleet.0.timeout_s", None), ("fleet.0.deadline_s", None))
SOME = (outage("replicas", (1, 2), count=1),)
TOTAL = (outage("replicas", (1, 2), count=2),)
TO_NONE = {"min": 0, "max": 2, "target_queue": 1.0, "interval_s": 5.0, "provisioning_s": 2.0}


@pytest.mark.parametrize(
    ("outages", "server", "is_refused"),
    [
        ((), {}, False),
        (SOME, {"in_flight": "lose"}, True),
        (SOME, {"in_flight": "finish"}, False),
        (SOME, {"in_flight": "finish", "when_down": "silent", "queue_survives": False}, False),
        (TOTAL, {"in_flight": "requeue"}, False),
        (TOTAL, {"in_flight": "finish", "when_down": "silent"}, True),
        (TOTAL, {"in_flight": "finish", "queue_survives": False}, True),
        ((), {"autoscaling": TO_NONE, "when_down": "silent"}, True),
        ((), {"autoscaling": TO_NONE, "when_down": "refuse"}, False),
        ((), {"autoscaling": TO_NONE | {"min": 1}, "when_down": "silent"}, False),
        ((outage("links", (1, 2), groups=("sensors",)),), {"in_flight": "finish"}, True),
        ((outage("links", (1, 2), groups=("sensors",), share=0),), {"in_flight": "finish"}, False),
        (({**outage("server", (1, 2)), "effect": {"kind": "slowdown", "factor": 2}},), {}, False),
    ],
)
def test_whoever_can_be_swallowed_has_a_timer(
    example: Path, outages: tuple[object, ...], server: dict[str, object], is_refused: bool
) -> None:
    changes = [("server.outages", outages), *((f"server.{key}", value) for key, value in server.items())]
    expected = ["fleet.0.timeout_s"] if is_refused else []
    assert broken(valid(example, *changes, *IMPATIENT)) == expected
    assert broken(valid(example, *changes, ("fleet.0.timeout_s", None))) == []
    price = ("fleet.0.policy", {"price": {"kind": "always_local"}})
    assert broken(valid(example, *changes, *IMPATIENT, price)) == []


def test_what_swallows_is_named(example: Path) -> None:
    assert what_swallows(read(example), 0) == "server.outages.0"


def test_a_run_without_traffic_has_no_use_for_its_horizon(example: Path) -> None:
    assert broken(valid(example, ("horizon_s", 0))) == []


def test_what_cannot_fit_in_memory_is_refused(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 8 * 2**30)
    assert broken(valid(example, ("fleet.0.clients", 10_000))) == []
    busy = valid(example, ("fleet.0.arrivals.process.rate_hz", 1e5))
    assert broken(busy) == ["fleet.0.arrivals.process.rate_hz"]
    crowd = valid(example, ("fleet.0.clients", 10**9), ("fleet.0.rejector.per", "variant"))
    assert broken(crowd) == ["fleet.0.clients"]
    burst = {"kind": "flash_crowd", "factor": 1e6, "at_s": 1, "for_s": 1}
    assert broken(valid(example, ("fleet.0.arrivals.shape", burst))) == ["fleet.0.clients"]
    with pytest.raises(
        BadInput, match=r"about 5,833\.8 GiB of memory, 804\.7 GiB of it for the requests of 60 s"
    ):
        read(example, ["fleet.0.arrivals.process.rate_hz=1e5"])


def test_personal_rejectors_count_only_where_a_score_asks_them(example: Path) -> None:
    many = ("fleet.0.clients", 10_001)
    assert broken(valid(example, many)) == ["fleet.0.rejector.per"]
    confident = ("fleet.0.policy", {"score": "confidence"})
    assert broken(valid(example, many, confident)) == []
    assert broken(valid(example, many, confident, ("study", {"score": ("margin",)}))) == []
    assert broken(valid(example, many, confident, ("study", {"score": ("l2h",)}))) == ["fleet.0.rejector.per"]


def test_a_study_needs_room_for_what_it_trains(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the policy itself asks no rejector."""
    monkeypatch.setattr(memory, "installed_bytes", lambda: 2**30)
    few = [("fleet.0.clients", 1_000), ("fleet.0.arrivals.process.rate_hz", 1e-3)]
    few += [("fleet.0.policy", {"score": "confidence"})]
    prices = tuple(0.01 * n for n in range(40))
    assert broken(valid(example, *few, ("study", {"c_e": prices}))) == []
    assert broken(valid(example, *few, ("study", {"c_e": prices, "score": ("entropy",)}))) == []
    studied = valid(example, *few, ("study", {"c_e": prices, "score": ("l2h",)}))
    assert broken(studied) == ["fleet.0.clients"]
    pictures = [("data.set", "cifar10"), ("training.shared_batch", True), ("fleet.0.rejector.per", "variant")]
    assert broken(valid(example, *few, *pictures)) == []
    assert broken(valid(example, *few, *pictures, ("study", {"score": ("l2h",)}))) == [
        "fleet.0.model.variants"
    ]


def test_a_mixture_needs_room_for_its_means_and_points(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 2**30)

    def breaches(**mixture: int) -> list[str]:
        drawn = ("data.set", "gaussian_mixture"), ("data.mixture", mixture), ("data.samples", 1_000)
        return broken(valid(example, *drawn, ("fleet.0.arrivals.process.rate_hz", 1e-3)))

    assert breaches(classes=100, components=100, dimensions=64) == []
    assert breaches(classes=100, components=100, dimensions=4_096) == []
    assert breaches(classes=1_000, components=100, dimensions=4_096) == ["data.mixture.components"]


def test_features_of_large_client_models_need_room(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 2**30)
    seldom = ("fleet.0.arrivals.process.rate_hz", 1e-3)
    clients = [("fleet.0.model", {"family": "alexnet", "variants": 2}), ("data.set", "fashion_mnist")]
    shared = ("fleet.0.rejector.per", "variant")
    assert broken(valid(example, seldom, *clients, shared, ("fleet.0.rejector.input", "raw"))) == []
    assert broken(valid(example, seldom, *clients, shared)) == ["fleet.0.model.variants"]


def test_metrics_need_room_for_every_client_that_is_heard_of(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 2**30)
    many = [("fleet.0.clients", 5_000_000), ("fleet.0.policy", {"score": "confidence"})]
    seldom = ("fleet.0.arrivals.process.rate_hz", 1e-6)
    often = ("fleet.0.arrivals.process.rate_hz", 1e-3)
    assert broken(valid(example, *many, seldom)) == []
    assert broken(valid(example, *many, often)) == ["fleet.0.clients"]


def test_pictures_and_what_looks_at_them_need_room(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "installed_bytes", lambda: 2**30)
    seldom = ("fleet.0.arrivals.process.rate_hz", 1e-3)

    def breaches(*changes: tuple[str, object]) -> list[str]:
        return broken(valid(example, seldom, *changes))

    colour, crowd = ("data.set", "cifar10"), ("fleet.0.clients", 2_000)
    assert breaches(crowd) == []
    assert breaches(colour, crowd) == ["fleet.0.clients"]
    assert breaches(colour, crowd, ("fleet.0.rejector.input", "features")) == []
    shifted = ("fleet.0.partition", {"kind": "domain_shift", "noise": 0.1})
    assert breaches(colour, shifted) == ["data.set"]
    assert breaches(colour, shifted, ("data.samples", 10_000)) == []
    heavy = ("fleet.0.model", {"family": "alexnet", "variants": 5})
    assert breaches(heavy) == ["fleet.0.model.variants"]


def test_two_groups_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twins.yaml"
    group = "{group: twin, clients: 1, arrivals: {process: {kind: poisson, rate_hz: 1}}}"
    path.write_text(
        "name: twins\nhorizon_s: 10\nserver: {service: {kind: affine, base_s: 0.1}}\n"
        f"fleet:\n  - {group}\n  - {group}\n"
    )
    with pytest.raises(
        BadInput, match=r'twins\.yaml:6: .*"twin" is not allowed: another group has this name'
    ):
        read(path)


BUDGET = {"kind": "count", "per_s": 1, "limit": 2, "shared_by": "fleet"}


@pytest.mark.parametrize(
    ("first", "second", "paths"),
    [
        (BUDGET, BUDGET, []),
        (BUDGET, BUDGET | {"limit": 3}, ["fleet.1.budget.kind"]),
        (BUDGET, BUDGET | {"shared_by": "group", "limit": 3}, []),
        (BUDGET, None, []),
    ],
)
def test_a_budget_that_the_fleet_shares_is_the_same_for_all(
    example: Path, first: object, second: object, paths: list[str]
) -> None:
    (group,) = read_draft(example).value["fleet"]
    groups = ({**group, "budget": first}, {**group, "group": "others", "budget": second})
    assert broken(valid(example, ("fleet", groups))) == paths


def test_as_many_replicas_may_fail_as_there_may_ever_be(example: Path) -> None:
    scaling = {"target_utilisation": 0.5, "interval_s": 1, "provisioning_s": 1, "min": 1, "max": 4}
    outages = ("server.outages", (outage("replicas", (1, 2), count=4),))
    assert broken(valid(example, outages)) == ["server.outages.0.target.count"]
    assert broken(valid(example, outages, ("server.autoscaling", scaling))) == []


def test_a_trace_names_clients_that_are_there_and_only_of_links(example: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("from_s,until_s,client_id\n1,2,120\n")
    when = {"kind": "trace", "file": str(path)}
    places = ["server.outages.0.when.file"]
    for target in ({"kind": "links", "groups": ("sensors",)}, {"kind": "server"}):
        assert broken(valid(example, ("server.outages", ({"when": when, "target": target},)))) == places
    path.write_text("from_s,until_s,client_id\n1,2,119\n")
    links = {"kind": "links", "groups": ("sensors",)}
    assert broken(valid(example, ("server.outages", ({"when": when, "target": links},)))) == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("server.discipline", "edf", "discipline"),
        ("server.drop_expired", True, "drop_expired"),
        ("server.admission", {"kind": "deadline_feasible"}, "admission.kind"),
    ],
)
def test_what_looks_at_deadlines_needs_one(example: Path, path: str, value: object, named: str) -> None:
    rule = deadlines_are_there_to_be_looked_at
    assert list(rule(valid(example, (path, value)))) == []
    ((where, _, _),) = rule(valid(example, (path, value), ("fleet.0.deadline_s", None)))
    assert ".".join(map(str, where)) == f"server.{named}"


@pytest.mark.parametrize(
    ("changes", "is_small"),
    [
        ([], True),  # 100 a second · (2 · 0.03 + 0.012288 + 0.07) s = 14.2
        (["fleet.0.budget.burst=15"], False),
        (["costs.charge_on=send"], False),
    ],
)
def test_a_burst_that_holds_less_than_is_under_way_is_advised_against(
    example: Path, caplog: pytest.LogCaptureFixture, changes: list[str], is_small: bool
) -> None:
    bucket = "fleet.0.budget={kind: token_bucket, rate_hz: 100, burst: 10, shared_by: group}"
    read(example, ["costs.charge_on=answer", bucket, *changes])
    said = "10 is small: 14.2 sends are under way at 100 a second"
    assert [said in line for line in caplog.messages] == [True] * is_small


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        (["fleet.0.traffic={mix: dirichlet, alpha: 0.5}"], True),
        (["fleet.0.traffic={mix: own}", "fleet.0.partition={kind: dirichlet, alpha: 0.5}"], True),
        (["fleet.0.traffic={mix: own}"], False),
        (["fleet.0.traffic={mix: dirichlet, alpha: 0.5}", "study=null"], False),
    ],
)
def test_a_study_of_clients_with_mixes_of_their_own_is_advised_against(
    example: Path, caplog: pytest.LogCaptureFixture, changes: list[str], is_told: bool
) -> None:
    read(example, ["study={score: [l2h]}", *changes])
    assert ["the study counts every held-out sample alike" in line for line in caplog.messages] == (
        [True] * is_told
    )


BUCKET = {"kind": "token_bucket", "rate_hz": 0.2, "burst": 9.0, "shared_by": "client"}


@pytest.mark.parametrize(
    ("price", "budget", "rule"),
    [
        # 0.75 requests a second and client, of 120 clients, for 900 s.
        ({"kind": "bounded_rate", "rate": 0.28}, BUCKET, None),  # 0.21 = 0.2 + 9/900
        (
            {"kind": "bounded_rate", "rate": 0.3},
            BUCKET,
            "would send 0.225 a second where the budget of the client allows 0.21: must be at most 0.28",
        ),
        ({"kind": "rate_controller", "rate": 0.5, "gain": 0.1}, BUCKET, "must be at most 0.28"),
        ({"kind": "bounded_rate_thinned", "rate": 0.5}, BUCKET | {"shared_by": "group"}, "most 0.002333"),
        ({"kind": "bounded_rate", "rate": 1.0}, {"kind": "count", "per_s": 60, "limit": 45}, None),
        ({"kind": "bounded_rate", "rate": 1.0}, {"kind": "count", "per_s": 60, "limit": 44}, "most 0.9778"),
        (
            {"kind": "bounded_rate", "rate": 0.4},
            {"kind": "money", "per_s": 10, "limit": 0.3, "price": 0.1},
            None,
        ),
        (
            {"kind": "bounded_rate", "rate": 0.41},
            {"kind": "money", "per_s": 10, "limit": 0.3, "price": 0.1},
            "most 0.4",
        ),
        ({"kind": "bounded_rate", "rate": 1.0}, {"kind": "money", "per_s": 9, "limit": 1, "price": 0}, None),
        ({"kind": "threshold", "at": -9.0}, BUCKET, None),  # aims at no rate
    ],
)
def test_a_rate_must_fit_its_budget(example: Path, price: dict, budget: dict, rule: str | None) -> None:
    changes = ("fleet.0.policy", {"score": "l2h", "price": price}), ("fleet.0.budget", budget)
    found = list(checks.findings(valid(example, *changes)))
    assert [finding.path for finding in found] == [("fleet", 0, "policy", "price", "rate")] * (
        rule is not None
    )
    assert not rule or found[0].sentence.endswith(rule)


def test_a_limit_must_fit_its_budget_and_the_fleet_shares_one(example: Path) -> None:
    """Two groups of 120 and of 30 clients that share 60 sends a second: 0.4 a second each."""
    price = {"kind": "drift_plus_penalty", "v": 1.0, "rate_hz": 0.5}
    pot = {"kind": "token_bucket", "rate_hz": 59.99, "burst": 9.0, "shared_by": "fleet"}
    first = read_draft(example).value["fleet"][0]
    first |= {"policy": {"score": "plug_in", "price": price}, "budget": pot}
    fleet = (first, first | {"group": "others", "clients": 30})
    found = list(checks.findings(valid(example, ("fleet", fleet))))
    assert [finding.path for finding in found] == [("fleet", g, "policy", "price", "rate_hz") for g in (0, 1)]
    assert found[1].sentence.endswith(
        "would send 75 a second where the budget of the fleet allows 60: must be at most 0.4"
    )
    price["rate_hz"] = 0.4
    assert broken(valid(example, ("fleet", fleet))) == []


def test_a_controlled_rate_leaves_room_for_exploration(example: Path) -> None:
    def rated(rate: float) -> Scenario:
        price = {"kind": "rate_controller", "rate": rate, "gain": 0.1}
        changes = ("training.exploration", 0.1), ("fleet.0.policy", {"score": "l2h", "price": price})
        return valid(example, *changes)

    assert broken(rated(0.1)) == []
    assert broken(rated(0.09)) == ["fleet.0.policy.price.rate"]


@pytest.mark.parametrize(
    ("changes", "is_deaf"),
    [
        ((), True),
        ((("fleet.0.timeout_s", 1.0),), False),
        ((("fleet.0.deadline_s", 1.0),), False),
        ((("server.queue_limit", 9),), False),
        ((("server.when_down", "refuse"),), False),
    ],
)
def test_a_price_of_availability_hears_of_failures(
    example: Path, changes: tuple[tuple[str, object], ...], is_deaf: bool
) -> None:
    price = {"kind": "availability_aware", "memory_s": 10.0, "probe_every_s": 10.0}
    deaf = (
        ("fleet.0.policy", {"score": "plug_in", "price": price}),
        ("fleet.0.timeout_s", None),
        ("fleet.0.deadline_s", None),
        ("server.queue_limit", None),
        ("server.in_flight", "requeue"),
    )
    assert broken(valid(example, *deaf, *changes)) == ["fleet.0.policy.price.kind"] * is_deaf
