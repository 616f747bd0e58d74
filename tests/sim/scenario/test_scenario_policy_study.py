"""Studies of policies as documents: what is read, and what is refused because its runs would not compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import BadInput
from sim.scenario import read
from sim.scenario.library import FOLDER, STUDIES
from sim.scenario.schema.policy_study import is_study, read_study, traffic_key

HEAD = """\
# Does the server help?
scenario: smoke
seeds: 3
baseline: l2h
set: {server.replicas: 3}
policies:
  - {name: always_local, set: {fleet.*.policy.price: {kind: always_local}}}
  - {name: l2h}
"""


@pytest.fixture
def write(tmp_path):
    def written(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return written


def test_every_policy_is_the_scenario_with_its_changes(write):
    found = read_study(write(HEAD), ["costs.c_e=0.2"])
    assert (found.name, found.question, found.baseline) == ("mine", "Does the server help?", "l2h")
    common = ["server.replicas=3", "costs.c_e=0.2"]
    assert list(found.policies) == ["always_local", "l2h"]
    for seed, alone, l2h in zip((1, 2, 3), *found.policies.values(), strict=True):
        assert l2h == read("smoke", common, seed)
        assert alone == read("smoke", [*common, "fleet.*.policy.price={kind: always_local}"], seed)


def test_a_scenario_beside_the_study_comes_before_a_shipped_one(write, tmp_path):
    text = (FOLDER / "smoke.yaml").read_text()
    (tmp_path / "here.yaml").write_text(text.replace("horizon_s: 120", "horizon_s: 90"))
    found = read_study(write(HEAD.replace("scenario: smoke", "scenario: here.yaml")))
    assert found.policies["l2h"][0].horizon_s == 90


def test_without_a_baseline_it_is_the_first(write):
    assert read_study(write(HEAD.replace("baseline: l2h\n", ""))).baseline == "always_local"


def test_seeds_and_baseline_are_changed_as_the_scenario_is(write):
    found = read_study(write(HEAD), ["seeds=4", "baseline=always_local", "costs.c_e=0.2"])
    assert found.baseline == "always_local"
    assert {len(scenarios) for scenarios in found.policies.values()} == {4}
    assert {one.costs.c_e for scenarios in found.policies.values() for one in scenarios} == {0.2}
    with pytest.raises(
        BadInput, match=r"^--set seeds: 2 is not allowed: must be greater than or equal to 3$"
    ):
        read_study(write(HEAD), ["seeds=2"])
    with pytest.raises(BadInput, match=r'^--set baseline: "l2" is not allowed: did you mean l2h\?$'):
        read_study(write(HEAD), ["baseline=l2"])


def test_studies_are_told_from_scenarios(write):
    assert is_study(str(write(HEAD)))
    assert is_study("smoke_policies")
    assert not is_study("smoke")
    assert not is_study("nowhere")
    assert not is_study(str(write("policies: [")))


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_is_one(path):
    found = read_study(path)
    assert len(found.policies) >= 5
    assert found.question.endswith("?")
    if path.stem != "smoke_policies":
        assert len(found.policies[found.baseline]) >= 3


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("baseline: l2h", "baseline: l2", ':4: baseline: "l2" is not allowed: did you mean l2h?'),
        (
            "{name: l2h}",
            "{name: l2h}\n  - {name: l2h, set: {seed: 4}}",
            'policies.2.name: "l2h" is not allowed: another policy has this name',
        ),
        ("seeds: 3", "seeds: 2", "seeds: 2 is not allowed: must be greater than or equal to 3"),
        ("seeds: 3", "seed: 3", "seed: unknown key: did you mean seeds?"),
        ("{name: l2h}", "{name: l2h, sets: {}}", "policies.1.sets: unknown key: did you mean set?"),
        ("scenario: smoke", "scenario: smok", "did you mean smoke?"),
        ("scenario: smoke\n", "", "scenario: is missing: this key must be given"),
        ("  - {name: l2h}\n", "", "must be a list of at least 2 entries"),
        ("server.replicas: 3", "server.replicas: 0", ":5: server.replicas: 0 is not allowed"),
        (
            "server.replicas: 3",
            "server.replica: 3",
            ":5: server.replica: unknown key: did you mean replicas?",
        ),
        ("{name: l2h}", "{name: l2h, set: {fleet.wide.clients: 3}}", 'no group is called "wide"'),
        (
            "{name: l2h}",
            "{name: l2h, set: {fleet.*.policy.price: {kind: always_local}}}",
            "come to the same scenario",
        ),
    ],
)
def test_what_is_no_study_is_one_line(write, old, new, told):
    assert old in HEAD
    with pytest.raises(BadInput) as refused:
        read_study(write(HEAD.replace(old, new)))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", "9"),
        ("horizon_s", "130"),
        ("warm_up_s", "20"),
        ("fleet.known.clients", "5"),
        ("fleet.known.group", "familiar"),
        ("fleet.known.arrivals.process.rate_hz", "1.0"),
        ("fleet.*.arrivals.shape", "{kind: diurnal, amplitude: 0.5, period_s: 60, phase_s: 0}"),
        ("fleet.known.traffic", "{mix: dirichlet, alpha: 1.0}"),
        ("fleet.known.traffic", "{mix: all, drift: [{at_s: 30, noise: 0.1}]}"),
        ("fleet.narrow.partition.classes", "[1]"),
        ("data.pools", "[0.2, 0.2, 0.2, 0.1, 0.3]"),
    ],
)
def test_policies_that_would_not_share_their_traffic_are_refused_with_the_reason(write, path, value):
    text = HEAD.replace("{name: l2h}", f"{{name: l2h, set: {{{path}: {value}}}}}")
    with pytest.raises(BadInput) as refused:
        read_study(write(text))
    assert "always_local would not share its traffic with l2h" in str(refused.value)
    assert path.split(".")[-1] in str(refused.value)


def test_closed_loops_share_no_traffic(write):
    text = HEAD.replace("server.replicas: 3", "fleet.*.arrivals.process: {kind: closed_loop, think: 1.0}")
    with pytest.raises(
        BadInput, match=r"group known the next request waits for the last answer \(closed_loop\)"
    ):
        read_study(write(text))


@pytest.mark.parametrize(
    "change",
    [
        "fleet.*.policy={score: random, price: {kind: always_remote}}",
        "fleet.*.fallback=none",
        "fleet.known.retry=null",
        "fleet.*.link.latency=0.3",
        "server.replicas=1",
        "server.outages=[]",
        "costs.c_e=0.5",
        "training.pretrain.epochs=1",
        "fleet.known.device.inference_s=0.1",
    ],
)
def test_what_does_not_make_traffic_may_differ(change):
    assert traffic_key(read("smoke", [change])) == traffic_key(read("smoke"))
