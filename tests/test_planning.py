"""The commands that plan who asks what, and that say where networks may be cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_command_line import call

from commands.planned import Prices, plan_of, with_plan
from sim.errors import BadInput
from sim.scenario import Scenario, read

PRICES = Prices(service=1.0, megabyte=1.0, replica=1.0)
IN_TIME = "fleet.*.deadline_s=0.6"


@pytest.mark.slow
def test_each_group_asks_what_answers_in_time(tmp_path: Path) -> None:
    """The narrow radio's pictures take 0.9 s; bytes are dear, so the wide one sends few, too."""
    reported = call("plan", "split", "--set", IN_TIME, "--out", "planned.yaml", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    planned = read(tmp_path / "planned.yaml")
    assert [(group.group, group.clients) for group in planned.fleet] == [
        ("wide-features", 60),
        ("narrow-features", 60),
    ]
    assert "no plan has more than" in reported.stdout
    again = call("plan", "split", "--out", "planned.yaml", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_cheap_bytes_and_dear_service_do_not_make_the_plan_late() -> None:
    found = plan_of(read("split", [IN_TIME]), Prices(0.0, 0.001, 1.0), 0.8)
    late = [way.option.option for place, way in found.ways if place == 1]
    assert late == ["features"]


def test_servers_are_loaded_no_more_than_is_allowed_and_the_rest_asks_nobody() -> None:
    rate = "fleet.*.arrivals.process={kind: poisson, rate_hz: 2.0}"
    only = "fleet.*.options=[{option: picture, server: site, payload_bytes: 1024}]"
    scenario = read("split", [rate, only, "fleet.*.choose=best"])
    found = plan_of(scenario, PRICES, 0.5)
    asks_hz = sum(2.0 * 0.4 * clients for clients in found.clients)
    assert asks_hz * 0.04 == pytest.approx(0.5 * 2, rel=0.05)
    assert found.effectiveness <= found.bound.effectiveness
    document = with_plan(found)
    names = [group["group"] for group in document["fleet"]]
    assert any(name.endswith("-local") for name in names)
    planned = Scenario.model_validate(document)
    assert planned.clients == scenario.clients
    assert {g.policy.price.kind for g in planned.fleet if g.group.endswith("-local")} == {"always_local"}


def test_outages_of_a_groups_links_hit_all_of_its_parts() -> None:
    target = "{kind: links, groups: [narrow]}"
    outage = f"outages=[{{when: {{kind: intervals, at: [[100, 200]]}}, target: {target}}}]"
    document = with_plan(plan_of(read("split", [outage, IN_TIME]), PRICES, 0.8))
    assert document["outages"][0]["target"]["groups"] == ("narrow-features",)


def test_where_nothing_is_in_time_there_is_nothing_to_plan() -> None:
    with pytest.raises(BadInput, match="nothing to plan"):
        plan_of(read("split", ["fleet.*.deadline_s=0.05"]), PRICES, 0.8)


@pytest.mark.slow
def test_points_of_a_groups_model_are_of_its_family(tmp_path: Path) -> None:
    """The default family could be cut; these clients have a linear model."""
    reported = call("split-points", "split", "--set", "models.network={of_group: wide}", cwd=tmp_path)
    assert reported.returncode == 2
    assert "models.network.family: linear cannot be cut" in reported.stderr


@pytest.mark.slow
def test_points_are_told(tmp_path: Path) -> None:
    reported = call("split-points", "split", cwd=tmp_path, COLUMNS="120")
    assert reported.returncode == 0, reported.stderr
    assert "0.5015" in reported.stdout
    assert "4096" in reported.stdout


SITES = """
name: sites
horizon_s: 60
models: {large: {family: linear, work: 2.0}}
servers:
  - {server: one, service: {kind: affine, base_s: 0.1}}
  - {server: two, service: {kind: affine, base_s: 0.1}, stages: 4}
fleet:
  - group: phones
    clients: 20
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    policy: {score: confidence, price: {kind: always_remote}}
    options: [{option: a, server: one}, {option: b, server: two}]
    choose: order
    retry: {attempts: 2}
"""


def sites(tmp_path: Path, *changes: str) -> Scenario:
    (tmp_path / "sites.yaml").write_text(SITES)
    return read(tmp_path / "sites.yaml", list(changes))


def test_a_pipeline_is_planned_for_what_it_serves(tmp_path: Path) -> None:
    """Alone each answer takes .2 s: `one` serves 5 a second, the four stages of `two` 20, half of which are
    2 and 10."""
    assert plan_of(sites(tmp_path), PRICES, 0.5).clients.tolist() == [2.0, 10.0]


def test_parts_of_a_group_have_no_homes(tmp_path: Path) -> None:
    at_home = sites(tmp_path, "fleet.*.choose=home", f"fleet.*.homes={['a', 'b'] * 10}")
    fleet = with_plan(plan_of(at_home, PRICES, 0.5))["fleet"]
    assert [part["homes"] for part in fleet] == [None] * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "fleet.*.budget={kind: token_bucket, rate_hz: 1, burst: 20, shared_by: group}",
            "fleet.phones.budget.shared_by",
        ),
        ("fleet.*.retry.allowance_by=group", "fleet.phones.retry.allowance_by"),
        ("models.large={of_group: phones}", "models.large.of_group"),
    ],
)
def test_what_parts_could_not_have_alike_is_refused(tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        with_plan(plan_of(sites(tmp_path, change), PRICES, 0.5))
