"""Overrides `path=value`: every form of a path, what is opened on the way, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import BadInput
from sim.scenario import Scenario, read


def line_about(path: Path, *overrides: str) -> str:
    with pytest.raises(BadInput) as caught:
        read(path, overrides)
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    return str(caught.value)


def at(scenario: Scenario, path: str) -> Any:
    here: Any = scenario
    for step in path.split("."):
        here = here[int(step)] if step.isdigit() else getattr(here, step)
    return here


@pytest.mark.parametrize(
    ("written", "path", "value"),
    [
        ("seed=9", "seed", 9),
        (" seed = 9 ", "seed", 9),
        ("horizon_s=1e3", "horizon_s", 1000.0),
        ("fleet.0.clients=10", "fleet.0.clients", 10),
        ("fleet.sensors.clients=10", "fleet.0.clients", 10),
        ("fleet.*.policy.score=random", "fleet.0.policy.score", "random"),
        ("fleet.sensors.policy.price={kind: always_local}", "fleet.0.policy.price.kind", "always_local"),
        ("server.outages.0.when.at=[[1,2]]", "server.outages.0.when.at", ((1.0, 2.0),)),
        ("server.outages=[]", "server.outages", ()),
        ("fleet.0.retry=null", "fleet.0.retry", None),
        ("fleet.0.retry.attempts=2", "fleet.0.retry.attempts", 2),
        ("fleet.0.link.latency=0", "fleet.0.link.latency", 0.0),
    ],
)
def test_an_override_sets_what_its_path_names(example: Path, written: str, path: str, value: object) -> None:
    assert at(read(example, [written]), path) == value


@pytest.mark.parametrize(("written", "value"), [("data.root=a=b", "a=b"), ("data.root='x: y'", "x: y")])
def test_everything_behind_the_first_equals_sign_is_the_value(
    example: Path, written: str, value: str
) -> None:
    assert read(example, [written]).data.root == value


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The shortest scenario, of two groups, with every part left out that may be."""
    path = tmp_path / "bare.yaml"
    process = "{process: {kind: poisson, rate_hz: 1}}"
    path.write_text(
        "name: bare\nhorizon_s: 10\nserver: {service: {kind: affine, base_s: 0.1}}\nfleet:\n"
        f"  - {{group: near, clients: 2, arrivals: {process}}}\n"
        f"  - {{group: far, clients: 3, arrivals: {process}, retry: null}}\n"
    )
    return path


def test_parts_that_were_left_out_are_opened(bare: Path) -> None:
    written = [
        "fleet.near.retry.attempts=2",
        "fleet.far.retry.attempts=4",
        "fleet.*.policy.price.standard_errors=0.25",
        "fleet.far.traffic.drift=[]",
        "training.pretrain.epochs=5",
    ]
    scenario = read(bare, written)
    assert [group.retry.attempts for group in scenario.fleet] == [2, 4]
    assert [at(scenario, f"fleet.{i}.policy.price.standard_errors") for i in (0, 1)] == [0.25, 0.25]
    assert scenario.training.pretrain.epochs == 5
    assert scenario.training.pretrain.batch == 64


def test_overrides_apply_in_turn(bare: Path) -> None:
    scenario = read(
        bare, ["fleet.near.group=here", "fleet.here.clients=7", "fleet.*.device.inference_s=1", "seed=1"]
    )
    assert [(group.group, group.clients) for group in scenario.fleet] == [("here", 7), ("far", 3)]
    assert read(bare, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("seed", "must be written path=value, for instance --set seed=9"),
        ("seed=", "no value behind the = (write null for none)"),
        ("fleet..clients=3", "a step of the path is empty: write it like fleet.0.clients"),
        ("fleet.sensor.clients=3", 'no group is called "sensor": did you mean sensors?'),
        ("fleet.-1.clients=3", 'no group is called "-1": must be sensors'),
        ("fleet.7.clients=3", "leads nowhere: fleet has the entries 0 to 0, not 7"),
        ("fleet.0.clients.x=3", "leads nowhere: fleet.sensors.clients is 120, which has no parts"),
        ("fleet.0.provisional_after_s.x=3", "leads nowhere: fleet.sensors.provisional_after_s has no parts"),
        (
            "server.outages.first.when=3",
            "leads nowhere: server.outages is a list: give an entry from 0 to 1, or *",
        ),
        ("fleet.sensors.clients=-3", "-3 is not allowed: must be greater than or equal to 1"),
        (
            "fleet.0.clients=ten",
            'fleet.sensors.clients: "ten" (text) is not allowed: must be a whole number',
        ),
        (
            "fleet.*.policy.score=rendom",
            'fleet.sensors.policy.score: "rendom" is not allowed: did you mean random?',
        ),
        ("servr.replicas=3", "servr: unknown key: did you mean server?"),
        ("server.replica=3", "unknown key: did you mean replicas?"),
        (
            "fleet.0.breaker.failures=3",
            "fleet.sensors.breaker.cooldown_s: is missing: this key must be given",
        ),
        ("data.set=!x y", 'tags (!) are not allowed: "!x"'),
        ("data.set=[", "not YAML: expected the node content, but found '<stream end>'"),
        ("data.set=# digits", "is empty"),
        ("a" + 40 * ".a" + "=1", "has 41 steps: no path of a scenario has more than 32"),
        (
            "data.pools=[0.2, 0.2, 0.2, 0.2, 0.3]",
            "[0.2, 0.2, 0.2, 0.2, 0.3] is not allowed: must sum to 1, not 1.1",
        ),
        (
            "fleet.sensors.rejector.family=small_cnn",
            '"small_cnn" is not allowed: must be one of linear, mlp, lenet5',
        ),
    ],
)
def test_an_override_that_cannot_be_is_refused(example: Path, written: str, complaint: str) -> None:
    path = written.partition("=")[0]
    assert line_about(example, written) == f"--set {path}: {complaint}"


def test_a_path_that_cannot_be_printed_is_quoted(example: Path) -> None:
    assert line_about(example, "na\nme=3") == '--set "na\\nme": unknown key: did you mean name?'
    assert line_about(example, "=3") == "--set =3: must be written path=value, for instance --set seed=9"


def test_an_empty_list_has_no_entries(bare: Path) -> None:
    nowhere = "leads nowhere: server.outages is empty"
    assert line_about(bare, "server.outages.*.when=1") == f"--set server.outages.*.when: {nowhere}"
    assert line_about(bare, "server.outages=[]", "server.outages.0.when=1").endswith(nowhere)


def test_a_complaint_about_the_file_comes_before_one_about_an_override(example: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.yaml"
    spoilt.write_text(example.read_text().replace("discipline: fifo", "discipline: fifi"))
    file, option = line_about(spoilt, "seed=-1").split("\n")
    assert file == f'{spoilt}:32: server.discipline: "fifi" is not allowed: did you mean fifo?'
    assert option == "--set seed: -1 is not allowed: must be greater than or equal to 0"


paths = st.text(alphabet="ab01.*-", max_size=12)
paths |= st.from_regex(r"(fleet|server|data)(\.[a-z0-9*]{1,3}){0,3}")


@settings(deadline=None)
@given(path=paths, value=st.text(max_size=12))
def test_any_override_gives_a_scenario_or_one_line(example: Path, path: str, value: str) -> None:
    line = "--set "
    try:
        read(example, [f"{path}={value}"])
    except BadInput as refusal:
        line = str(refusal)
    assert line.startswith(("--set ", str(example)))
    assert line.replace("\n", "").isprintable()
