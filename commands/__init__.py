"""The command line: a run, other commands, many runs, progress, interrupts.
`main` puts them together, `entry` enters it; nothing here is needed to simulate, learn or analyse."""
