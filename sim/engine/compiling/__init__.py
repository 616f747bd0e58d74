"""How the event loop is compiled, kept on disk for later runs, and compiled beside a run that is learning.
`decorators` stand over what is compiled, `target` names it; the rest knows neither the loop nor its rules.
To have something else compiled, change `target` alone."""
