"""The event loop compiled: the same events over the same columns in the same order, without Python between.
`sim.engine.choice` decides where it plays; `tests/sim/test_kernel.py` holds it to `sim.engine.loop`, byte for
byte."""
