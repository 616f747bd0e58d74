"""docs/learning.md says which test shows what: each name on it is a test's, and none of them is left out."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parents[1] / "docs/learning.md").read_text()
FILES = sorted(HERE.glob("test_*.py"))
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
