"""The figures of a run: every one in one table, a pure function of the traffic with its words beside it.
A new figure is one function and one line in FIGURES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from analysis.figures import alt, study_alt
from analysis.figures.contrast import contrast
from analysis.figures.deferral import deferral, risk
from analysis.figures.deferring import deferring
from analysis.figures.fairness import fairness
from analysis.figures.latency import latency
from analysis.figures.learning import learning
from analysis.figures.online import learns_online, online
from analysis.figures.outcomes import outcomes
from analysis.figures.reliability import has_estimates, reliability
from analysis.figures.study import (
    study_accuracy,
    study_bounded,
    study_contrast,
    study_losses,
    study_rates,
    study_risk,
)
from analysis.figures.timeline import timeline
from analysis.figures.together import learns_together, together
from analysis.run_folder.run import Run
from analysis.run_folder.study_rows import is_study
from analysis.run_folder.traffic import Traffic


@dataclass(frozen=True)
class Drawing:
    """A figure's function; what it shows, for who cannot see it (of traffic and summary); what to look at."""

    draw: Callable[[Traffic], Figure]
    title: str
    alt: Callable[[Traffic, dict[str, Any]], str]
    caption: str
    needs: frozenset[str] = frozenset({"requests"})  # tables
    fits: Callable[[Run], bool] = lambda _run: True  # else the run has nothing of what it shows

    @property
    def needs_traffic(self) -> bool:
        return bool(self.needs & {"requests", "timeline"})

    @property
    def needs_study(self) -> bool:
        return any(name.startswith("study") for name in self.needs)

    def suits(self, run: Run) -> bool:
        """Whether the run has what it shows: without traffic there is no time line."""
        if "requests" in self.needs and not run.keeps_rows:
            return False
        return (run.horizon_s > 0 or not self.needs_traffic) and self.fits(run)


FIGURES = {
    "study_contrast": Drawing(
        study_contrast,
        "Whom to ask about what, by cost of deferring",
        study_alt.study_contrast,
        "At the run's own form, c_1 and interval between copies. On what was sent the server should lead by "
        "far; on what was kept a lead is help that was not worth its cost.",
        needs=frozenset({"study"}),
    ),
    "study_accuracy": Drawing(
        study_accuracy,
        "Accuracy against deferral rate",
        study_alt.study_accuracy,
        "Each point is a rejector trained at one cost of deferring; along a line that falls to the right. "
        "The distance above the straight line is what the choice of samples is worth.",
        needs=frozenset({"study"}),
    ),
    "study_rates": Drawing(
        study_rates,
        "Deferral rate against the cost of deferring",
        study_alt.study_rates,
        "A rejector that minds its costs sends less where a send is dearer (to the right) and where a wrong "
        "answer of the server weighs more (the higher c_1).",
        needs=frozenset({"study"}),
    ),
    "study_risk": Drawing(
        study_risk,
        "Risk against the cost of deferring",
        study_alt.study_risk,
        "A rejector that minds its costs stays below both grey lines: it should never do worse than sending "
        "nothing or everything. What is left to the dotted line is what nobody can know beforehand.",
        needs=frozenset({"study"}),
    ),
    "study_losses": Drawing(
        study_losses,
        "Learning from copies of the server",
        study_alt.study_losses,
        "S is the number of batches between two refreshes of the copy that the rejectors learn from. Losses "
        "are in terms of the copy in force, so a stale one can look easier or harder than it is; compare "
        "where the lines end.",
        needs=frozenset({"study_losses"}),
    ),
    "study_bounded": Drawing(
        study_bounded,
        "A bounded deferral rate",
        study_alt.study_bounded,
        "The coin keeps a trained rejector's sends, or adds to them, to meet a rate set on the calibration "
        "pool. It meets the score's own curve at the rejector's own rate and lies below it elsewhere: a coin "
        "throws away what the score knows.",
        needs=frozenset({"study_bounded", "study_curves"}),
    ),
    "timeline": Drawing(
        timeline,
        "Time line",
        alt.timeline,
        "Compare the fleet with the clients' own models: the distance is what the server's help is worth; "
        "it closes while the server is away. Retries and the queue show how long an outage is felt after "
        "its end. The band around accuracy is a 95% interval that counts each distinct sample of a bin "
        "once.",
        needs=frozenset({"timeline", "events"}),
    ),
    "outcomes": Drawing(
        outcomes,
        "Outcomes",
        alt.outcomes,
        "What became of the requests, by the time at which they arrived. Look at what takes the place of "
        "remote answers during an outage, and whether it goes away when the outage ends.",
    ),
    "latency": Drawing(
        latency,
        "Latency",
        alt.latency,
        "A curve further right is slower, a flatter one has the heavier tail. Where the curve of all "
        "requests bends is where another kind of outcome begins to rule its tail.",
    ),
    "deferring": Drawing(
        deferring,
        "Deferring over time",
        alt.deferring,
        "A policy that does not see the server's state sends as much during an outage as before it; then "
        "only retries and what answers cost tell of the outage. Where sends per sent request rise, the "
        "server gets more work for the same requests just when it can do less.",
    ),
    "contrast": Drawing(
        contrast,
        "Whom to ask about what",
        alt.contrast,
        "A rejector that learned its task sends what the client gets wrong and the server right: on what "
        "was sent the server should lead by far, on what was kept the two should be close. Bars are 95% "
        "intervals.",
    ),
    "fairness": Drawing(
        fairness,
        "Fairness over clients",
        alt.fairness,
        "A steep line is a group whose clients fare alike; the distance to its line with circles is what the "
        "server's help is worth to them. Where groups lie apart, help or samples are shared "
        "unevenly. With few requests per client a slope is partly chance.",
    ),
    "deferral": Drawing(
        deferral,
        "What deferral can buy",
        alt.deferral,
        "Curves come from the first models alone, before any drift, with a server that always answers; the "
        "circles are of the requests that came while that was so, as the title says. The open circle shows "
        "what this run's decisions promise, the filled one what the fleet got: the line between them is what "
        "capacity, outages and limits took away.",
        needs=frozenset({"deferral"}),
    ),
    "risk": Drawing(
        risk,
        "What deferring costs",
        alt.risk,
        "The lowest point of a curve is the best threshold of its score at this c_e, had the server always "
        "answered. Curve and point are of the first models before any drift, as the title says. What "
        "the run paid lies above its score's curve by what queues and outages took, and by chance.",
        needs=frozenset({"deferral"}),
    ),
    "reliability": Drawing(
        reliability,
        "Reliability",
        alt.reliability,
        "Estimates on the diagonal mean what they say; points below it are too sure of themselves. A "
        "threshold in units of cost asks for that: plug-in and its like decide by these numbers. Bars are "
        "95% intervals that count each sample once. Legends have the expected calibration error in points "
        "with its interval, and how large chance alone would make it.",
        needs=frozenset({"reliability"}),
        fits=has_estimates,
    ),
    "learning": Drawing(
        learning,
        "Learning before the run",
        alt.learning,
        "Each line is the mean over the members of a group; one that still falls at its end would gain from "
        "more training. The rejectors' loss weighs each choice by how good it is, so it rises while the "
        "server improves: look at where it levels off.",
        needs=frozenset({"learning"}),
    ),
    "online": Drawing(
        online,
        "Learning during the run",
        alt.online,
        "Rounds of training need the server as requests do: while it is down no version is made and no copy "
        "sent, so nobody learns of a drift. Staleness is how far clients hang behind: a spike at each new "
        "version is its way to them, and what stays up is who cannot be reached or is still training.",
        needs=frozenset({"requests", "timeline", "events"}),
        fits=learns_online,
    ),
    "together": Drawing(
        together,
        "Learning together",
        alt.together,
        "While the server is down nothing is merged: clients go on with what they learned from their own "
        "answers, of which no more come then. Staleness is the way of what was merged to the clients, and "
        "what stays up is who cannot be reached or is absent.",
        needs=frozenset({"requests", "timeline", "events"}),
        fits=learns_together,
    ),
}


def drawings_of(run: Run) -> dict[str, Drawing]:
    """The figures that a run can fill: without a study no grid."""
    return {
        name: drawing
        for name, drawing in FIGURES.items()
        if drawing.suits(run) and (is_study(run) or not drawing.needs_study)
    }
