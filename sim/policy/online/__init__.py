"""Prices that learn when to send from the answers to what they sent: bounds on the errors of each level of
the score, and weights of thresholds. Each hears late, or never; see `docs/online_policies.md`.
`sim.policy.controllers` makes them."""
