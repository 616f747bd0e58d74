"""Score > threshold: prices that stay, prices that move with what their client saw, and calibration.
Pure functions and small objects over a few floats per client; the engine calls them, they call nobody.
A new price is one object here."""
