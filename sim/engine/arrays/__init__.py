"""What the handlers work on: plain arrays, laid out from state and parameters for each stretch of time and
read back after it. Both clocks play by way of `context`; whatever outlives a stretch is the state's."""
