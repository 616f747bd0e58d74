"""The vocabulary: every key of a scenario with its type, bounds, default and meaning.
Plain pydantic models; rules between keys stand in `sim.scenario.rules`.
A new key is one field here."""
