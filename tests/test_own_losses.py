"""Losses of rejectors that researchers bring: a copy of the tool's own gives its bytes, another learns, and
what is none is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from here import forget_what_was_brought

import l2h_fleet
from analysis.run_folder.study_rows import forms_in
from sim.registry import brought

pytestmark = pytest.mark.usefixtures("plain_pictures")

ROOT = Path(__file__).resolve().parents[1]
ONLINE = {"every_s": 20, "steps": 2, "step_s": 0.1, "rejector_steps": 3, "rejector_step_s": 0.1}
GROUP: dict[str, Any] = {
    "group": "devices",
    "clients": 6,
    "model": {"family": "linear", "train_samples": 100, "epochs": 2, "variants": 3},
    "arrivals": {"process": {"kind": "poisson", "rate_hz": 1.0}},
    "policy": {"score": "l2h"},
}
TINY: dict[str, Any] = {
    "name": "tiny",
    "horizon_s": 60,
    "data": {"set": "gaussian_mixture", "samples": 2000},
    "costs": {"c_e": 0.1, "c_1": 1.0},
    "training": {"pretrain": {"epochs": 3}},
    "fleet": [GROUP],
    "server": {"service": {"kind": "affine", "base_s": 0.05}},
}
FILE = """
import l2h_fleet
import torch

@l2h_fleet.register("loss", "mine")
def mine(scores, client_correct, server_correct, costs):
    return (costs * torch.softmax(scores, dim=-1)).sum(dim=-1)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("L2H_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("analysis.reports.run_page.begin", lambda *_args, **_more: None)
    forget_what_was_brought()
    yield tmp_path
    forget_what_was_brought()


def copy(scores: Any, _client: Any, _server: Any, costs: Any) -> Any:
    """`cost_sensitive`, written anew: each share weighs what all others cost."""
    weights = costs @ (1.0 - torch.eye(costs.shape[-1]))
    return -(weights * torch.log_softmax(scores, dim=-1)).sum(dim=-1)


def exponential(scores: Any, _client: Any, _server: Any, costs: Any) -> Any:
    """exp of how far whoever costs more is ahead, times what they cost more."""
    ahead = scores - scores.mean(dim=-1, keepdim=True)
    return ((costs - costs.amin(dim=-1, keepdim=True)) * torch.exp(ahead)).sum(dim=-1)


def trained(form: str, **training: Any) -> dict[str, Any]:
    return TINY | {"training": TINY["training"] | {"form": form} | training}


def two_options(document: dict[str, Any]) -> dict[str, Any]:
    models = {"small": {"family": "linear"}, "large": {"family": "mlp"}}
    servers = [{"server": name, **TINY["server"]} for name in ("edge", "cloud")]
    options = [
        {"option": "near", "server": "edge", "model": "small", "c_e": 0.05},
        {"option": "far", "server": "cloud", "model": "large", "c_e": 0.2},
    ]
    rest = {name: value for name, value in document.items() if name != "server"}
    fleet = [group | {"options": options} for group in document["fleet"]]
    return rest | {"models": models, "servers": servers, "fleet": fleet}


def one_option(document: dict[str, Any]) -> dict[str, Any]:
    return document


def requests_of(document: dict[str, Any], out: Path) -> pd.DataFrame:
    run = l2h_fleet.run(document, out=out)
    return pd.read_parquet(run.path / "requests")


def together(document: dict[str, Any]) -> dict[str, Any]:
    """Its clients merge what they learned in rounds during the run."""
    rounds = {"every_s": 20, "steps": 3, "step_s": 0.1, "wait_s": 4, "merge": "average"}
    fleet = [group | {"rejector": {"per": "client"}} for group in document["fleet"]]
    return document | {"federation": rounds, "fleet": fleet}


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "before the run": (one_option, {}),
    "in rounds": (one_option, {"online": ONLINE}),
    "on what was sent": (one_option, {"feedback": "deferred_only", "exploration": 0.2}),
    "for some availability": (one_option, {"availability": 0.8}),
    "two options": (two_options, {}),
    "together": (together, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_of_the_tools_own_loss_gives_its_bytes(way: str, here: Path) -> None:
    world, training = WAYS[way]
    l2h_fleet.register("loss", "copy", copy)
    l2h_fleet.register("loss", "exponential", exponential)
    own, mine, another = (
        requests_of(world(trained(form, **training)), here / form)
        for form in ("cost_sensitive", "copy", "exponential")
    )
    pd.testing.assert_frame_equal(own, mine, check_exact=True)
    assert not own["score"].equals(another["score"])


@pytest.mark.slow
def test_rejectors_of_own_and_other_losses_are_trained_as_one_stack(here: Path) -> None:
    """A study of five forms: each row learns what it would alone, and the report tells the own ones, too."""
    l2h_fleet.register("loss", "copy", copy)
    l2h_fleet.register("loss", "exponential", exponential)
    forms = ["paper", "copy", "cost_sensitive", "exponential"]
    run = l2h_fleet.run(trained("nonnegative") | {"study": {"form": forms}}, out=here / "study")
    assert set(run.study["form"]) == {"nonnegative", *forms, ""}
    numbers = run.study.set_index("form").select_dtypes("number")
    mine, own = (numbers.loc[[form]].reset_index(drop=True) for form in ("copy", "cost_sensitive"))
    pd.testing.assert_frame_equal(mine, own, check_exact=True)
    few = l2h_fleet.run(trained("nonnegative") | {"study": {"form": ["exponential"]}}, out=here / "few")
    there = few.study.set_index("form").select_dtypes("number")
    both = ["nonnegative", "exponential"]
    pd.testing.assert_frame_equal(numbers.loc[both], there.loc[both], check_exact=True)
    assert forms_in(run.study) == ["nonnegative", "cost_sensitive", "paper", "copy", "exponential", ""]


@pytest.mark.slow
@pytest.mark.parametrize("world", [one_option, two_options])
def test_another_surrogate_learns_a_rejector_of_lower_risk_than_any_constant(world: Any, here: Path) -> None:
    """On held-out samples of a mixture; the 95% interval of the difference lies below 0."""
    l2h_fleet.register("loss", "exponential", exponential)
    blind = {"kind": "missing_classes", "classes": [6, 7, 8, 9]}
    policy = {"score": "l2h", "price": {"kind": "threshold", "at": 0.0}}
    document = trained("exponential", pretrain={"epochs": 20}) | {"study": {"form": ["exponential", "paper"]}}
    document["data"] = {"set": "gaussian_mixture", "samples": 6000}
    model = {"family": "linear", "train_samples": 600, "epochs": 40, "variants": 2}
    document["costs"] = {"c_e": 0.25}
    document["fleet"] = [GROUP | {"partition": blind, "policy": policy, "model": model}]
    run = l2h_fleet.run(world(document), out=here / "run")
    (row,) = run.study[run.study["form"] == "exponential"].to_dict("records")
    assert row["price_from"] == "bayes"
    assert row["above_constant_high"] < 0.0
    assert 0.1 < row["deferral_rate"] < 0.9


def test_its_code_is_part_of_what_a_run_began_with(here: Path) -> None:
    """Another loss of the same name is learned anew, whatever was kept, and its digest is told."""
    found = []
    for number, text in enumerate((FILE, FILE.replace("(costs *", "(costs**2 *"))):
        (here / f"mine{number}.py").write_text(text)
        forget_what_was_brought()
        l2h_fleet.load_plugin(here / f"mine{number}.py")
        run = l2h_fleet.run(trained("mine"), out=here / str(number))
        told = json.loads((run.path / "versions.json").read_text())["loss mine"]
        found.append((told, pd.read_parquet(run.path / "requests")["score"]))
    assert len(found[0][0]) == 20
    assert found[0][0] != found[1][0]
    assert not found[0][1].equals(found[1][1])


def test_a_scenario_alone_knows_no_loss_of_ones_own() -> None:
    with pytest.raises(l2h_fleet.BadInput, match="one of your own needs --plugin FILE"):
        l2h_fleet.Scenario(trained("of_nobody_here")).check()
    with pytest.raises(l2h_fleet.BadInput, match="there is a loss 'paper' already"):
        l2h_fleet.register("loss", "paper", copy)
    assert brought.BROUGHT == []


@pytest.mark.ray
@pytest.mark.slow
def test_another_process_knows_it_too(here: Path) -> None:
    """Learners that are actors on Ray learn what those in one process do."""
    (here / "mine.py").write_text(FILE)
    (here / "asked.yaml").write_text(json.dumps(trained("mine", online=ONLINE)))
    words = [sys.executable, str(ROOT / "run_sim.py"), "run", "asked.yaml", "--plugin", "mine.py", "--quiet"]
    for more in (["--local", "--out", "here"], ["--out", "there"]):
        told = subprocess.run([*words, *more], cwd=here, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
    found = [pd.read_parquet(here / name / "requests") for name in ("here", "there")]
    pd.testing.assert_frame_equal(*found, check_exact=True)


def test_one_that_is_for_one_option_is_asked_for_no_more() -> None:
    def margin(scores: Any, _client: Any, _server: Any, costs: Any) -> Any:
        local, remote = scores.unbind(dim=-1)
        return (costs[:, 0] - costs[:, 1]) * (local - remote) + (local - remote) ** 2

    with pytest.raises(l2h_fleet.BadInput, match="loss 'margin' broke: ValueError: too many values"):
        l2h_fleet.check("loss", margin)
    margin.for_one_option = True  # type: ignore[attr-defined]
    l2h_fleet.check("loss", margin)
    l2h_fleet.register("loss", "margin", margin)
    l2h_fleet.Scenario(trained("margin")).check()
    with pytest.raises(l2h_fleet.BadInput, match=r"training\.form: .*is the loss of one option"):
        l2h_fleet.Scenario(two_options(trained("margin"))).check()


def remembering() -> Any:
    calls: list[int] = []

    def made(scores: Any, _client: Any, _server: Any, _costs: Any) -> Any:
        calls.append(1)
        return scores.sum(dim=-1) * len(calls)

    return made


def of_costs(how: Callable[[Any, Any], Any]) -> Any:
    return lambda scores, _client, _server, costs: how(scores, costs)


BAD: dict[str, Any] = {
    "must be a function of": lambda scores: scores,
    "must give a tensor of floats, not float": of_costs(lambda _scores, _costs: 1.0),
    "must give a tensor of floats, not torch.int64": of_costs(lambda scores, _costs: scores.argmax(dim=-1)),
    r"its own, \(200,\), not \(\); samples weigh unlike, so": of_costs(lambda scores, _costs: scores.mean()),
    r"not \(200, 1\)": of_costs(lambda scores, _costs: scores[:, :1]),
    "has no gradient": of_costs(lambda _scores, costs: costs[:, 0]),
    "has no gradient: it": of_costs(lambda scores, _costs: scores.detach()[:, 0]),
    "a loss of 1 option is nan": of_costs(lambda scores, _costs: scores[:, 0].log()),
    "a loss of 1 option is -?inf": of_costs(lambda scores, costs: scores[:, 0] / costs[:, 0]),
    "gradient of a loss of 1 option is not finite": of_costs(
        lambda scores, _costs: (scores[:, 0] - scores[:, 0]).sqrt()
    ),
    "gradient is 0 everywhere": of_costs(lambda scores, _costs: scores[:, 0] * 0.0),
    "gradient is 0 everywhere of 1 option": of_costs(
        lambda _scores, costs: costs[:, 0] * torch.ones((), requires_grad=True)  # of something else
    ),
    "broke: RuntimeError: The size of tensor": of_costs(lambda scores, costs: scores + costs[:3]),
    "something else the second time": remembering(),
    "another when others are beside it": of_costs(lambda scores, _costs: scores[:, 0] - scores.mean()),
}


@pytest.mark.parametrize("line", BAD)
def test_what_is_no_loss_is_told_in_one_line(line: str) -> None:
    with pytest.raises(l2h_fleet.BadInput, match=line) as refusal:
        l2h_fleet.check("loss", BAD[line])
    assert "\n" not in str(refusal.value)
    assert brought.BROUGHT == []


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (
            of_costs(lambda scores, _costs: scores.mean()),
            "the loss 'bad' must give each of .* samples its own",
        ),
        (
            of_costs(lambda scores, costs: scores[:, 0] / (costs[:, 0] * 0.0)),
            "group devices.* the loss is .* step",
        ),
    ],
)
def test_one_that_fails_while_it_trains_ends_the_run_in_one_line(made: Any, line: str, here: Path) -> None:
    l2h_fleet.register("loss", "bad", made)
    with pytest.raises(l2h_fleet.RunFailed, match=line) as refusal:
        l2h_fleet.run(trained("bad"), out=here / "run")
    assert "\n" not in str(refusal.value)
    assert refusal.value.stage == "learn"


@pytest.mark.slow
def test_the_digest_of_a_plugin_that_loads_torch_is_the_same_whatever_was_loaded_before(here: Path) -> None:
    (here / "mine.py").write_text(FILE)
    (here / "told.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "if sys.argv[1:]:\n    import agents.rejectors.blocks\n"
        "import l2h_fleet\nfrom sim.registry import brought\n"
        "l2h_fleet.load_plugin('mine.py')\nprint(brought.digests())\n"
    )
    asked = [sys.executable, "told.py"]
    told = [
        subprocess.run([*asked, *more], capture_output=True, text=True, check=True).stdout
        for more in ([], ["all"])
    ]
    assert told[0] == told[1] != "{}\n"
