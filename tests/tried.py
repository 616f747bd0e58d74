"""On how many drawn examples a property is tried: on all with the slow tests, as in CI; else on an eighth."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

WHOLE, QUICK = 100, 12  # Hypothesis's own number of examples, and where slow tests are left out


def tried(count: int = WHOLE) -> settings:
    """On so many examples if none is spared, however long each takes."""
    count = max(5, count * settings().max_examples // WHOLE)
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
