"""Every kind in one place: what may be written of it, what is known of it, and what it does.
A module a family; `registry` is the mechanism that holds them all.
A new kind is one entry in the module of its family: copy the one that is nearest."""
