"""What the command line does around a run: other commands, many runs, progress, interrupts.
`run_sim.py` puts them together; nothing here is needed to simulate, learn or analyse."""
