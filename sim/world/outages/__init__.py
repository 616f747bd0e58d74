"""When server, replicas and links do not work, and what that leaves of them.
Time lines are drawn or read before the run; the engine only walks along them.
A new outage model gives time lines in `times`."""
