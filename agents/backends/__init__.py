"""Where learners live: in this process, or as actors of a Ray cluster; both by one interface.
`actors` and `cluster` alone import Ray."""
