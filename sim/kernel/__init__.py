"""The event loop compiled: the same events over the same columns in the same order, without Python between.
`sim.paths` decides where it plays; `tests/sim/test_kernel.py` holds it to `sim.loop`, byte for byte."""
