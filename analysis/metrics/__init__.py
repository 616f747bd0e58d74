"""The numbers of a summary, each beside its definition.
Functions of the traffic that a run folder tells; plain numbers out.
A new metric is one function, its definition, and one line of SECTIONS."""
