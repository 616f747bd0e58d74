"""A request's life: the state, the events and their order, the rules, and the clocks that move them.
Knows the world and the policy by their arrays and nothing of files, learners or reports.
A rule stands once; whoever changes one changes it for every clock."""
