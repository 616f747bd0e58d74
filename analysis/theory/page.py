"""docs/laws.md: every law with its formula, written from the laws themselves.
Made anew by `python -m analysis.theory.page > docs/laws.md`; a test holds the page to it."""

from __future__ import annotations

from analysis.theory import LAWS

HEAD = """\
# Laws that predict a run

Every finished run is held against the laws below, whoever wrote its scenario. A law reads the resolved
scenario and the models' tables, says nothing where its assumptions do not hold, and else predicts numbers.
The report shows them beside the simulated ones (*Prediction against simulation*, with a figure), and
`summary.json` holds them as `predictions`. Where the two part, an assumption is broken: that is what a
simulator is for.

- *predicted*: what the formula says. λ_g: requests per second of a group; ρ_g: the share its policy sends,
  from the scenario where that says it (`bounded_rate`, `always_remote`, `random`), else from the decisions
  of each minute, which never depend on the server; c replicas; E[S] mean service time; μ what full batches
  can serve.
- *simulated*: with its 95% interval. Shares of requests that are independent given the models: Wilson's.
  What happens over time, where neighbours are alike: the means of 20 stretches with Student's t. What drawn
  outages decide: widened by the variance of the share of time up, 2·a·(1 − a)·τ/T.
- *margin*: by how much the formula itself may be off; 0 where it is exact.
- *agrees*: the prediction lies in the interval, widened by the margin. By chance one in twenty does not.

| scenario | law |
| --- | --- |
| `outage` | *Backlog and retries*, *Cut off from the server*, *Age of what was learned* |
| `intermittent`, `pay_per_request` | *What the tables promise* |
| `bounded_rate` | *Load and wait* |
| `retry_storm` | *Backlog and retries* |
| `partition` | *Cut off from the server*, *Load and wait* |
| `stale_copy` | *Age of what was learned* |
| `burst` | *Cold calls* |
| `churn` | *Clients that come and go* |
| `unfair` | *Shares of a server that is asked for too much* |
| `split` | *What asking takes* |
| `learning_together`, `neighbours` | *Learning together* |
| `disconnected` | *What a block of drafts brings* |
| `switchable` | *A server that switches models under overload* |

A new law is a module of `analysis/theory` with a function of the traffic, and a line in `LAWS`.
"""


def page() -> str:
    """The page: how predictions are judged, then a section for each law."""
    parts = [HEAD]
    for name, law in LAWS.items():
        parts += [
            f"## {law.title} (`{name}`)\n",
            f"- *Formula*: {law.formula}.",
            f"- *Assumes*: {law.assumes}.",
            f"- *Fails*: {law.fails}.",
            f"- *Source*: {law.source}.\n",
        ]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
