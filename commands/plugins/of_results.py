"""Registration of what is made of finished runs: numbers, figures, laws, and hooks that hear of them.
The part of `registering` that knows `analysis`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from commands.plugins.forms import drop, require_free, takes
from sim.errors import BadInput

HOOKS: dict[str, Callable[[Any], None]] = {}  # called with each run that is finished, as of `load_run`


def metric(name: str, made: Any) -> Callable[[], None]:
    from analysis.metrics.definitions import DEFINITIONS
    from analysis.metrics.measures import MEASURES, RATIOS, Ratio
    from analysis.metrics.summary import SECTIONS

    if isinstance(made, Ratio):
        require_free(name, MEASURES, "metric")
        RATIOS[name] = MEASURES[name] = made
        return lambda: drop((name, RATIOS), (name, MEASURES))
    function_of_traffic(name, made, "metric")
    require_free(name, {path.partition(".")[0] for path in DEFINITIONS} | set(SECTIONS), "metric")
    meaning = " ".join((made.__doc__ or f"{name}, of a plugin that does not say what it is.").split())
    SECTIONS[name], paths = made, (name, f"{name}.*")
    DEFINITIONS.update(dict.fromkeys(paths, meaning))
    return lambda: drop((name, SECTIONS), *((path, DEFINITIONS) for path in paths))


def figure(name: str, made: Any) -> Callable[[], None]:
    from analysis.figures import FIGURES, Drawing

    function_of_traffic(name, made, "figure")
    require_free(name, FIGURES, "figure")
    title, _, caption = (made.__doc__ or name).partition("\n")
    FIGURES[name] = Drawing(
        made, title.strip(". "), lambda _traffic, _summary: title, " ".join(caption.split())
    )
    return lambda: drop((name, FIGURES))


def law(name: str, made: Any) -> Callable[[], None]:
    from analysis.theory import LAWS
    from analysis.theory.prediction import Law

    if not isinstance(made, Law):
        raise BadInput(f"law '{name}': must be a Law, not a {type(made).__name__}")
    require_free(name, LAWS, "law")
    LAWS[name] = made
    return lambda: drop((name, LAWS))


def hook(name: str, made: Any) -> Callable[[], None]:
    function_of_traffic(name, made, "hook", "a finished run")
    HOOKS[name] = made
    return lambda: drop((name, HOOKS))


def function_of_traffic(name: str, made: Any, noun: str, what: str = "the run's traffic") -> None:
    if not callable(made) or takes(made) != 1:
        raise BadInput(f"{noun} '{name}': must be a function of {what}")
