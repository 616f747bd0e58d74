"""The server's model: pretraining, the steps that clients see, rounds during the run and what they bring.
Draws are keyed by version, so a round is the same wherever it is worked out."""
