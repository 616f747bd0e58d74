"""Registration from outside: what an object of each family must be, and where its code then stands.
The one place that knows all families of `l2h_fleet.register`; a new one is one function here."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import isclass
from types import FunctionType
from typing import Any

from commands.plugins.forms import forget, needs, require_free, takes, takes_so_many
from commands.plugins.of_results import figure, hook, law, metric
from commands.plugins.parts import arguments, part_of, tagged
from sim.errors import BadInput
from sim.policy.controllers import CONTROLLERS
from sim.policy.own import PythonPolicy, completed
from sim.registry import brought
from sim.registry.arrivals import PROCESSES, ArrivalProcess
from sim.registry.choices import CHOICES, Choice
from sim.registry.disciplines import BY_RANK, DISCIPLINES, Discipline
from sim.registry.durations import DURATIONS, RandomDuration
from sim.registry.losses import LOSSES, Loss
from sim.registry.outages import WHEN, OutageWhen
from sim.registry.prices import PRICES, PriceRule
from sim.registry.registry import Kind, PartFamily, nearest_of, rebuild
from sim.registry.scores import SCORES, Score
from sim.registry.service import SERVICES, ServiceLaw
from sim.registry.shapes import SHAPES, RateShape
from sim.scenario.schema.values import NAME

Adopter = Callable[[str, Any], Callable[[], None]]  # of a name and an object: what takes it back


def register(family: str, name: str, made: Any = None) -> Any:
    """Adds a kind of one's own, which scenarios may then name; gives the object, so it can be a decorator:
    `@register("price", "mine")`.

    family: price, policy, score, loss, discipline, choice, arrivals, duration, service, shape, outage,
    metric, figure, law or hook; docs/own_code.md says what each takes. Registering one's own name again
    replaces it, as a notebook does that runs a cell twice. Raises BadInput, in one line, for what the object
    lacks, or a name that is the tool's own.
    """
    if made is None:
        return lambda later: register(family, name, later)
    if family not in ADOPTERS:
        raise BadInput(f"'{family}' is no family of kinds: {nearest_of(family, ADOPTERS)}")
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or name.endswith("\n"):
        raise BadInput(f"{name!r}: must be a name: a letter, then at most 63 letters, digits, _ or -")
    adopt(family, name, made)
    return made


def adopt(family: str, name: str, made: Any) -> None:
    """Registers under any name. What was registered under it is back if the new object will not do."""
    known = next((one for one in brought.BROUGHT if (one.family, one.name) == (family, name)), None)
    if known is not None:
        known.take_back()
        brought.BROUGHT.remove(known)
    try:
        take_back = ADOPTERS[family](name, made)
    except Exception:
        if known is not None:
            again = ADOPTERS[family](name, known.made)
            brought.BROUGHT.append(known._replace(take_back=again))
        raise
    finally:
        rebuild()
    file, code = brought.FILES[-1] if brought.FILES else ("", brought.code_of(made))
    brought.BROUGHT.append(brought.Brought(family, name, made, code, take_back, file))


def _price(name: str, made: Any) -> Callable[[], None]:
    require_free(name, PRICES, "price")
    needs(made, "price", threshold=4)
    takes_so_many(made, on_decision=4, on_outcome=4)
    whole = completed(made)
    facts = {
        "unit": getattr(made, "unit", "score"),
        "keeps_state": True,
        "uses_feedback": hasattr(made, "on_outcome"),
        "draws": getattr(made, "draws", False),
        "explores": getattr(made, "explores", True),
    }
    if facts["unit"] not in ("score", "cost", "share"):
        raise BadInput(f"{made.__name__}: unit {facts['unit']!r}: must be score, cost or share")
    facts["needs_calibration"] = facts["unit"] == "share"
    part = part_of(PRICES, PriceRule, name, made, facts)
    PRICES.register(name, part)
    CONTROLLERS.attach(name, lambda price, costs: whole(**arguments(made, price, costs)))
    return lambda: forget(name, PRICES, CONTROLLERS)


def _policy(name: str, made: Any) -> Callable[[], None]:
    require_free(name, PRICES, "price")
    needs(made, "policy", decide=2, bound=True)
    takes_so_many(made, hear=2, bound=True)
    facts = {
        "unit": "score",
        "keeps_state": True,
        "uses_feedback": hasattr(made, "hear"),
        "draws": True,
        "explores": getattr(made, "explores", True),
        "is_python": True,
    }
    PRICES.register(name, part_of(PRICES, PriceRule, name, made, facts))
    CONTROLLERS.attach(
        name, lambda price, costs: PythonPolicy(name, lambda: made(**arguments(made, price, costs)))
    )
    return lambda: forget(name, PRICES, CONTROLLERS)


def _score(name: str, made: Any) -> Callable[[], None]:
    from agents.rejectors.scores import OF_CLIENTS, Evidence

    require_free(name, SCORES, "score")
    if not callable(made) or takes(made) != 1:
        raise BadInput(f"score '{name}': must be a function of log-probabilities, float64 (n, classes)")
    unit: Any = getattr(made, "unit", "rank")
    if unit not in ("rank", "gain"):
        raise BadInput(f"score '{name}': unit {unit!r}: must be rank or gain")
    entry = Score(name, unit, "client", has_bayes_price=unit == "gain")
    SCORES.register(name, entry)

    def score(evidence: Evidence) -> Any:
        return checked_scores(name, made, evidence.log_probabilities)

    OF_CLIENTS.attach(name, score)
    return lambda: forget(name, SCORES, OF_CLIENTS)


def checked_scores(name: str, made: Callable[[Any], Any], log_probabilities: Any) -> Any:
    """What a score gives, float32 (n,). Raises RunFailed if that is no number a sample."""
    import numpy as np

    from sim.errors import RunFailed

    try:
        found = np.asarray(made(log_probabilities), dtype=np.float32)
    except Exception as error:
        raise RunFailed("decide", f"the score '{name}' broke: {type(error).__name__}: {error}") from error
    if found.shape != log_probabilities.shape[:1] or np.isnan(found).any():
        raise RunFailed(
            "decide",
            f"the score '{name}' gave {found.shape} numbers, or NaN, for {len(log_probabilities)} samples",
        )
    return found


def _loss(name: str, made: Any) -> Callable[[], None]:
    from agents.rejectors.own_losses import OWN_LOSSES

    require_free(name, LOSSES, "loss")
    if not callable(made) or takes(made) != 4:
        raise BadInput(
            f"loss '{name}': must be a function of (scores, client_correct, server_correct, costs)"
        )
    LOSSES.register(name, Loss(name, **facts_of(made, "for_one_option")))
    OWN_LOSSES.attach(name, made)
    return lambda: forget(name, LOSSES, OWN_LOSSES)


def _discipline(name: str, made: Any) -> Callable[[], None]:
    require_free(name, DISCIPLINES, "discipline")
    _ranks("discipline", name, made, "an attempt that waits")
    facts = facts_of(made, "needs_deadline", "heeds_priority", "sheds_worse")
    DISCIPLINES.register(name, Discipline(name, BY_RANK, meaning_of(made, name), made, **facts))
    return lambda: forget(name, DISCIPLINES)


def _choice(name: str, made: Any) -> Callable[[], None]:
    require_free(name, CHOICES, "choice")
    _ranks("choice", name, made, "an option")
    facts = facts_of(made, "needs_scores", "takes_turns", "draws", "goes_on")
    CHOICES.register(name, Choice(name, made, meaning_of(made, name), needs_backlog=True, **facts))
    return lambda: forget(name, CHOICES)


def _ranks(family: str, name: str, made: Any, what: str) -> None:
    if not isinstance(made, FunctionType) or takes(made) != 1:
        raise BadInput(f"{family} '{name}': must be a function of {what} that gives a number")


def facts_of(made: Any, *names: str) -> dict[str, bool]:
    """What a function's attributes of these names say of it; False unless they are there."""
    return {name: bool(getattr(made, name, False)) for name in names}


def meaning_of(made: Any, name: str) -> str:
    """What an object says of itself in its first line."""
    return (made.__doc__ or f"{name}, which does not say what it is").strip().partition("\n")[0].strip(". ")


def _part(family: PartFamily[Any], base: type[Kind], noun: str, *must_have: str) -> Adopter:
    """Of families whose kinds are parts with their code."""

    def adopt(name: str, made: Any) -> Callable[[], None]:
        require_free(name, family, noun)
        if not isclass(made) or not issubclass(made, base):
            raise BadInput(f"{noun} '{name}': must be a subclass of {base.__name__}")
        lacks = [one for one in must_have if getattr(made, one) is getattr(base, one)]
        if lacks:
            raise BadInput(f"{noun} '{name}': {made.__name__} lacks {lacks[0]}")
        family.register(name, tagged(family, made, name, made, {}, {}))
        return lambda: forget(name, family)

    return adopt


ADOPTERS: dict[str, Adopter] = {
    "price": _price,
    "policy": _policy,
    "score": _score,
    "loss": _loss,
    "discipline": _discipline,
    "choice": _choice,
    "arrivals": _part(PROCESSES, ArrivalProcess, "arrival process", "source", "steady_rate_hz"),
    "duration": _part(DURATIONS, RandomDuration, "duration", "quantile"),
    "service": _part(SERVICES, ServiceLaw, "service", "scale_s", "mean_factor", "constant", "factor"),
    "shape": _part(SHAPES, RateShape, "shape", "operational_s", "inverse", "peak"),
    "outage": _part(WHEN, OutageWhen, "outage", "times"),
    "metric": metric,
    "figure": figure,
    "law": law,
    "hook": hook,
}
