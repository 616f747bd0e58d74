"""Virtual time: scenarios, keyed draws, the event loop and its request table. No torch, no Ray."""
