"""docs/learning.md says which test shows what: each name on it is a test's, and none of them is left out."""

from __future__ import annotations

import re
from pathlib import Path

from agents.rejectors.scores import in_order, is_trained
from sim.registry.scores import SCORES

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs/learning.md").read_text()
FILES = sorted([*HERE.glob("test_*.py"), *HERE.parent.glob("sim/test_*.py")])
RANKS_OF_THE_SOFTMAX = ("confidence", "confidence_calibrated", "entropy", "margin")
HAVE_A_CLASSIFIER = ("mozannar_sontag", "one_vs_all")  # asked for nothing: a frozen model answers
ABOUT_THE_THEORY = (
    "test_availability_in_the_loss.py",
    "test_consistency.py",
    "test_convexity.py",
    "test_propensity_weights.py",
    "test_regret.py",
    "test_stage_switching.py",
)


def named_in(path: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE))


def test_every_test_on_the_page_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - set().union(*map(named_in, FILES)) == set()


def test_the_page_names_every_test_of_the_theory() -> None:
    missing = {name for file in ABOUT_THE_THEORY for name in named_in(HERE / file) if f"`{name}`" not in PAGE}
    assert missing == {
        "test_the_risk_does_not_know_the_order_of_samples",
        "test_the_worlds_ask_for_both_decisions_at_every_cost",
    }


def test_the_page_has_every_score_with_its_unit_price_and_costs() -> None:
    """In one table, in the order of all tables, and with nothing else in it."""
    rows = re.findall(r"^\| `(\w+)` \| (gain|rank) \| ([^|]+) \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    prices = {"gain": "c_e·P(charged)/a", "rank": "0"}
    assert rows == [
        (
            score.name,
            score.unit,
            prices[score.unit] if score.has_bayes_price else "found",
            ", ".join(score.depends_on) or "none",
        )
        for score in in_order()
    ]


def test_the_page_says_what_each_score_needs_and_trains_on() -> None:
    """What is not trained trains on nothing; what is made from frozen models asks no rejector."""
    told = {
        name: (needs, trains)
        for name, needs, trains in re.findall(
            r"^\| `(\w+)` \| (?:[^|]+\|){3} ([^|]+) \| ([^|]+) \|$", PAGE, flags=re.MULTILINE
        )
        if name in SCORES
    }
    assert set(told) == set(SCORES)
    for name, (needs, trains) in told.items():
        assert needs.startswith("inputs") == is_trained(name)
        assert (trains == "nothing") == (not is_trained(name))
        assert ("the client's softmax" in needs) == (name in (*RANKS_OF_THE_SOFTMAX, "compare_confidence"))
        assert ("the client's answer" in needs) == (name in HAVE_A_CLASSIFIER)
