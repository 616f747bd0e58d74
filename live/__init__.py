"""Servers that are there: processes on this machine that answer the clients of the wall's clock.
`sim.engine.wall_clock` says what it asks of them; they know nothing of clients and their rules."""
