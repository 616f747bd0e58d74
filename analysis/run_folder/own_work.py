"""Whether service takes longer for some requests of a run than for others.
Asked by who reads requests, and by numbers and laws that know service times."""

from __future__ import annotations

from analysis.run_folder.run import Run


def has_work_of_traces(run: Run) -> bool:
    """Whether the work of a trace's requests multiplies their service times."""
    return any(group["arrivals"]["process"].get("work_of_one") for group in run.scenario["fleet"])


def has_own_work(run: Run) -> bool:
    """Whether anything multiplies service times: samples, groups or traces."""
    longer = any(group.get("service_factor", 1.0) != 1.0 for group in run.scenario["fleet"])
    return bool(run.has_work_of_samples or has_work_of_traces(run) or longer)
