"""How good answers are class by class, and how well a score tells wrong answers from right ones.
From held-out requests; sections of the summary, defined in `definitions`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.run_folder.traffic import Floats, Mask, Traffic
from analysis.statistics.cells import numbered
from analysis.statistics.pieces import pieces
from analysis.statistics.room import laid_down, put_back

MOST = 1_000_000  # requests that are put in order


def classes(traffic: Traffic) -> dict[str, Any]:
    """By true class the accuracy of what was answered, of the clients' models and of the server's, and the
    share that was sent; and the mean over classes, however often each is asked about."""
    held_out, label = traffic.held_out, traffic.column("label")
    there = numbered(label[held_out])[0]
    by_class = {str(one): _of_class(traffic, held_out & (label == one)) for one in there}
    return {
        "balanced_accuracy": _balanced(traffic, traffic.correct),
        "balanced_client_accuracy": _balanced(traffic, traffic.column("client_right")),
        "by_class": by_class,
    }


def _of_class(traffic: Traffic, among: Mask) -> dict[str, Any]:
    share = traffic.clusters.share
    return {
        "accuracy": share(traffic.correct, among),
        "client_accuracy": share(traffic.column("client_right"), among),
        "server_accuracy": share(traffic.column("server_right"), among & traffic.column("server_known")),
        "deferral_rate": share(traffic.column("deferred"), among),
    }


def _balanced(traffic: Traffic, right: NDArray[Any]) -> dict[str, Any]:
    """The mean over classes of the share that is right; its interval is that of the linear part of it."""
    held_out, label = traffic.held_out, traffic.column("label")
    there = numbered(label[held_out])[0]
    hits, count = np.zeros(there.size), np.zeros(there.size, dtype=np.int64)
    for places in pieces(len(label)):
        of_class = np.searchsorted(there, label[places][held_out[places]])
        hits += np.bincount(of_class, right[places][held_out[places]], there.size)
        count += np.bincount(of_class, minlength=there.size)
    shares = hits / count
    weight = int(count.sum()) / (there.size * count)
    mean = shares.mean() if there.size else 0.0

    def linear(places: slice) -> Floats:
        of_class = np.searchsorted(there, label[places][held_out[places]])
        apart = right[places][held_out[places]] - shares[of_class]
        values = np.zeros(held_out[places].size)
        values[held_out[places]] = mean + weight[of_class] * apart
        return values

    return traffic.clusters.mean(laid_down(linear, len(label), np.float64), held_out)


def ranking(traffic: Traffic) -> dict[str, Any]:
    """Of each group whose score is not drawn: how well it orders requests by how wrong the client is."""
    found = {}
    for name, group in traffic.run.groups.items():
        mine = traffic.held_out & traffic.is_of_group(name)
        mine &= traffic.column("is_decided")
        mine = _thinned(mine)
        if group["policy"]["score"] != "random" and mine.any():
            found[name] = {"auroc": _auroc(traffic, mine), "aurc": _aurc(traffic, mine)}
    return found


def _thinned(among: Mask) -> Mask:
    """The same, of more than MOST of them every second or third or so, which are as good and take less."""
    places = np.flatnonzero(among)
    kept = np.zeros(among.size, dtype=bool)
    kept[places[:: max(1, -(-places.size // MOST))]] = True
    return kept


def _auroc(traffic: Traffic, among: Mask) -> dict[str, Any]:
    """P(score of one whom the client has wrong > that of one whom it has right), ties half; its interval by
    DeLong, DeLong and Clarke-Pearson (1988), over clients and samples. NaN where all are alike."""
    score, wrong = _of(traffic, among)
    values, mass, right = np.full(len(score), np.nan), wrong.sum(), (1.0 - wrong).sum()
    if mass > 0 and right > 0:
        distinct, place = np.unique(score, return_inverse=True)
        below = _below(place, 1.0 - wrong)
        beside = _below(distinct.size - 1 - place, wrong)  # of those whose score is higher
        of_wrong, of_right = below / right, beside / mass
        area = float((of_wrong * wrong).sum() / mass)
        n = len(score)
        values = area + n * (wrong * (of_wrong - area) / mass + (1.0 - wrong) * (of_right - area) / right)
    return traffic.clusters.mean(put_back(values, among, np.nan), among)


def _below(place: NDArray[np.intp], weight: Floats) -> Floats:
    """The weight whose place is lower than each one's, and half of that whose place is the same, (n,)."""
    at = np.bincount(place, weight)
    below: Floats = (at.cumsum() - at / 2)[place]
    return below


def _aurc(traffic: Traffic, among: Mask) -> dict[str, Any]:
    """The share of the client's answers that are wrong among the lowest scores, mean over how many are kept
    (the area under the risk-coverage curve, Geifman and El-Yaniv 2017), ties in no order; its interval from
    its linear part."""
    score, wrong = _of(traffic, among)
    order = np.argsort(score, kind="stable")
    n, lost = len(score), wrong[order]
    kept = np.arange(1, n + 1)
    tied = np.unique(score, return_inverse=True)[1][order]
    expected = _mean_of_each(lost, tied)
    # Over all coverages at which each is kept, by the mean over the orders of what ties.
    harmonic = _mean_of_each((1.0 / kept)[::-1].cumsum()[::-1], tied)
    later = _mean_of_each((expected / kept)[::-1].cumsum()[::-1], tied)
    values = np.empty(n)
    values[order] = lost * harmonic + lost.mean() - later
    return traffic.clusters.mean(put_back(values, among, 0.0), among)


def _mean_of_each(values: Floats, tied: NDArray[np.intp]) -> Floats:
    """In place of each value the mean of those that it ties with, (n,)."""
    mean: Floats = (np.bincount(tied, values) / np.bincount(tied))[tied]
    return mean


def _of(traffic: Traffic, among: Mask) -> tuple[Floats, Floats]:
    """Scores, and how wrong the client's answers are, in [0, 1]."""
    right = traffic.column("client_right")[among].astype(np.float64, copy=False)
    return traffic.column("score")[among].astype(np.float64, copy=False), 1.0 - right
