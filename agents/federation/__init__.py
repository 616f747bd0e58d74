"""Rejectors that learn together: what of them is shared, how it is merged, and who with whom.
Merging is plain NumPy on what was uploaded; only the numbers of live rejectors touch torch."""
