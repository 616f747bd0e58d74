"""Registration from outside: what an object of each family must be, and where its code then stands.
The one place that knows all families of `l2h_fleet.register`; a new one is one function here."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import isclass, signature
from typing import Any

from commands.plugins.parts import arguments, part_of, tagged
from sim.errors import BadInput
from sim.policy.controllers import CONTROLLERS
from sim.policy.own import PythonPolicy, completed
from sim.registry import brought
from sim.registry.arrivals import PROCESSES, ArrivalProcess
from sim.registry.durations import DURATIONS, RandomDuration
from sim.registry.outages import WHEN, OutageWhen
from sim.registry.prices import PRICES, PriceRule
from sim.registry.registry import Kind, PartFamily, nearest_of, rebuild
from sim.registry.scores import SCORES, Score
from sim.registry.service import SERVICES, ServiceLaw
from sim.registry.shapes import SHAPES, RateShape
from sim.scenario.schema.values import NAME, Part

Adopter = Callable[[str, Any], Callable[[], None]]  # of a name and an object: what takes it back


def register(family: str, name: str, made: Any = None) -> Any:
    """Adds a kind of one's own, which scenarios may then name; gives the object, so it can be a decorator:
    `@register("price", "mine")`.

    family: price, policy, score, arrivals, duration, service, shape, outage, metric, figure, law or hook;
    docs/own_code.md says what each takes. Registering one's own name again replaces it, as a notebook
    does that runs a cell twice. Raises BadInput, in one line, for what the object lacks, or a name that is
    the tool's own.
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
    _require_free(name, PRICES, "price")
    _needs(made, "price", threshold=4)
    _takes(made, on_decision=4, on_outcome=4)
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
    return lambda: _forget(name, PRICES, CONTROLLERS)


def _policy(name: str, made: Any) -> Callable[[], None]:
    _require_free(name, PRICES, "price")
    _needs(made, "policy", decide=2, bound=True)
    _takes(made, hear=2, bound=True)
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
    return lambda: _forget(name, PRICES, CONTROLLERS)


def _score(name: str, made: Any) -> Callable[[], None]:
    from agents.rejectors.scores import OF_CLIENTS, Evidence

    _require_free(name, SCORES, "score")
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
    return lambda: _forget(name, SCORES, OF_CLIENTS)


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


def _part(family: PartFamily[Any], base: type[Kind], noun: str, *must_have: str) -> Adopter:
    """Of families whose kinds are parts with their code."""

    def adopt(name: str, made: Any) -> Callable[[], None]:
        _require_free(name, family, noun)
        if not isclass(made) or not issubclass(made, base):
            raise BadInput(f"{noun} '{name}': must be a subclass of {base.__name__}")
        lacks = [one for one in must_have if getattr(made, one) is getattr(base, one)]
        if lacks:
            raise BadInput(f"{noun} '{name}': {made.__name__} lacks {lacks[0]}")
        family.register(name, tagged(family, made, name, made, {}, {}))
        return lambda: _forget(name, family)

    return adopt


def _metric(name: str, made: Any) -> Callable[[], None]:
    from analysis.metrics.definitions import DEFINITIONS
    from analysis.metrics.measures import MEASURES, RATIOS, Ratio
    from analysis.metrics.summary import SECTIONS

    if isinstance(made, Ratio):
        _require_free(name, MEASURES, "metric")
        RATIOS[name] = MEASURES[name] = made
        return lambda: _drop((name, RATIOS), (name, MEASURES))
    _function_of_traffic(name, made, "metric")
    _require_free(name, {path.partition(".")[0] for path in DEFINITIONS} | set(SECTIONS), "metric")
    meaning = " ".join((made.__doc__ or f"{name}, of a plugin that does not say what it is.").split())
    SECTIONS[name], paths = made, (name, f"{name}.*")
    DEFINITIONS.update(dict.fromkeys(paths, meaning))
    return lambda: _drop((name, SECTIONS), *((path, DEFINITIONS) for path in paths))


def _figure(name: str, made: Any) -> Callable[[], None]:
    from analysis.figures import FIGURES, Drawing

    _function_of_traffic(name, made, "figure")
    _require_free(name, FIGURES, "figure")
    title, _, caption = (made.__doc__ or name).partition("\n")
    FIGURES[name] = Drawing(
        made, title.strip(". "), lambda _traffic, _summary: title, " ".join(caption.split())
    )
    return lambda: _drop((name, FIGURES))


def _law(name: str, made: Any) -> Callable[[], None]:
    from analysis.theory import LAWS
    from analysis.theory.prediction import Law

    if not isinstance(made, Law):
        raise BadInput(f"law '{name}': must be a Law, not a {type(made).__name__}")
    _require_free(name, LAWS, "law")
    LAWS[name] = made
    return lambda: _drop((name, LAWS))


def _hook(name: str, made: Any) -> Callable[[], None]:
    _function_of_traffic(name, made, "hook", "a finished run")
    HOOKS[name] = made
    return lambda: _drop((name, HOOKS))


HOOKS: dict[str, Callable[[Any], None]] = {}  # called with each run that is finished, as of `load_run`

ADOPTERS: dict[str, Adopter] = {
    "price": _price,
    "policy": _policy,
    "score": _score,
    "arrivals": _part(PROCESSES, ArrivalProcess, "arrival process", "source", "steady_rate_hz"),
    "duration": _part(DURATIONS, RandomDuration, "duration", "quantile"),
    "service": _part(SERVICES, ServiceLaw, "service", "scale_s", "mean_factor", "constant", "factor"),
    "shape": _part(SHAPES, RateShape, "shape", "operational_s", "inverse", "peak"),
    "outage": _part(WHEN, OutageWhen, "outage", "times"),
    "metric": _metric,
    "figure": _figure,
    "law": _law,
    "hook": _hook,
}


def _needs(made: Any, family: str, bound: bool = False, **functions: int) -> None:
    if not isclass(made):
        raise BadInput(f"{family}: must be a class, not {made!r}")
    for name in functions:
        if not callable(getattr(made, name, None)):
            raise BadInput(f"{made.__name__} is no {family}: it lacks {name}")
    _takes(made, bound, **functions)


def _takes(made: Any, bound: bool = False, **functions: int) -> None:
    """Raises BadInput for a function that is there and takes another number of arguments."""
    for name, count in functions.items():
        found = getattr(made, name, None)
        if found is not None and takes(found) != count + bound:
            words = ", ".join(("self", *HANDED[name]) if bound else HANDED[name])
            raise BadInput(f"{made.__name__}.{name}: must take ({words}), not {signature(found)}")


HANDED = {
    "threshold": ("p", "m", "now", "request"),
    "on_decision": ("p", "m", "now", "is_sent"),
    "on_outcome": ("p", "m", "now", "heard"),
    "decide": ("request", "now"),
    "hear": ("outcome", "now"),
}


def _function_of_traffic(name: str, made: Any, noun: str, what: str = "the run's traffic") -> None:
    if not callable(made) or takes(made) != 1:
        raise BadInput(f"{noun} '{name}': must be a function of {what}")


def _require_free(name: str, table: Any, noun: str) -> None:
    if name in table:
        raise BadInput(f"there is a {noun} '{name}' already")


def takes(made: Any) -> int:
    """How many arguments something callable takes; -1 where Python does not know."""
    try:
        return len(signature(made).parameters)
    except (ValueError, TypeError):
        return -1


def _drop(*entries: tuple[str, dict[str, Any]]) -> None:
    for name, table in entries:
        del table[name]


def _forget(name: str, *tables: Any) -> None:
    for table in tables:
        entry = table.remove(name)
        if entry in Part.in_order:
            Part.in_order.remove(entry)
