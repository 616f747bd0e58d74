"""Intervals, paired comparisons, replications over seeds, and the search for capacity.
Numbers in, numbers out; nothing is read or drawn here."""
