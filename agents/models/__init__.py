"""Classifiers of clients and server: families, training, frozen clients and their cache.
Frozen clients are trained once and never change; their weights are hashed.
A new family is one builder and one line of `FAMILIES`."""
