"""Whether service takes longer for some requests of a run than for others.
Asked by who reads requests, and by numbers and laws that know service times."""

from __future__ import annotations

from analysis.run_folder.run import Run


def has_work_of_traces(run: Run) -> bool:
    """Whether the work of a trace's requests multiplies their service times."""
    return any(group["arrivals"]["process"].get("work_of_one") for group in run.scenario["fleet"])


def has_own_work(run: Run) -> bool:
    """Whether anything multiplies service times: samples, models, options, groups or traces."""
    longer = any(group.get("service_factor", 1.0) != 1.0 for group in run.scenario["fleet"])
    heavy = any(factor != 1.0 for factor in work_of_models(run).values())
    lighter = any(one["work"] != 1.0 for options in run.options.values() for one in options)
    return bool(run.has_work_of_samples or has_work_of_traces(run) or longer or heavy or lighter)


def work_of_models(run: Run) -> dict[str, float]:
    """What service times are multiplied by where a model answers, by its name."""
    return {name: float(model["work"]) for name, model in (run.scenario.get("models") or {}).items()}
