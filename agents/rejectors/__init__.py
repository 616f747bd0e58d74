"""Rejectors: what they look at, their losses and scores, and how many are trained as one.
Trained in blocks whose results do not depend on where they lie.
A new score is a function, or a loss and how it is read, and one line of its table."""
