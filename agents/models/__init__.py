"""Classifiers of clients and server: families, training, frozen clients and their cache.
Frozen clients are trained once and never change; their weights are hashed.
A new family is one builder and an entry of `sim.registry.families`."""
