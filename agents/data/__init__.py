"""Data sets, pools, partitions, views, and which samples a group's clients meet.
Arrays without torch; drawn by key, so that a plan is the same wherever it is made.
A new data set or partition is one function and one line of its table."""
