"""Rules between keys, each a small function over the whole scenario that yields what breaks it.
`checks` has the table of all; `advice` tells what is allowed and hardly meant.
A new rule is one function and one line of the table."""
