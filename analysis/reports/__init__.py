"""What people read: the page of a run, comparisons, sweeps and studies, tables for the terminal, traces.
Numbers come from `analysis.metrics`; here they are put into words and pages."""
