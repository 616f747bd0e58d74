"""Rules about several servers, their models, options and outages: each is broken once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.scenario import read

SCENARIO = """
name: two
horizon_s: 10
costs: {c_e: 0.1}
models:
  small: {family: linear, memory_bytes: 1}
  large: {family: small_cnn, memory_bytes: 2}
servers:
  - {server: edge, models: [small], service: {kind: affine, base_s: 0.1}}
  - {server: cloud, models: [large], service: {kind: affine, base_s: 0.1}}
outages:
  - {when: {kind: intervals, at: [[1, 2]]}, target: {kind: servers, names: [edge, cloud]}}
fleet:
  - group: phones
    clients: 2
    arrivals: {process: {kind: poisson, rate_hz: 1.0}}
    policy: {score: l2h, price: {kind: threshold, at: 0.0}}
    options:
      - {option: near, server: edge}
      - {option: far, server: cloud}
    choose: best
    deadline_s: 2.0
    timeout_s: 1.0
    retry: {attempts: 2, backoff_s: 0.1, next: other}
    hedge: {after_s: 0.5}
"""


ONLINE = "training: {online: {every_s: 2, steps: 1, step_s: 0, rejector_steps: 1, rejector_step_s: 0}}\n"
MODELS = (
    "models:\n  small: {family: linear, memory_bytes: 1}\n  large: {family: small_cnn, memory_bytes: 2}\n"
)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("option: far, server: cloud", "option: far, server: cluod", "did you mean cloud?"),
        ("option: far, server: cloud", "option: near, server: cloud", "another option of the group has"),
        (
            "option: far, server: cloud",
            "option: far, server: cloud, model: small",
            'model: "small" is not allowed: the server has no such model: must be large',
        ),
        (
            "server: cloud, models: [large]",
            "server: cloud",
            "model: null is not allowed: the server has several: must be one of small, large",
        ),
        ("models: [large]", "models: [large, small], max_batch: 4", "a batch is of one model"),
        ("models: [large]", "models: [small]", "no server has this model: must be"),
        (
            "models: [large], ",
            "models: [large, small], memory_bytes: 2.5, ",
            "memory_bytes: 2.5 is not allowed: its models take 3: large 2, small 1",
        ),
        (
            "models: [large], ",
            "models: [large, small], memory_bytes: 1.5, load_s: 0.1, ",
            "memory_bytes: 1.5 is not allowed: large takes 2 alone: it can never come in",
        ),
        (
            "models: [large], ",
            "models: [large], memory_bytes: 2, load_s: 0.1, ",
            "load_s: 0.1 is not allowed: the server has one model, which stays: must be null",
        ),
        (
            "models: [large], ",
            "models: [large, small], load_s: 0.1, ",
            "load_s: 0.1 is not allowed: all models are in memory where memory_bytes is null: give it",
        ),
        (
            "models: [large], ",
            "models: [large, small], memory_bytes: 2, load_s: 0.1, stages: 2, ",
            "stages: 2 is not allowed: other batches are in a pipeline as a model goes out: must be 1",
        ),
        (
            "models: [large], ",
            "models: [large, small], memory_bytes: 2, load_s: 0.1, "
            "serverless: {keep_alive_s: 1, cold_start_s: 1}, ",
            "is not allowed: an instance starts with its models: must be null with load_s",
        ),
        (
            SCENARIO.partition("  - {server: edge")[0],
            SCENARIO.partition("  - {server: edge")[0].replace("linear,", "small_cnn, nested_in: large,")
            + "  - {server: more, models: [small, large], memory_bytes: 3, load_s: 0.1, "
            "service: {kind: affine, base_s: 0.1}}\n",
            "load_s: 0.1 is not allowed: small is a part of a model of this server, and goes with it",
        ),
        ("choose: best", "choose: best\n    homes: [near, far]", "is for choose: home: must be null"),
        ("choose: best", "choose: home\n    homes: [near]", "an option for each of 2 clients, not 1"),
        ("choose: best", "choose: home\n    homes: [near, fra]", 'homes.1: "fra" is not allowed'),
        ("models: [large], ", "models: [large], stage_overhead: 1.5, ", "there is one stage: must be 1"),
        (
            "models: [large], ",
            "models: [large], stages: 2, in_flight: resume, ",
            "a batch that stands still would block its pipeline: use lose",
        ),
        ("names: [edge, cloud]", "names: [edge, clod]", "did you mean cloud?"),
        ("names: [edge, cloud]", "names: [edge, edge]", 'names.1: "edge" is not allowed: is named twice'),
        (
            "kind: servers, names: [edge, cloud]",
            "kind: server",
            "stands beside the servers: use kind: servers",
        ),
        ("score: l2h", "score: confidence", "ranks the client against all options alike: use order"),
        ("score: l2h", "score: one_vs_all", "learns about one option"),
        ("after_s: 0.5", "after_s: 1.0", "must be less than timeout_s, 1"),
        ("after_s: 0.5", "after_s: 3.0", "must be less than timeout_s, 1"),
        ("      - {option: far, server: cloud}\n", "", "there is one option"),
        (
            "fleet:",
            ONLINE.replace("every_s: 2", "every_s: 2, adaptive: {cost: 1, at_least_s: 1}") + "fleet:",
            "is not allowed: gaps follow the answers of one model on one server",
        ),
        (
            "fleet:",
            ONLINE.replace("every_s: 2", "every_s: 2, models: [smal]") + "fleet:",
            'models.0: "smal" is not allowed: there is no such model: did you mean small?',
        ),
        (
            "fleet:",
            ONLINE.replace("every_s: 2", "every_s: 2, models: [small, small]") + "fleet:",
            'models.1: "small" is not allowed: is named before',
        ),
        (
            "models:\n  small: {family: linear, ",
            ONLINE + "models:\n  small: {nested_in: large, ",
            "is not allowed: not yet with models that are nested: must be null",
        ),
        ("fleet:", "training: {availability: observed}\nfleet:", "is for one server: give a number"),
    ],
)
def test_what_options_cannot_be(complaint: Callable[..., str], old: str, new: str, said: str) -> None:
    assert SCENARIO.count(old) == 1
    assert said in complaint(SCENARIO.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("models: [small]", "models: [small, small]", 'models.1: "small" is not allowed: is named twice'),
        ("models: [small]", "models: [smal]", "there is no such model: did you mean small?"),
        ("server: cloud, models", "server: edge, models", "another server has this name"),
        ("models:\n", "server: {service: {kind: affine, base_s: 1}}\nmodels:\n", "give one of the two"),
        (
            MODELS,
            "",
            "there are no models: write them under models",
        ),
        (MODELS, "models: {}\n", "must be a mapping of at"),
    ],
)
def test_a_name_that_does_not_hold_is_told_before_what_follows_from_it(
    complaint: Callable[..., str], old: str, new: str, said: str
) -> None:
    assert SCENARIO.count(old) == 1
    assert said in complaint(SCENARIO.replace(old, new))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("models.*.family=mlp", 'models.*: "*" is not allowed: must be a name'),
        ("models.lagre.family=mlp", "no server has this model: did you mean large?"),
    ],
)
def test_a_model_that_an_override_would_make_up(complaint: Callable[..., str], path: str, said: str) -> None:
    assert said in complaint(SCENARIO, path)


def test_it_is_fine_unspoilt(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(SCENARIO)
    assert read(path).station_names == ("edge", "cloud")
