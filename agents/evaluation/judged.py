"""What each rejector or model of a group is judged on, and what it is calibrated on, as its clients meet it.
Between the plan and whatever looks at labels of these two pools."""

from __future__ import annotations

from agents.data.sample_mix import SampleMix, in_force, sample_mix_of
from agents.plan import Plan


def judged_on(plan: Plan, place: int, owners: int) -> SampleMix:
    """What of its held-out traffic each of `owners` is asked, mean over the run, drift included."""
    parts = in_force(plan.phases[place], plan.scenario.horizon_s)
    return sample_mix_of(parts, plan.held_out(place), plan.scenario.fleet[place].clients, owners)


def calibrated_on(plan: Plan, place: int, owners: int) -> SampleMix:
    """The calibration pool as each of `owners` is asked samples before any drift."""
    parts = [(plan.calibration_phases[place], 1.0)]
    return sample_mix_of(parts, plan.calibration(place), plan.scenario.fleet[place].clients, owners)
