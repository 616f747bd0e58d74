"""What follows from a scenario before the run: who the clients are, when they ask, what fails and when.
Pure functions of the scenario and its keyed draws; nothing here hears of a request's fate.
A new arrival process, outage model or duration is an entry in `sim.registry`; what it needs stands here."""
